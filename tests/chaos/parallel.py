"""Runs several storms at the same time: a storm waits more than it computes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")


@asynccontextmanager
async def in_parallel(
    jobs: Mapping[Key, Callable[[], Awaitable[Result]]], most: int
) -> AsyncIterator[Mapping[Key, asyncio.Task[Result]]]:
    """Start the jobs in order, at most `most` at once; give the tasks by key, and cancel all tasks after the block."""
    slots = asyncio.Semaphore(most)

    async def run(job: Callable[[], Awaitable[Result]]) -> Result:
        async with slots:
            return await job()

    tasks = {key: asyncio.create_task(run(job)) for key, job in jobs.items()}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
