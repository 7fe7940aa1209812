"""Promises of the SQLite file only: durability, a single process, group commit (see contract/test_turn_store.py)."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.engine_world import BOB, EPOCH, new_turn, stop_command, until

from bridge.core.edits import EditVerdict, MessageEdit
from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.core.files.kept import FileState, KeptFile
from bridge.core.turn import Edit, Outcome, Reply, State
from bridge.store.sqlite import SQLITE, sqlite_store
from bridge.store.statements import load_migrations
from bridge.store.table import TurnTable
from bridge.store.writer import Job, Writer

ME = "owner-1"
TESTS = Path(__file__).parent.parent

# Accepts without end, 50 turns at a time, and prints each acknowledged number at once.
ACKNOWLEDGING = """
import asyncio, itertools, sys
from pathlib import Path
import structlog
from support.engine_world import new_turn
from bridge.store.sqlite import sqlite_store

async def one(store, count):
    while True:
        id_ = f"id-{next(count)}"
        await store.accept(new_turn(id_, lane=id_), "child", claim=True)
        print(id_, flush=True)

async def main():
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    store = sqlite_store(Path(sys.argv[1]))
    await store.open()
    count = itertools.count()
    await asyncio.gather(*(one(store, count) for _ in range(50)))

asyncio.run(main())
"""


def _child(path: Path) -> subprocess.Popen[str]:
    search = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.Popen(
        [sys.executable, "-c", ACKNOWLEDGING, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": search},
    )


def _read(child: subprocess.Popen[str], lines: int) -> list[str]:
    assert child.stdout is not None
    return [child.stdout.readline().strip() for _ in range(lines)]


def _file_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_acknowledged_turns_survive_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    with _child(path) as child:
        acknowledged = await asyncio.to_thread(_read, child, 300)
        child.kill()
        assert child.stdout is not None
        acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
    store = sqlite_store(path)
    await store.open()
    again = await asyncio.gather(*(store.accept(new_turn(id_, lane="x"), ME, claim=False) for id_ in acknowledged))
    orphans = await store.take_over(ME)
    await store.close()
    assert len(set(acknowledged)) >= 300
    assert all(accepted.duplicate for accepted in again)
    assert {turn.id for turn in orphans.turns} >= set(acknowledged)


def _copies(path: Path, secret: str) -> int:
    """How often the secret stands in the store's file and its log."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.read_bytes().count(secret.encode()) for file in files if file.exists())


@pytest.mark.parametrize("deleted", [False, True])
async def test_forgotten_texts_stand_neither_in_the_file_nor_in_its_log(tmp_path: Path, deleted: bool) -> None:
    path, secret = tmp_path / "turns.db", "Confidential words"
    store = sqlite_store(path)
    await store.open()
    for n in range(40):
        accepted = await store.accept(new_turn(f"id-{n}", f"{secret} " * (n * n)), ME, claim=True)
        assert accepted.claimed is not None
        answer = Reply(Outcome.DELIVERED, ({"text": f"{secret} " * (1600 - n * n)},))
        await store.record_answer(accepted.claimed, answer)
        await store.close_turn(accepted.claimed, Outcome.DELIVERED, ("m",), EPOCH)
        await store.edit(MessageEdit(f"id-{n}", Edit(f"{secret}, edited", 5.0)), EPOCH)
        file = KeptFile(
            f"f{n}", accepted.n, secret, "x", secret.encode() * 900, FileState.LINKED, "c", "p", EPOCH, EPOCH
        )
        await store.files.keep(file, 10**9)
    assert _copies(path, secret) > 1000

    late = EPOCH + 7200
    while await store.forget_old(late, late if deleted else 0, late):
        pass

    assert _copies(path, secret) == 0
    assert (await store.accept(new_turn("next"), ME, claim=True)).n == 41
    await store.close()
    assert _copies(path, secret) == 0


