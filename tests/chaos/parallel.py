"""Storms side by side: each waits more than it computes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

Key = TypeVar("Key")
Told = TypeVar("Told")


@asynccontextmanager
async def abreast(
    stories: Mapping[Key, Callable[[], Awaitable[Told]]], most: int
) -> AsyncIterator[Mapping[Key, asyncio.Task[Told]]]:
    """Begins the stories in their order, `most` at once; each test waits for its own. At the end the rest is ended."""
    places = asyncio.Semaphore(most)

    async def tell(story: Callable[[], Awaitable[Told]]) -> Told:
        async with places:
            return await story()

    tasks = {key: asyncio.create_task(tell(story)) for key, story in stories.items()}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
