"""The thread that owns the SQLite connection and commits jobs in groups.

While a group is being committed, the next jobs gather in the event loop; the next group starts after the callers of the
last group have gone on. The busier the process, the larger the groups, and all jobs of a group share a single fsync and
change of threads. A failed job undoes only its own statements. A caller gets its result after COMMIT; the job of a
cancelled caller is committed all the same.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bridge.core.errors import StoreUnavailable

Job = Callable[[sqlite3.Connection], Any]
"""Executes statements on the connection, without further effects: if its group fails, a job runs a second time."""
_Waiting = tuple[Job, asyncio.Future[Any]]

# Jobs. A longer queue means that the disk has stopped: refusing is better than growing.
_LONGEST_QUEUE = 20_000
_LARGEST_GROUP = 512


def _no_check() -> None:
    """The check of a connection without a file to watch."""


class Writer:
    """Runs jobs in groups on the connection made by `connect`. `failing`: a job of the last group failed.

    `check` runs before and after each group; while `check` raises StoreUnavailable, no job succeeds.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], check: Callable[[], None] = _no_check) -> None:
        self._connect = connect
        self._check = check
        self._waiting: list[_Waiting] = []
        self._groups: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._committing = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failing = False

    async def start(self) -> None:
        """Start the thread and open the connection; a second call does nothing. Raises: the errors of `connect`."""
        if self._thread is not None:
            return
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[Any] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="store-writer", daemon=True)
        self._thread.start()
        await opened

    async def stop(self) -> None:
        """Commit the waiting jobs, then close the connection."""
        # first refuse further jobs: a job behind the end would never be answered
        thread, self._thread = self._thread, None
        if thread is not None:
            self._groups.put(self._waiting)
            self._waiting = []
            self._groups.put(None)
            await asyncio.to_thread(thread.join)

    def submit(self, job: Job) -> asyncio.Future[Any]:
        """The job's result after the commit, as a future. Raises: StoreUnavailable (so may the future)."""
        if self._loop is None or self._thread is None:
            raise StoreUnavailable("the store is closed")
        if len(self._waiting) > _LONGEST_QUEUE:
            raise StoreUnavailable("too many writes are waiting")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((job, future))
        if not self._committing:
            self._committing = True
            self._loop.call_soon(self._next_group)
        return future

    def _next_group(self) -> None:
        """Hand the next group over to the thread, if jobs wait."""
        group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
        self._committing = bool(group)
        if group:
            self._groups.put(group)

    def _not_open(self, opened: asyncio.Future[Any], error: Exception) -> None:
        """The connection could not be opened, so the thread has ended: fail all waiting jobs."""
        waiting, self._waiting, self._thread = self._waiting, [], None
        while not self._groups.empty():
            waiting += self._groups.get() or []
        self._done([(opened, None, error), *((future, None, error) for _, future in waiting)])

    def _done(self, results: list[_Result]) -> None:
        for future, value, error in results:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)
        # behind the callers, which go on now: their next writes join the next group
        asyncio.get_running_loop().call_soon(self._next_group)

    def _run(self, opened: asyncio.Future[Any]) -> None:
        loop = opened.get_loop()
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001  handed to the caller of `start`
            loop.call_soon_threadsafe(self._not_open, opened, error)
            return
        done: _Result = (opened, None, None)
        loop.call_soon_threadsafe(self._done, [done])
        while (group := self._groups.get()) is not None:
            results = self._checked(connection, group)
            self.failing = any(isinstance(error, StoreUnavailable) for _, _, error in results)
            try:
                loop.call_soon_threadsafe(self._done, results)
            except RuntimeError:  # the loop is closed: no caller waits any more, the commit stands
                break
        connection.close()

    def _checked(self, connection: sqlite3.Connection, group: list[_Waiting]) -> list[_Result]:
        """The results of a group; all fail if the store's file is gone before the group or at its end."""
        try:
            self._check()
            results = _commit(connection, group)
            self._check()
        except Exception as error:  # noqa: BLE001  an error of the disk must not end the thread
            detail = error.detail if isinstance(error, StoreUnavailable) else f"the file: {type(error).__name__}"
            return [(future, None, StoreUnavailable(detail)) for _, future in group]
        return results


_Result = tuple[asyncio.Future[Any], Any, Exception | None]


def _commit(connection: sqlite3.Connection, group: list[_Waiting]) -> list[_Result]:
    """Run the group in a single transaction; after a failure undo the whole group and run each job alone.

    A savepoint for each job would do the same, but triple the statements in the ordinary case, and each statement
    hands the interpreter lock over twice.
    """
    if truncations := [future for job, future in group if job is truncate_log]:
        jobs = [waiting for waiting in group if waiting[0] is not truncate_log]
        return [
            *(_commit(connection, jobs) if jobs else ()),
            *(_truncate(connection, future) for future in truncations),
        ]
    try:
        with _transaction(connection):
            results = [job(connection) for job, _ in group]
    except Exception:  # noqa: BLE001  the failing job shows when each job runs alone
        return [_run_alone(connection, job, future) for job, future in group]
    return [(future, result, None) for (_, future), result in zip(group, results, strict=True)]


def truncate_log(connection: sqlite3.Connection) -> None:
    """A job outside of any transaction: move the write-ahead log into the file, and empty the log.

    The log keeps earlier versions of rows, also of blanked rows, until the log is written over.
    https://www.sqlite.org/pragma.html#pragma_wal_checkpoint
    """
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _truncate(connection: sqlite3.Connection, future: asyncio.Future[Any]) -> _Result:
    try:
        truncate_log(connection)
    except sqlite3.Error as error:
        return future, None, _unavailable(error)
    return future, None, None


def _unavailable(error: sqlite3.Error) -> StoreUnavailable:
    return StoreUnavailable(f"sqlite: {getattr(error, 'sqlite_errorname', type(error).__name__)}")


def _run_alone(connection: sqlite3.Connection, job: Job, future: asyncio.Future[Any]) -> _Result:
    try:
        with _transaction(connection):
            result = job(connection)
    except sqlite3.Error as error:
        return future, None, _unavailable(error)
    except Exception as error:  # noqa: BLE001  a value that SQLite cannot bind must not end the thread
        return future, None, error
    return future, result, None


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
