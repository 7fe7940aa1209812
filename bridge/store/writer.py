"""One thread that owns the SQLite connection, and commits in groups.

While a group is being committed the next one gathers in the event loop, and goes when the loop has seen to what the
last one has set free: the busier the process, the larger its groups, which share one fsync and one change of threads.
A job that fails undoes only itself. A caller hears back after COMMIT; a caller that was cancelled undoes nothing.
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
        self._waiting: list[_Waiting] = []
        self._groups: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._under_way = False
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
        await opened

    async def stop(self) -> None:
        """Finish what waits, then close the connection."""
        # first of all nothing more is taken: a job behind the end would never be answered
        thread, self._thread = self._thread, None
        if thread is not None:
            self._groups.put(self._waiting)
            self._waiting = []
            self._groups.put(None)
            await asyncio.to_thread(thread.join)

    def submit(self, job: Job) -> asyncio.Future[Any]:
        """The job's result, once it is committed. Fails with StoreUnavailable."""
        if self._loop is None or self._thread is None:
            raise StoreUnavailable("the store is closed")
        if len(self._waiting) > _LONGEST_QUEUE:
            raise StoreUnavailable("too many writes are waiting")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((job, future))
        if not self._under_way:
            self._under_way = True
            self._loop.call_soon(self._go)
        return future

    def _go(self) -> None:
        """Hand the next group over, if there is one."""
        group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
        self._under_way = bool(group)
        if group:
            self._groups.put(group)

    def _not_open(self, opened: asyncio.Future[Any], error: Exception) -> None:
        """There is no thread: nobody may wait for it."""
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
        # behind the callers that go on now: what they write next is of the same group
        asyncio.get_running_loop().call_soon(self._go)

    def _run(self, opened: asyncio.Future[Any]) -> None:
        loop = opened.get_loop()
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001  handed to the caller that waits for the opening
            loop.call_soon_threadsafe(self._not_open, opened, error)
            return
        done: _Result = (opened, None, None)
        loop.call_soon_threadsafe(self._done, [done])
        while (group := self._groups.get()) is not None:
            results = _commit(connection, group)
            self.failing = any(isinstance(error, StoreUnavailable) for _, _, error in results)
            try:
                loop.call_soon_threadsafe(self._done, results)
            except RuntimeError:  # the loop is closed: nobody waits any more, the commit stands
                break
        connection.close()


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
