"""The turn table in a PostgreSQL schema of its own: for any number of replicas.

Each statement is its own transaction, on a connection of a bounded pool; several statements share one where an
operation must be atomic. Every statement ends in time, on the server and here, so that a connection that has died
without a word is noticed. What goes wrong is StoreUnavailable, named by its SQLSTATE and never by its words, which may
hold values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from bridge.core.errors import StoreUnavailable
from bridge.store.database import Operation
from bridge.store.operations import Interfered
from bridge.store.postgres_schema import migrate
from bridge.store.statements import Dialect, load_statements, with_percent_names
from bridge.store.table import TurnTable
from bridge.tasks import Tasks

T = TypeVar("T")
Connection = psycopg.AsyncConnection[dict[str, Any]]

_log = structlog.get_logger()

POSTGRES = Dialect(folder="postgres", now="extract(epoch FROM statement_timestamp())::float8")
_STATEMENT_SECONDS = 5.0
_LISTEN_PAUSE = 2.0
_LISTEN_CHECK_SECONDS = 20.0
# https://www.postgresql.org/docs/current/errcodes-appendix.html: a server that became a standby
_READ_ONLY = "25006"
# libpq has no codes for these; its own words may name hosts and files
_TLS_FAILED = {
    "does not support SSL": "the server speaks no TLS, which sslmode in BRIDGE_STORE demands",
    "certificate": "the server's certificate cannot be verified, which sslmode demands (see sslrootcert)",
}


def postgres_store(
    dsn: str,
    *,
    password: str | None = None,
    schema: str = "teams_bridge",
    connections: int = 10,
    waits: Waits | None = None,
) -> TurnTable:
    """The store in this database. `dsn`: a libpq connection URI, TLS options included; at most so many connections."""
    database = PostgresDatabase(dsn, password=password, schema=schema, connections=connections, waits=waits or Waits())
    return TurnTable(database)


@dataclass(frozen=True, slots=True)
class Waits:
    """In seconds: for a statement's answer, a little longer than the server's own limit, so that only a server that
    cannot be heard is given up here; for a free connection; and for the schema to be brought up to date, where building
    an index reads a whole table, and of several replicas that start one does it and the others wait."""

    answer: float = 7.0
    connection: float = 3.0
    migration: float = 600.0


class PostgresDatabase:
    """Implements store.table.Database."""

    shared = True
    failing = False

    def __init__(self, dsn: str, *, password: str | None, schema: str, connections: int, waits: Waits) -> None:
        self._waits = waits
        self._schema = schema
        self._channel = f"{schema}_stop"
        self._sql = {name: with_percent_names(text) for name, text in load_statements(POSTGRES).items()}
        self._info = make_conninfo(
            dsn,
            **({"password": password} if password else {}),
            application_name="goclaw-teams-bridge",
            connect_timeout=5,
            # the server's view of a client that is gone, and ours of a server that is
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=int(waits.answer * 1000),
            target_session_attrs="read-write",
            options=f"-c search_path={schema} -c statement_timeout={int(_STATEMENT_SECONDS * 1000)} "
            "-c idle_in_transaction_session_timeout=10000",
        )
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._most = connections
        self._tasks = Tasks()
        self._heard: Callable[[int], None] | None = None

    async def open(self) -> None:
        """Connect, and bring the schema up to date. Raises StoreUnavailable."""
        if self._pool is not None:
            return
        await self._within(self._migrate(), self._waits.migration)
        self._pool = AsyncConnectionPool(
            self._info,
            min_size=1,
            max_size=self._most,
            kwargs={"autocommit": True, "row_factory": dict_row},
            timeout=self._waits.connection,
            max_waiting=2000,
            # given up soon, and tried again by the next who needs one: no long pauses after an outage
            reconnect_timeout=2.0,
            open=False,
        )
        await self._pool.open()
        self._tasks.start(self._listen(), "listen")

    async def close(self) -> None:
        """Close all connections."""
        pool, self._pool = self._pool, None
        await self._tasks.cancel()
        if pool is not None:
            await pool.close(timeout=2.0)

    async def run(self, operation: Callable[[], Operation[T]], *, atomic: bool = False) -> T:
        """The operation's result. Begun once more if its connection was lost: what it writes is written once."""
        try:
            return await self._within(self._run(operation, atomic=atomic))
        except _ConnectionLost:
            return await self._within(self._run(operation, atomic=atomic))

    async def tell(self, n: int) -> None:
        """Tell all processes; where that fails, their beats will see it."""
        try:
            await self._within(self._notify(n))
        except StoreUnavailable as error:
            _log.warning("notify_failed", error=error.detail)

    def listen(self, heard: Callable[[int], None]) -> None:
        """Call `heard` with what other processes tell, as long as the connection for it lives."""
        self._heard = heard

    async def _run(self, operation: Callable[[], Operation[T]], *, atomic: bool) -> T:
        async with self._open_pool().connection() as connection:
            if not atomic:
                return await self._drive(connection, operation())
            async with connection.transaction():
                return await self._drive(connection, operation())

    async def _drive(self, connection: Connection, work: Operation[T]) -> T:
        rows: list[dict[str, Any]] = []
        try:
            name, parameters = next(work)
            while True:
                cursor = await connection.execute(self._sql[name], parameters)
                rows = await cursor.fetchall() if cursor.description else []
                name, parameters = work.send(rows)
        except StopIteration as done:
            result: T = done.value
            return result

    async def _notify(self, n: int) -> None:
        async with self._open_pool().connection() as connection:
            await connection.execute("SELECT pg_notify(%s, %s)", (self._channel, str(n)))

    async def _migrate(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._info, autocommit=True) as connection:
            await migrate(connection, self._schema, POSTGRES)

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._info, autocommit=True) as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                    while True:
                        async for notification in connection.notifies(timeout=_LISTEN_CHECK_SECONDS):
                            self._hear(notification.payload)
                        async with asyncio.timeout(self._waits.answer):  # silence may be a connection that has died
                            await connection.execute("SELECT 1")
            except (psycopg.Error, OSError, TimeoutError) as error:
                _log.warning("listen_failed", error=_named(error))
            await asyncio.sleep(_LISTEN_PAUSE)

    def _hear(self, payload: str) -> None:
        if self._heard is not None and payload.isdecimal():
            self._heard(int(payload))

    def _open_pool(self) -> AsyncConnectionPool[Connection]:
        if self._pool is None:
            raise StoreUnavailable("the store is closed")
        return self._pool

    async def _within(self, work: Awaitable[T], seconds: float | None = None) -> T:
        """The work's result in time; the caller's cancellation does not touch it. Raises StoreUnavailable."""
        task = self._tasks.start(_outcome(work), "statement")
        await asyncio.wait({task}, timeout=self._waits.answer if seconds is None else seconds)
        if not task.done():
            task.cancel()  # psycopg may need some seconds to give up; nobody waits for that
            await self._forget_connections()
            raise StoreUnavailable("postgres: no answer")
        if task.cancelled():
            raise StoreUnavailable("the store is closed")
        result, error = task.result()
        if error is None:
            value: T = result
            return value
        if isinstance(error, StoreUnavailable | Interfered):
            raise error
        if isinstance(error, psycopg.OperationalError | OSError) and not isinstance(error, PoolTimeout):
            await self._forget_connections()
            raise _ConnectionLost(_named(error)) from error
        if isinstance(error, psycopg.Error):
            if error.sqlstate == _READ_ONLY:
                await self._forget_connections()
            raise StoreUnavailable(_named(error)) from error
        raise error

    async def _forget_connections(self) -> None:
        """One that is lost is seldom alone: take fresh ones from now on."""
        if self._pool is not None:
            await self._pool.drain()


class _ConnectionLost(StoreUnavailable):
    """Nobody knows whether the statement was executed."""


async def _outcome(work: Awaitable[T]) -> tuple[T | None, Exception | None]:
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001  handed to the caller, if there still is one
        return None, error


def _named(error: Exception) -> str:
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    said = next((said for words, said in _TLS_FAILED.items() if words in str(error)), "") if sqlstate is None else ""
    return f"postgres: {sqlstate or said or type(error).__name__}"
