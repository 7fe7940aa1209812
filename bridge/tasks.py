"""Background tasks: the only place where a task is started, kept, named, and its failure reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from bridge import metrics

_log = structlog.get_logger()

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds before a failed task starts again; doubled with each failure
_LASTING = 120.0  # seconds; a task that ran so long without a failure counts as well again


class Tasks:
    """The tasks of one part of the bridge. asyncio may collect a task without references, so all are kept here.

    https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failing: dict[str, str] = {}

    @property
    def failing(self) -> dict[str, str]:
        """The tasks that failed lately and are started again: name to a line for operators."""
        return dict(self._failing)

    def beside(self) -> Tasks:
        """Tasks that are cancelled on their own, and whose failures stand in the same record `failing`."""
        further = Tasks()
        further._failing = self._failing
        return further

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside the caller; an exception of `work` is logged under `name`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[Any]:
        """Run `work()` beside the caller until `work` returns; after an exception run `work()` again.

        The pauses before a new start grow from 1 s to a minute. `failing` has the failure until `work` ran for two
        minutes without a further exception.
        """
        return self.start(self._kept(work, name), name)

    async def cancel(self) -> None:
        """Cancel all running tasks, and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def finish(self, seconds: float) -> int:
        """Wait up to `seconds` for the running tasks to end; gives the number of tasks still running."""
        tasks = list(self._tasks)
        if not tasks:
            return 0
        _, running = await asyncio.wait(tasks, timeout=seconds)
        return len(running)

    async def _kept(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        loop, failures, pause = asyncio.get_running_loop(), 0, _FIRST_PAUSE
        while True:
            began = loop.time()
            well = loop.call_later(_LASTING, self._failing.pop, name, None)
            try:
                await work()
            except Exception as error:  # noqa: BLE001  the task runs again, whatever broke the last run
                if loop.time() - began >= _LASTING:
                    failures, pause = 0, _FIRST_PAUSE
                failures += 1
                kind = type(error).__name__
                self._failing[name] = f"failed with {kind} ({failures} in a row), started again after {pause:g} s"
                metrics.TASK_FAILURES.labels(name).inc()
                _log.error("task_failed", task=name, error=kind, again_in=pause, exc_info=error)
            else:
                self._failing.pop(name, None)
                return
            finally:
                well.cancel()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_failed", task=task.get_name(), error=type(error).__name__, exc_info=error)
