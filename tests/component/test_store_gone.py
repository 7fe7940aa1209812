"""A store that is taken away while open, and a store that is missing at the start: noticed, never papered over."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.engine_world import new_turn
from support.postgres_server import dsn, fresh_schema

from bridge.core.errors import StoreUnavailable
from bridge.metrics import REGISTRY
from bridge.store.file_guard import FileGuard
from bridge.store.postgres import postgres_store
from bridge.store.sqlite import sqlite_store
from bridge.store.table import TurnTable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows refuses to delete or replace an open file")

ME = "owner-1"


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _overwrite(path: Path, content: bytes) -> None:
    """Write the content into the same file (same inode), as `cp` does."""
    with path.open("wb") as file:
        file.write(content)


def _other_store(path: Path) -> Path:
    """A store of its own beside the open store."""
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE turns (n INTEGER)")
    return other


def _replace(path: Path) -> None:
    _other_store(path).replace(path)


def _replace_wal(path: Path) -> None:
    other = path.with_name("other-wal")
    other.write_bytes(_wal(path).read_bytes())
    other.replace(_wal(path))


def _link_elsewhere(path: Path) -> None:
    path.rename(path.with_name("moved.db"))
    path.symlink_to(_other_store(path))


def _make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _delete_both(path: Path) -> None:
    path.unlink()
    _wal(path).unlink()


LOSSES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "moved": lambda path: path.rename(path.with_name("away.db")),
    "replaced": _replace,
    "linked elsewhere": _link_elsewhere,
    "made a folder": _make_a_folder,
    "emptied": lambda path: os.truncate(path, 0),
    "cut": lambda path: os.truncate(path, 5000),
    "overwritten by zeros": lambda path: _overwrite(path, bytes(path.stat().st_size)),
    "overwritten by an older copy": lambda path: _overwrite(path, path.with_name("copy.db").read_bytes()),
    "folder deleted": lambda path: shutil.rmtree(path.parent),
    "folder moved": lambda path: path.parent.rename(path.parent.with_name("elsewhere")),
    "wal deleted": lambda path: _wal(path).unlink(),
    "wal replaced": _replace_wal,
    "wal emptied": lambda path: os.truncate(_wal(path), 0),
    "wal cut": lambda path: os.truncate(_wal(path), _wal(path).stat().st_size // 2),
    "both deleted": _delete_both,
}


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "data"


async def _reopened(path: Path) -> TurnTable:
    """A store of a second start, with a turn of the first start, and a copy of the file from between."""
    first = sqlite_store(path)
    await first.open()
    await first.accept(new_turn("old", lane="old"), ME, claim=False)
    await first.close()
    shutil.copy(path, path.with_name("copy.db"))
    store = sqlite_store(path)
    await store.open()
    return store


@settings(max_examples=40)
@given(st.sampled_from(sorted(LOSSES)), st.integers(1, 12))
async def test_no_turn_is_acknowledged_into_a_store_that_is_gone(loss: str, turns: int) -> None:
    with _folder() as folder:
        path = folder / "turns.db"
        store = await _reopened(path)
        for n in range(turns):
            await store.accept(new_turn(f"id-{n}", "words " * 100, lane=f"lane-{n}"), ME, claim=False)
        LOSSES[loss](path)
        for attempt in range(3):
            with pytest.raises(StoreUnavailable, match="while the bridge was running"):
                await store.accept(new_turn(f"later-{attempt}"), ME, claim=False)
            with pytest.raises(StoreUnavailable, match="while the bridge was running"):
                await store.heartbeat(ME, 0)
        await store.close()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("deleted", r"turns\.db was deleted or moved while"),
        ("replaced", r"turns\.db was replaced while"),
        ("emptied", r"turns\.db was emptied or cut while"),
        ("overwritten by an older copy", r"turns\.db was overwritten while"),
        ("wal deleted", r"turns\.db lost its write-ahead log \(-wal\), which was deleted or moved, while"),
    ],
)
async def test_the_error_names_the_loss_and_the_remedy(loss: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "data" / "turns.db"
    store = await _reopened(path)
    await store.accept(new_turn("a"), ME, claim=False)
    LOSSES[loss](path)
    with pytest.raises(StoreUnavailable, match=f"{words} the bridge was running: stop the bridge, put the store back"):
        await store.find(1)
    await store.close()


async def test_a_store_that_is_moved_back_goes_on(tmp_path: Path) -> None:
    path, away = tmp_path / "turns.db", tmp_path / "away.db"
    store = sqlite_store(path)
    await store.open()
    await store.accept(new_turn("a", lane="a"), ME, claim=False)
    path.rename(away)
    with pytest.raises(StoreUnavailable):
        await store.accept(new_turn("b", lane="b"), ME, claim=False)
    away.rename(path)
    assert not (await store.accept(new_turn("c", lane="c"), ME, claim=False)).duplicate
    await store.close()
    await store.open()
    assert (await store.accept(new_turn("a", lane="a"), ME, claim=False)).duplicate
    await store.close()


async def test_turns_of_a_deleted_write_ahead_log_are_saved_by_the_end_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    store = sqlite_store(path)
    await store.open()
    await store.accept(new_turn("a"), ME, claim=False)
    _wal(path).unlink()
    await store.close()
    later = sqlite_store(path)
    await later.open()
    assert (await later.accept(new_turn("a"), ME, claim=False)).duplicate
    await later.close()


async def test_the_stores_own_checkpoints_are_no_loss(tmp_path: Path) -> None:
    """Some thousand large turns make SQLite move pages from the write-ahead log to the file again and again."""
    store = sqlite_store(tmp_path / "turns.db")
    await store.open()
    for n in range(500):
        await store.accept(new_turn(f"id-{n}", "words " * 2000, lane=f"lane-{n}"), ME, claim=False)
    await store.close()


def test_a_write_ahead_log_truncated_by_the_connection_itself_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        guard = FileGuard(path, connection)
        for _ in range(3):
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
            guard.check()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            guard.check()
    guard.close()


def test_a_file_made_smaller_by_the_connection_itself_is_no_loss_and_a_cut_file_is(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        guard = FileGuard(path, connection)
        connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        guard.check()
        connection.execute("DELETE FROM t")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        guard.check()
        os.truncate(path, 4096)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="was emptied or cut"):
                guard.check()
    guard.close()


async def test_the_check_costs_a_group_of_writes_some_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        guard = FileGuard(path, connection)
        began = time.process_time()
        for _ in range(1000):
            guard.check()
        assert time.process_time() - began < 0.5
    guard.close()


async def test_a_dropped_schema_is_noticed_by_the_next_heartbeat() -> None:
    schema = fresh_schema()
    store = postgres_store(dsn(), schema=schema)
    await store.open()
    await store.join(ME)
    async with await psycopg.AsyncConnection.connect(dsn(), autocommit=True) as connection:
        await connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())
    with pytest.raises(StoreUnavailable):
        await store.heartbeat(ME, 0)
    with pytest.raises(StoreUnavailable):
        await store.accept(new_turn("a"), ME, claim=False)
    await store.close()


def _created() -> float:
    return REGISTRY.get_sample_value("bridge_store_created_total") or 0.0


def _stores(where: str, folder: Path) -> Callable[..., TurnTable]:
    """Makes stores in the same place again and again: a file or a schema of PostgreSQL."""
    schema = fresh_schema() if where == "postgres" else ""
    return lambda **options: (
        postgres_store(dsn(), schema=schema, **options) if schema else sqlite_store(folder / "turns.db", **options)
    )


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
async def test_only_the_creation_of_a_store_is_a_warning_and_counted(where: str, tmp_path: Path) -> None:
    make, before = _stores(where, tmp_path), _created()
    seen = []
    for _ in range(3):
        store = make()
        with capture_logs() as logs:
            await store.open()
            await store.open()
        seen.append([(line["log_level"], line["event"]) for line in logs])
        assert store.made_at is not None
        assert time.time() - 90 < store.made_at <= time.time()
        await store.close()
    assert seen == [[("warning", "store_created")], [], []]
    assert _created() == before + 1


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
async def test_a_missing_store_is_refused_where_creation_is_forbidden(where: str, tmp_path: Path) -> None:
    make = _stores(where, tmp_path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="BRIDGE_STORE_CREATE=false forbids to make a new, empty store"):
            await make(create=False).open()
    assert _files(tmp_path) == []
    allowed = make()
    await allowed.open()
    await allowed.close()
    store = make(create=False)
    await store.open()
    assert (await store.accept(new_turn("a"), ME, claim=False)).n == 1
    await store.close()


async def test_an_empty_file_is_refused_and_left_empty_where_creation_is_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    path.touch()
    with pytest.raises(StoreUnavailable, match=r"turns\.db is empty, and BRIDGE_STORE_CREATE=false"):
        await sqlite_store(path, create=False).open()
    assert path.read_bytes() == b""


async def test_a_database_without_a_store_is_refused_where_creation_is_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(StoreUnavailable, match="holds no store"):
        await sqlite_store(path, create=False).open()
    with closing(sqlite3.connect(path)) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["other"]
