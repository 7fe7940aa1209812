"""The turn table in a SQLite file: the default store, for a single process.

WAL with `synchronous=FULL`: an acknowledged turn is on disk. The file is locked exclusively, so that a second process
is refused instead of breaking the order (https://www.sqlite.org/pragma.html#pragma_locking_mode).
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.store.database import CREATION_FORBIDDEN, Operation
from bridge.store.file_guard import FileGuard
from bridge.store.statements import Dialect, load_migrations, load_statements
from bridge.store.table import TurnTable
from bridge.store.writer import Writer, truncate_log

T = TypeVar("T")

SQLITE = Dialect(folder="sqlite", now="((julianday('now') - 2440587.5) * 86400.0)")
# Versions: migrations only add, so the bridge also runs on the schema of the next version.
_AHEAD = 1


def sqlite_store(path: Path, *, patience: float = 2.0, create: bool = True) -> TurnTable:
    """The store in the file `path`. `patience`: seconds to wait for a process that is just closing the file.

    Without `create`, a missing or empty file is an error instead of a new store.
    """
    return TurnTable(SqliteDatabase(path, patience=patience, create=create))


class SqliteDatabase:
    """Implements `store.database.Database` with a single thread and group commit."""

    shared = False

    def __init__(self, path: Path, *, patience: float, create: bool) -> None:
        self._path = path
        self.name = path.name
        self._patience = patience
        self._create = create
        self._sql = load_statements(SQLITE)
        self._writer = Writer(self._connect, self._check_file)
        self._guard: FileGuard | None = None
        self.created = False

    @property
    def failing(self) -> bool:
        """Whether the last transaction failed."""
        return self._writer.failing

    async def open(self) -> None:
        """Open or create the file. Raises: StoreInUse, StoreUnavailable."""
        await self._writer.start()

    async def close(self) -> None:
        """Commit the waiting writes, and close the file."""
        await self._writer.stop()
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.close()

    async def run(self, operation: Callable[[], Operation[T]], *, atomic: bool = False) -> T:  # noqa: ARG002  each operation is atomic
        """Run an operation and return its result after the commit. Raises: StoreUnavailable, Interfered."""

        def job(connection: sqlite3.Connection) -> T:
            # None starts the generator (https://docs.python.org/3/reference/expressions.html#generator.send)
            work, rows = operation(), None
            try:
                while True:
                    name, parameters = work.send(rows)  # type: ignore[arg-type]
                    rows = connection.execute(self._sql[name], parameters).fetchall()
            except StopIteration as done:
                result: T = done.value
                return result

        result: T = await self._writer.submit(job)
        return result

    async def forget_log(self) -> None:
        """Empty the write-ahead log, which holds earlier versions of rows. Raises: StoreUnavailable."""
        await self._writer.submit(truncate_log)

    async def announce_stop(self, n: int) -> None:
        """Does nothing: no second process uses the file."""

    def on_stop(self, call: Callable[[int], None]) -> None:
        """Does nothing: no second process uses the file."""

    def _connect(self) -> sqlite3.Connection:
        try:
            if not self._create:
                self._refuse_to_create()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _make_private(self._path)
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=self._patience)
            try:
                self.created = _prepare(connection, create=self._create)
                self._guard = FileGuard(self._path, connection)
            except BaseException:
                connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            # extended codes (SQLITE_BUSY_RECOVERY, …) hold the primary code in the low byte
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise StoreInUse(f"another process uses {self._path.name}") from error
            raise StoreUnavailable(f"cannot open {self._path.name}: {error}") from error
        return connection

    def _refuse_to_create(self) -> None:
        """Leave a missing or empty file as it is. Raises: StoreUnavailable."""
        if not self._path.exists():
            raise StoreUnavailable(f"{self._path.name} does not exist, {CREATION_FORBIDDEN}")
        if self._path.stat().st_size == 0:
            raise StoreUnavailable(f"{self._path.name} is empty, {CREATION_FORBIDDEN}")

    def _check_file(self) -> None:
        if self._guard is not None:
            self._guard.check()


def _make_private(path: Path) -> None:
    """Create the file if missing; only the service account may read the file and its log, since chats are private.

    An earlier file may be open to all. Files of a different account keep their rights: only the owner may change them.
    Raises: OSError.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    for file in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal"))):
        with suppress(FileNotFoundError, PermissionError):
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)


def _prepare(connection: sqlite3.Connection, *, create: bool) -> bool:
    """Set the connection up, and bring the schema up to date. True if the store is new."""
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # Blanked texts must not stay readable in free pages, and FAST leaves free pages as they were:
    # https://www.sqlite.org/pragma.html#pragma_secure_delete
    connection.execute("PRAGMA secure_delete = ON")
    return _migrate(connection, create=create)


def _migrate(connection: sqlite3.Connection, *, create: bool) -> bool:
    steps = load_migrations(SQLITE)
    connection.execute("BEGIN EXCLUSIVE")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps) + _AHEAD:
        connection.execute("ROLLBACK")
        raise StoreUnavailable(
            f"the store has schema {version}; this version works with schemas up to {len(steps) + _AHEAD}"
        )
    if version == 0 and not create:
        connection.execute("ROLLBACK")
        raise StoreUnavailable(f"the file holds no store, {CREATION_FORBIDDEN}")
    for step in steps[version:]:
        for statement in step.split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {max(version, len(steps))}")
    connection.execute("COMMIT")
    return version == 0
