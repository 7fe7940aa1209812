"""A ledger of the shared rate limit: a database trigger writes each change of the budget's row in the same statement.

So the audit depends neither on the machine's load nor on how late a request reaches the gateway.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bridge.store.postgres import POSTGRES, postgres_store
from bridge.store.sqlite import SQLITE, sqlite_store

_TABLE = "CREATE TABLE ledger (n {key}, name TEXT, at {real}, before {real}, after {real})"
_ENTRY = "INSERT INTO ledger (name, at, before, after) VALUES (new.name, {now}, old.tat, new.tat);"
_SQLITE = ("CREATE TRIGGER kept AFTER UPDATE ON budgets BEGIN {entry} END",)
_POSTGRES = (
    "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {entry} RETURN NULL; END $$",
    "CREATE TRIGGER kept AFTER UPDATE ON budgets FOR EACH ROW EXECUTE FUNCTION keep()",
)
# Seconds lost to the databases' floating point.
_ROUNDING = 1e-5
# Seconds by which the wall clock of the entries and the monotonic clock of the runs may drift apart.
_CLOCK_DRIFT = 0.05


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of a budget's row: when (epoch seconds), and the row's `tat` before and after.

    `tat` is the theoretical arrival time of the next token (bridge/store/sql/statements.sql).
    """

    name: str
    at: float
    before: float
    after: float


async def start_ledger(store: str, schema: str) -> None:
    """Create the tables and the trigger; call before any process opens the store. `schema`: "" for a SQLite file."""
    table = postgres_store(store, schema=schema) if schema else sqlite_store(Path(store))
    await table.open()
    await table.close()
    kind = {"key": "SERIAL", "real": "float8"} if schema else {"key": "INTEGER PRIMARY KEY", "real": "REAL"}
    entry = _ENTRY.format(now=(POSTGRES if schema else SQLITE).now)
    steps = [_TABLE.format(**kind), *(step.format(entry=entry) for step in (_POSTGRES if schema else _SQLITE))]
    if schema:
        with psycopg.connect(store, options=f"-c search_path={schema}") as database:
            for step in steps:
                database.execute(step.encode())
        return
    with contextlib.closing(sqlite3.connect(store)) as file:
        for step in steps:
            file.execute(step)


def read_ledger(store: str, schema: str) -> list[Entry]:
    """All entries in order; call after all processes on the store have ended."""
    query = "SELECT name, at, before, after FROM ledger ORDER BY n"
    if schema:
        with psycopg.connect(store, options=f"-c search_path={schema}") as database:
            return [Entry(*row) for row in database.execute(query.encode()).fetchall()]
    with contextlib.closing(sqlite3.connect(store)) as file:
        return [Entry(*row) for row in file.execute(query)]


def audit(entries: Sequence[Entry], asked: Sequence[float], interval: float, burst: int) -> Iterator[str]:
    """Find faults in the ledger of a bucket with one token per `interval` seconds and at most `burst` tokens at once.

    Taking a token moves `tat` on by an interval, from now or from the old `tat`, at most a burst ahead of now. Giving a
    token back moves `tat` back by an interval. A 429 of the gateway empties the bucket. Each request to the gateway
    (`asked`, epoch seconds) comes after a token was taken. Yields a sentence for each fault.
    """
    if len(names := {entry.name for entry in entries}) != 1:
        yield f"not one bucket but {sorted(names)}"
    events = [(at + _CLOCK_DRIFT, -1) for at in asked]
    for entry in entries:
        moved, ahead = entry.after - max(entry.before, entry.at), entry.after - entry.at
        if abs(moved - interval) < _ROUNDING and ahead < burst * interval + _ROUNDING:
            events.append((entry.at, 1))
        elif abs(entry.after - (entry.before - interval)) < _ROUNDING:
            events.append((entry.at, -1))
        elif abs(ahead - burst * interval) > _ROUNDING:
            yield f"at {entry.at:.3f} moved on by {moved:.4f}, to {ahead:.4f} ahead"
    tokens = 0
    for at, change in sorted(events, key=lambda event: (event[0], -event[1])):
        tokens += change
        if tokens < 0:
            yield f"asked at {at:.3f} without a token"
            return
