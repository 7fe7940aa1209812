"""The turn table in a PostgreSQL schema, for any number of replicas.

Each statement is a transaction of its own on a connection of a bounded pool; an atomic operation is a single
transaction. Each statement has a time limit on the server and here, so that a silently dead connection is noticed.
Failures are StoreUnavailable with the SQLSTATE; the server's words are left out, since they may hold values of rows.
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
# libpq has no codes for failures of TLS; the full messages may name hosts and files
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
    create: bool = True,
) -> TurnTable:
    """The store in a PostgreSQL database. `dsn`: a libpq connection URI with TLS options; `connections`: at most.

    Without `create`, a schema without a store is an error instead of a new store.
    """
    database = PostgresDatabase(
        dsn, password=password, schema=schema, connections=connections, waits=waits or Waits(), create=create
    )
    return TurnTable(database)


@dataclass(frozen=True, slots=True)
class Waits:
    """Time limits in seconds.

    `answer`: for a statement; a little longer than the server's own limit, so that only a silent server is given up.
    `connection`: for a free connection of the pool. `migration`: for bringing the schema up to date, since an index is
    built from a whole table and replicas that start together wait for the first of them.
    """

    answer: float = 7.0
    connection: float = 3.0
    migration: float = 600.0


class PostgresDatabase:
    """Implements `store.database.Database`."""

    shared = True
    failing = False

    def __init__(
        self, dsn: str, *, password: str | None, schema: str, connections: int, waits: Waits, create: bool
    ) -> None:
        self._create = create
        self.name = f"schema {schema}"
        self.created = False
        self._waits = waits
        self._schema = schema
        self._channel = f"{schema}_stop"
        self._sql = {name: with_percent_names(text) for name, text in load_statements(POSTGRES).items()}
        self._info = make_conninfo(
            dsn,
            **({"password": password} if password else {}),
            application_name="goclaw-teams-bridge",
            connect_timeout=5,
            # TCP keep-alive, to notice a vanished server
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
        self._on_stop: Callable[[int], None] | None = None

    async def open(self) -> None:
        """Connect, and bring the schema up to date. Raises: StoreUnavailable."""
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
            # connecting is given up soon and tried again at the next use: no long pauses after an outage
            reconnect_timeout=2.0,
            open=False,
        )
        await self._pool.open()
        self._tasks.keep(self._listen, "listen")

    async def close(self) -> None:
        """Close all connections."""
        pool, self._pool = self._pool, None
        await self._tasks.cancel()
        if pool is not None:
            await pool.close(timeout=2.0)

    async def run(self, operation: Callable[[], Operation[T]], *, atomic: bool = False) -> T:
        """Run an operation and return its result; repeated after a lost connection, since operations may be repeated.

        Raises: StoreUnavailable, Interfered.
        """
        try:
            return await self._within(self._run(operation, atomic=atomic))
        except _ConnectionLost:
            return await self._within(self._run(operation, atomic=atomic))

    async def forget_log(self) -> None:
        """Does nothing: the server's own vacuum removes earlier versions of rows (docs/operations.md)."""

    async def announce_stop(self, n: int) -> None:
        """Announce the stop of turn `n` by NOTIFY. If NOTIFY fails, the heartbeats of the replicas see the stop."""
        try:
            await self._within(self._notify(n))
        except StoreUnavailable as error:
            _log.warning("notify_failed", error=error.detail)

    def on_stop(self, call: Callable[[int], None]) -> None:
        """Call `call` with the number of each announced turn, while the connection for LISTEN is up."""
        self._on_stop = call

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
            self.created = await migrate(connection, self._schema, POSTGRES, create=self._create)

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._info, autocommit=True) as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                    while True:
                        async for notification in connection.notifies(timeout=_LISTEN_CHECK_SECONDS):
                            self._hear(notification.payload)
                        async with asyncio.timeout(self._waits.answer):  # a silent connection may be dead
                            await connection.execute("SELECT 1")
            except (psycopg.Error, OSError, TimeoutError) as error:
                _log.warning("listen_failed", error=_named(error))
            await asyncio.sleep(_LISTEN_PAUSE)

    def _hear(self, payload: str) -> None:
        if self._on_stop is not None and payload.isdecimal():
            self._on_stop(int(payload))

    def _open_pool(self) -> AsyncConnectionPool[Connection]:
        if self._pool is None:
            raise StoreUnavailable("the store is closed")
        return self._pool

    async def _within(self, work: Awaitable[T], seconds: float | None = None) -> T:
        """The result of `work` within `seconds`; a cancelled caller stops no work. Raises: StoreUnavailable."""
        task = self._tasks.start(_outcome(work), "statement")
        await asyncio.wait({task}, timeout=self._waits.answer if seconds is None else seconds)
        if not task.done():
            task.cancel()  # not awaited: psycopg may need some seconds to cancel
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
        """Replace all connections of the pool: after a lost connection the others are probably lost too."""
        if self._pool is not None:
            await self._pool.drain()


class _ConnectionLost(StoreUnavailable):
    """The connection was lost; whether the statement was executed is unknown."""


async def _outcome(work: Awaitable[T]) -> tuple[T | None, Exception | None]:
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001  handed to the caller, unless the caller was cancelled
        return None, error


def _named(error: Exception) -> str:
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    found = (advice for words, advice in _TLS_FAILED.items() if words in str(error))
    advice = next(found, "") if sqlstate is None else ""
    return f"postgres: {sqlstate or advice or type(error).__name__}"
