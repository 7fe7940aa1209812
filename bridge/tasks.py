"""The one way to start a background task: it is kept, named, and its failure is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger()


class Tasks:
    """The tasks of one owner. A task that nobody references may be collected while it runs, so all are kept here."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside the caller; an exception in it is logged under `name`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def cancel(self) -> None:
        """Cancel what still runs, and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def finish(self, seconds: float) -> int:
        """Wait up to `seconds` for what runs to end by itself; gives the number of tasks still running."""
        tasks = list(self._tasks)
        if not tasks:
            return 0
        _, running = await asyncio.wait(tasks, timeout=seconds)
        return len(running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_failed", task=task.get_name(), error=type(error).__name__, exc_info=error)
