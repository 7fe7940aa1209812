"""Background tasks: the only place where a task is started, kept, named, and its failure reported."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger()


class Tasks:
    """The tasks of one part of the bridge. asyncio may collect a task without references, so all are kept here.

    https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside the caller; an exception of `work` is logged under `name`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

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

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_failed", task=task.get_name(), error=type(error).__name__, exc_info=error)
