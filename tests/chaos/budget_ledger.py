"""What the bridge did with its bucket: each change of the row, written down by the database in the same statement.

So a busy machine changes nothing in it, nor who asks, nor how late a request arrives where it was sent to.
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

_TABLE = "CREATE TABLE account (n {key}, name TEXT, at {real}, before {real}, after {real})"
_ENTRY = "INSERT INTO account (name, at, before, after) VALUES (new.name, {now}, old.tat, new.tat);"
_SQLITE = ("CREATE TRIGGER kept AFTER UPDATE ON budgets BEGIN {entry} END",)
_POSTGRES = (
    "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {entry} RETURN NULL; END $$",
    "CREATE TRIGGER kept AFTER UPDATE ON budgets FOR EACH ROW EXECUTE FUNCTION keep()",
)
# of the databases' floating point
_EXACT = 1e-5
# the wall clock of the entries and the monotonic one of the field go apart by less than this meanwhile
_CLOCKS = 0.05


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of a budget's row: when (epoch seconds), and its `tat` before and after (store/sql/statements.sql)."""

    name: str
    at: float
    before: float
    after: float


async def keep_account(store: str, schema: str) -> None:
    """From now on; no process may be on the store yet."""
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


def account(store: str, schema: str) -> list[Entry]:
    """What was written down, in order; the processes on the store must have ended."""
    query = "SELECT name, at, before, after FROM account ORDER BY n"
    if schema:
        with psycopg.connect(store, options=f"-c search_path={schema}") as database:
            return [Entry(*row) for row in database.execute(query.encode()).fetchall()]
    with contextlib.closing(sqlite3.connect(store)) as file:
        return [Entry(*row) for row in file.execute(query)]


def audit(entries: Sequence[Entry], asked: Sequence[float], interval: float, burst: int) -> Iterator[str]:
    """What is wrong with the account of a bucket of this size, and with the times at which something was asked.

    One taken moves the row on by an interval from now or from where it stood, at most a burst ahead of now; one given
    back moves it back by one; a refusal of the gateway empties the bucket. Nobody asks without one that was taken.
    """
    if len(names := {entry.name for entry in entries}) != 1:
        yield f"not one bucket but {sorted(names)}"
    events = [(at + _CLOCKS, -1) for at in asked]
    for entry in entries:
        moved, ahead = entry.after - max(entry.before, entry.at), entry.after - entry.at
        if abs(moved - interval) < _EXACT and ahead < burst * interval + _EXACT:
            events.append((entry.at, 1))
        elif abs(entry.after - (entry.before - interval)) < _EXACT:
            events.append((entry.at, -1))
        elif abs(ahead - burst * interval) > _EXACT:
            yield f"at {entry.at:.3f} moved on by {moved:.4f}, to {ahead:.4f} ahead"
    left = 0
    for at, change in sorted(events, key=lambda event: (event[0], -event[1])):
        left += change
        if left < 0:
            yield f"asked at {at:.3f} without one that was taken"
            return
