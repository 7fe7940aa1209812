"""One thread that owns the SQLite connection, and commits in groups.

Whatever waits when the thread is free goes into one transaction, so that all of it shares one fsync. A job that fails
undoes only itself. A caller hears back after COMMIT; a caller that was cancelled meanwhile undoes nothing.
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
"""Statements on the connection, and nothing else: a job of a group that failed runs a second time."""
_Waiting = tuple[Job, asyncio.Future[Any]]

# More than this at once means the disk has stopped: refusing is better than growing.
_LONGEST_QUEUE = 20_000
_LARGEST_GROUP = 512


class Writer:
    """Runs jobs on the connection that `connect` makes, in groups. `failing`: one of the last group failed."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failing = False

    async def start(self) -> None:
        """Open the connection in the thread; open already, it does nothing. Raises what `connect` raises."""
        if self._thread is not None:
            return
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[Any] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="store-writer", daemon=True)
        self._thread.start()
        try:
            await opened
        except Exception:
            self._thread = None
            raise

    async def stop(self) -> None:
        """Finish what waits, then close the connection."""
        # first of all nothing more is taken: a job behind the end would never be answered
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    def submit(self, job: Job) -> asyncio.Future[Any]:
        """The job's result, once it is committed. Fails with StoreUnavailable."""
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            raise StoreUnavailable("the store is closed")
        if self._queue.qsize() > _LONGEST_QUEUE:
            raise StoreUnavailable("too many writes are waiting")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put((job, future))
        return future

    def _run(self, opened: asyncio.Future[Any]) -> None:
        loop = opened.get_loop()
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001  handed to the caller that waits for the opening
            failed: _Result = (opened, None, error)
            loop.call_soon_threadsafe(_finish, [failed])
            return
        done: _Result = (opened, None, None)
        loop.call_soon_threadsafe(_finish, [done])
        while (first := self._queue.get()) is not None:
            group, ended = self._gather(first)
            results = _commit(connection, group)
            self.failing = any(isinstance(error, StoreUnavailable) for _, _, error in results)
            try:
                loop.call_soon_threadsafe(_finish, results)
            except RuntimeError:  # the loop is closed: nobody waits any more, the commit stands
                break
            if ended:
                break
        connection.close()

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        group = [first]
        while len(group) < _LARGEST_GROUP:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                return group, True
            group.append(waiting)
        return group, False


_Result = tuple[asyncio.Future[Any], Any, Exception | None]


def _commit(connection: sqlite3.Connection, group: list[_Waiting]) -> list[_Result]:
    """The whole group in one transaction; if anything fails, all of it is undone and each job runs alone.

    A savepoint for each job would do the same, but triples the statements in the ordinary case, and each statement
    hands the interpreter lock over twice.
    """
    try:
        with _transaction(connection):
            results = [job(connection) for job, _ in group]
    except Exception:  # noqa: BLE001  whose fault it was shows when each runs alone
        return [_alone(connection, job, future) for job, future in group]
    return [(future, result, None) for (_, future), result in zip(group, results, strict=True)]


def _alone(connection: sqlite3.Connection, job: Job, future: asyncio.Future[Any]) -> _Result:
    try:
        with _transaction(connection):
            result = job(connection)
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        return future, None, StoreUnavailable(f"sqlite: {name}")
    except Exception as error:  # noqa: BLE001  a value SQLite cannot bind must not end the thread for everybody
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


def _finish(results: list[_Result]) -> None:
    for future, value, error in results:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