async def test_a_deleted_question_leaves_the_log_with_the_next_retention(tmp_path: Path) -> None:
    path, secret = tmp_path / "turns.db", "Confidential words"
    store = sqlite_store(path)
    await store.open()
    await store.accept(new_turn("first"), ME, claim=True)
    await store.accept(new_turn("a", secret), ME, claim=False)
    await store.edit(MessageEdit("a", Edit("other words", 5.0)), EPOCH)
    assert _copies(path, secret) > 0
    assert await store.forget_old(0, 0) == 0
    assert _copies(path, secret) == 0
    await store.close()


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o640, 0o604])
async def test_an_earlier_file_open_to_other_accounts_becomes_private(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "turns.db"
    store = sqlite_store(path)
    await store.open()
    await store.close()
    wal = path.with_name("turns.db-wal")
    wal.touch()
    for file in (path, wal):
        file.chmod(mode)

    await store.open()
    assert [_file_mode(file) for file in (path, wal)] == [0o600, 0o600]
    await store.close()


async def test_a_second_process_is_refused_in_clear_words(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    with _child(path) as child:
        await asyncio.to_thread(_read, child, 1)
        with pytest.raises(StoreInUse, match=r"another process uses turns\.db"):
            await sqlite_store(path, patience=0.05).open()
        child.kill()
    store = sqlite_store(path)
    await store.open()
    await store.close()


async def test_a_refused_store_opens_once_the_file_is_free(tmp_path: Path) -> None:
    first, second = sqlite_store(tmp_path / "turns.db"), sqlite_store(tmp_path / "turns.db", patience=0.02)
    await first.open()
    with pytest.raises(StoreInUse):
        await second.open()
    with pytest.raises(StoreUnavailable):
        await second.accept(new_turn("a"), ME, claim=True)
    await first.close()
    await second.open()
    assert (await second.accept(new_turn("a"), ME, claim=True)).n == 1
    await second.close()


async def test_a_repeated_activity_is_known_after_a_restart(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "turns.db")
    await store.open()
    accepted = await store.accept(new_turn("a", "words"), ME, claim=True)
    assert accepted.claimed is not None
    await store.record_answer(accepted.claimed, Reply(Outcome.DELIVERED, ({"text": "x"}, {"text": "y"})))
    await store.record_delivered(accepted.claimed, ("m1",))
    await store.close()
    later = sqlite_store(tmp_path / "turns.db")
    await later.open()
    assert (await later.accept(new_turn("a"), "owner-2", claim=True)).duplicate
    (turn,) = (await later.take_over("owner-2")).turns
    assert (turn.n, turn.state, turn.delivered, turn.payload.text) == (1, State.ANSWERED, ("m1",), "words")
    await later.close()


async def test_opening_an_open_store_changes_nothing(tmp_path: Path) -> None:
    """A start that failed behind the opening of the file is tried again as a whole."""
    store = sqlite_store(tmp_path / "turns.db", patience=0.02)
    await store.open()
    await store.open()
    assert (await store.accept(new_turn("a"), ME, claim=True)).n == 1
    await store.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode bits; the folder's access list protects the file")
async def test_the_files_are_readable_by_the_service_account_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = sqlite_store(tmp_path / "deep" / "turns.db")
        await store.open()
        await store.accept(new_turn("a"), ME, claim=True)
        modes = {path.name: _file_mode(path) for path in (tmp_path / "deep").iterdir()}
        await store.close()
    finally:
        os.umask(old)
    assert modes == {"turns.db": 0o600, "turns.db-wal": 0o600}


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    newer = len(load_migrations(SQLITE)) + 2
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    with pytest.raises(StoreUnavailable, match="works with schemas up to"):
        await sqlite_store(path).open()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (newer,)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StoreUnavailable, match="cannot open"):
        await sqlite_store(path).open()


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot open"):
        await sqlite_store(tmp_path / "file" / "turns.db").open()


async def test_a_store_that_is_not_open_is_unavailable(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "turns.db")
    with pytest.raises(StoreUnavailable):
        await store.accept(new_turn("a"), ME, claim=True)
    await store.open()
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await store.accept(new_turn("a"), ME, claim=True)
    await closing
    await store.close()


async def test_closing_commits_waiting_writes(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "turns.db")
    await store.open()
    callers = [asyncio.ensure_future(store.accept(new_turn(f"id-{n}"), ME, claim=False)) for n in range(1000)]
    await asyncio.sleep(0)
    await store.close()
    assert [accepted.n for accepted in await asyncio.gather(*callers)] == list(range(1, 1001))


async def test_a_value_that_no_database_can_hold_fails_only_its_caller(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "turns.db")
    await store.open()
    neighbours = [
        store.accept(new_turn("a"), ME, claim=True),
        store.find(2**64),
        store.accept(new_turn("b"), ME, claim=True),
    ]
    one, bad, two = await asyncio.gather(*neighbours, return_exceptions=True)
    assert isinstance(bad, OverflowError)
    assert not isinstance(one, BaseException)
    assert not isinstance(two, BaseException)
    assert (await store.accept(new_turn("c"), ME, claim=True)).n == 3
    await store.close()


def _small(path: Path, statements: list[str]) -> sqlite3.Connection:
    """A database with room for a few pages, which records executed statements."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA max_page_count = 20")
    connection.execute("CREATE TABLE IF NOT EXISTS t (x UNIQUE)")
    connection.set_trace_callback(statements.append)
    return connection


def _insert(value: Any) -> Any:
    return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (value,)).rowcount


async def _rows(writer: Writer) -> list[Any]:
    rows: list[Any] = await writer.submit(lambda c: [row[0] for row in c.execute("SELECT x FROM t ORDER BY 1")])
    return rows


async def _behind_a_held_job(writer: Writer, jobs: list[Job]) -> list[object]:
    """The results of jobs that waited together while a first job held the thread."""
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first(connection: sqlite3.Connection) -> None:
        asyncio.run_coroutine_threadsafe(held.wait(), loop).result(5)
        connection.execute("INSERT INTO t VALUES (1)")

    waiting = [writer.submit(job) for job in (first, *jobs)]
    held.set()
    return (await asyncio.gather(*waiting, return_exceptions=True))[1:]


async def _behind(writer: Writer, *jobs: Job) -> list[Any]:
    """The results of jobs that waited together while the thread was busy."""
    began, go_on = threading.Event(), threading.Event()

    def busy(_: sqlite3.Connection) -> None:
        began.set()
        go_on.wait(5)

    waiting = [writer.submit(busy)]
    await until(began.is_set)
    waiting += [writer.submit(job) for job in jobs]
    go_on.set()
    return (await asyncio.gather(*waiting, return_exceptions=True))[1:]


async def test_waiting_jobs_share_a_single_commit(tmp_path: Path) -> None:
    seen: list[str] = []
    writer = Writer(lambda: _small(tmp_path / "t.db", seen))
    await writer.start()
    assert await _behind(writer, *(_insert(n) for n in range(50))) == [1] * 50
    # a commit of the busy job, and a commit of all waiting jobs
    assert seen.count("COMMIT") == 2
    await writer.stop()


async def test_writes_are_refused_while_the_store_cannot_be_opened_and_work_after_the_next_opening(
    tmp_path: Path,
) -> None:
    go_on = threading.Event()

    def failing() -> sqlite3.Connection:
        go_on.wait(5)
        raise StoreUnavailable("no such folder")

    tries = itertools.count()
    writer = Writer(lambda: failing() if next(tries) < 2 else _small(tmp_path / "t.db", []))
    opening = asyncio.create_task(writer.start())
    await asyncio.sleep(0)
    written = writer.submit(_insert(1))
    go_on.set()
    assert [type(failure) for failure in await asyncio.gather(opening, written, return_exceptions=True)] == [
        StoreUnavailable,
        StoreUnavailable,
    ]
    go_on.clear()
    given_up = asyncio.create_task(writer.start())
    await asyncio.sleep(0)
    given_up.cancel()
    go_on.set()
    await until(lambda: _refuses(writer))
    await writer.start()
    assert await writer.submit(_insert(2)) == 1
    await writer.stop()


def _refuses(writer: Writer) -> bool:
    try:
        writer.submit(_insert(0)).cancel()
    except StoreUnavailable:
        return True
    return False


async def test_a_failing_job_undoes_only_itself(tmp_path: Path) -> None:
    writer = Writer(lambda: _small(tmp_path / "t.db", []))
    await writer.start()

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (100)")
        connection.execute("INSERT INTO t VALUES (1)")  # there already: the whole job is undone

    results = await _behind(writer, _insert(1), _insert(2), half, _insert(3), _insert(object()), _insert(4))
    assert [result if result == 1 else type(result) for result in results] == [
        *(1, 1, StoreUnavailable),
        *(1, StoreUnavailable, 1),
    ]
    assert await _rows(writer) == [1, 2, 3, 4]
    await writer.stop()


async def test_a_full_disk_fails_its_callers_and_heals(tmp_path: Path) -> None:
    writer = Writer(lambda: _small(tmp_path / "t.db", []))
    await writer.start()
    await writer.submit(_insert("kept"))
    jobs = [writer.submit(_insert(f"{n}" + "x" * 30_000)) for n in range(8)]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert any(isinstance(result, StoreUnavailable) for result in results)
    acknowledged = 1 + results.count(1)
    assert len(await _rows(writer)) == acknowledged
    await writer.submit(lambda c: c.execute("DELETE FROM t WHERE x <> 'kept'"))
    assert await writer.submit(_insert("again")) == 1
    assert await _rows(writer) == ["again", "kept"]
    await writer.stop()


async def test_two_claimed_turns_in_one_lane_are_refused_by_the_database_itself(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "turns.db")
    await store.open()
    await store.accept(new_turn("a"), ME, claim=True)
    await store.accept(new_turn("b"), ME, claim=True)
    await store.close()
    connection = sqlite3.connect(tmp_path / "turns.db")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE turns SET state = 'running'")
    connection.close()


async def test_the_session_key_is_kept_for_operators(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "turns.db")
    await store.open()
    await store.accept(new_turn("a", accepted=EPOCH), ME, claim=True)
    await store.close()
    connection = sqlite3.connect(tmp_path / "turns.db")
    assert connection.execute("SELECT session FROM turns").fetchall() == [("agent:helper:http:direct:user-chat",)]
    connection.close()


async def test_an_edit_whose_message_does_not_come_is_kept_for_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    store = sqlite_store(path)
    await store.open()
    for message in ("old", "new"):
        change = MessageEdit(message, Edit(f"{message}, edited", 1.0), "aad-ann")
        assert (await store.edit(change, EPOCH)).verdict is EditVerdict.KEPT
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE edits SET at = at - 3601 WHERE id = 'old'")
    await store.open()
    texts = [await _asked(store, message) for message in ("old", "new")]
    await store.forget_old(0, 0)
    await store.close()
    assert texts == ["old", "new, edited"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM edits").fetchall() == [("new",)]


async def _asked(store: TurnTable, message: str) -> str:
    accepted = await store.accept(new_turn(message, lane=message), ME, claim=False)
    found = await store.find(accepted.n)
    assert found is not None
    return found.payload.text


async def test_a_waiting_question_of_an_earlier_version_is_everybodys_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    store = sqlite_store(path)
    await store.open()
    turn = await store.accept(new_turn("a"), ME, claim=False)
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE turns SET asker = ''")
        connection.commit()
    await store.open()
    stopped = await store.stop(new_turn("a").lane, stop_command(who=BOB), "Bob", EPOCH)
    assert stopped.waiting == (turn.n,)
    await store.close()
