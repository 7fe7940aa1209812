"""The turn table in one SQLite file: the default store, for one process.

WAL with `synchronous=FULL`: what was acknowledged is on disk. The file is locked exclusively, so that a second process
is refused instead of breaking the order (https://www.sqlite.org/pragma.html#pragma_locking_mode).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.core.turn import (
    Accepted,
    Lane,
    LaneStatus,
    NewTurn,
    Orphans,
    Outcome,
    Reply,
    State,
    Stopped,
    StopVerdict,
    Ticket,
    Turn,
    turn_name,
)
from bridge.store.codec import dump_ids, dump_reply, new_row, turn_of
from bridge.store.statements import load_migrations, load_statements
from bridge.store.writer import Writer

_FAR = 1e18
_STOPS = (
    ("stop_running", StopVerdict.STOPPING),
    ("stop_answered", StopVerdict.STOPPING),
    ("stop_queued", StopVerdict.WITHDRAWN),
)


class SqliteStore:
    """Implements ports.TurnStore. `patience`: seconds to wait for a process that is just letting go of the file."""

    def __init__(self, path: Path, *, patience: float = 2.0) -> None:
        self._path = path
        self._patience = patience
        self._sql = load_statements()
        self._writer = Writer(self._connect)

    async def open(self) -> None:
        await self._writer.start()

    async def close(self) -> None:
        await self._writer.stop()

    async def accept(self, new: NewTurn, owner: str | None) -> Accepted:
        row = new_row(new, owner)
        sql, known, again = self._sql["accept"], self._sql["known"], new.again_of

        def job(connection: sqlite3.Connection) -> Accepted:
            inserted = connection.execute(sql, row).fetchone()
            if inserted is None:
                found = connection.execute(known, {"id": new.id}).fetchone()
                return Accepted(found["n"] if found else (again or 0), duplicate=True)
            n = inserted["n"]
            claimed = Ticket(n, owner, 1) if owner and inserted["state"] == State.RUNNING else None
            return Accepted(n, claimed=claimed)

        accepted: Accepted = await self._writer.submit(job)
        return accepted

    async def claim(self, lane: Lane, owner: str) -> Turn | None:
        row = await self._one("claim", {"lane": lane, "owner": owner})
        return turn_of(row) if row else None

    async def release(self, ticket: Ticket) -> bool:
        return await self._one("release", _held(ticket)) is not None

    async def answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        parameters = {**_held(ticket), "reply": dump_reply(reply), "anyway": even_if_stopped}
        return await self._one("answer", parameters) is not None

    async def shown(self, ticket: Ticket, ids: tuple[str, ...]) -> bool:
        return await self._one("shown", {**_held(ticket), "delivery": dump_ids(ids)}) is not None

    async def attempted(self, ticket: Ticket) -> int:
        row = await self._one("attempted", _held(ticket))
        return row["attempts"] if row else 0

    async def settle(self, ticket: Ticket, outcome: Outcome, ids: tuple[str, ...], at: float, error: str = "") -> bool:
        parameters = {
            **_held(ticket),
            "outcome": outcome.value,
            "delivery": dump_ids(ids),
            "at": at,
            "error": error,
        }
        return await self._one("settle", parameters) is not None

    async def stop(self, lane: Lane, id_: str, at: float) -> Stopped:
        sql = self._sql
        parameters = {"lane": lane, "id": id_, "at": at}

        def job(connection: sqlite3.Connection) -> Stopped:
            if connection.execute(sql["known"], parameters).fetchone():
                return Stopped(StopVerdict.DUPLICATE)
            for name, verdict in _STOPS:
                rows = connection.execute(sql[name], parameters).fetchall()
                if rows:
                    connection.execute(sql["remember"], parameters)
                    return Stopped(verdict, rows[0]["n"])
            return Stopped(StopVerdict.NOTHING)

        stopped: Stopped = await self._writer.submit(job)
        return stopped

    async def adopt(self, owner: str) -> Orphans:
        return await self._orphans("adopt", {"owner": owner, "before": _FAR})

    async def stalled(self, owner: str, before: float) -> Orphans:
        return await self._orphans("own_before", {"owner": owner, "before": before})

    async def find(self, n: int) -> Turn | None:
        row = await self._one("find", {"n": n})
        return turn_of(row) if row else None

    async def lane_status(self, lane: Lane) -> LaneStatus:
        rows = await self._all("lane_open", {"lane": lane})
        last = await self._one("lane_last", {"lane": lane})
        head = rows[0] if rows and rows[0]["state"] != State.QUEUED else None
        return LaneStatus(
            running=turn_name(head["n"]) if head else None,
            since=head["accepted"] if head else 0.0,
            waiting=len(rows) - (1 if head else 0),
            last=turn_name(last["n"]) if last and last["n"] else None,
        )

    async def forget_old(self, blank_before: float, delete_before: float) -> int:
        blanked = await self._all("blank", {"before": blank_before})
        deleted = await self._all("delete", {"before": delete_before})
        return len(blanked) + len(deleted)

    async def _orphans(self, name: str, parameters: dict[str, Any]) -> Orphans:
        """Both halves in one transaction: adopted rows that are not told to the caller would be lost to it."""
        claimed, waiting = self._sql[name], self._sql["waiting_lanes"]

        def job(connection: sqlite3.Connection) -> Orphans:
            turns = connection.execute(claimed, parameters).fetchall()
            lanes = connection.execute(waiting, parameters).fetchall()
            return Orphans(tuple(turn_of(row) for row in turns), tuple(Lane(row["lane"]) for row in lanes))

        orphans: Orphans = await self._writer.submit(job)
        return orphans

    async def _one(self, name: str, parameters: dict[str, Any]) -> sqlite3.Row | None:
        sql = self._sql[name]
        row: sqlite3.Row | None = await self._writer.submit(lambda c: c.execute(sql, parameters).fetchone())
        return row

    async def _all(self, name: str, parameters: dict[str, Any]) -> list[sqlite3.Row]:
        sql = self._sql[name]
        rows: list[sqlite3.Row] = await self._writer.submit(lambda c: c.execute(sql, parameters).fetchall())
        return rows

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # conversations are private: readable by the service account only
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=self._patience)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            # extended codes (SQLITE_BUSY_RECOVERY, …) keep the plain one in their low byte
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise StoreInUse(f"another process uses {self._path.name}") from error
            raise StoreUnavailable(f"cannot open {self._path.name}: {error}") from error
        return connection


def _held(ticket: Ticket) -> dict[str, Any]:
    return {"n": ticket.n, "owner": ticket.owner, "fence": ticket.fence}


def _prepare(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # blanked text must not stay readable in free pages: https://www.sqlite.org/pragma.html#pragma_secure_delete
    connection.execute("PRAGMA secure_delete = FAST")
    _migrate(connection)


def _migrate(connection: sqlite3.Connection) -> None:
    steps = load_migrations()
    connection.execute("BEGIN EXCLUSIVE")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        connection.execute("ROLLBACK")
        raise StoreUnavailable(f"the store has schema {version}, newer than this version knows ({len(steps)})")
    for step in steps[version:]:
        for statement in step.split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(steps)}")
    connection.execute("COMMIT")
