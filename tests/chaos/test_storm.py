"""The short form of the chaos suite: random users, faults, deaths and freezes, and no guarantee broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from support.postgres_server import dsn, fresh_schema

from chaos.parallel import abreast
from chaos.storm import storm

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def _weather(
    folder: Path, seed: int, replicas: int = 1, database: tuple[str, str] | None = None, patches: tuple[str, ...] = ()
) -> None:
    messages = 14
    async with storm(folder / "w", seed, replicas=replicas, database=database, patches=patches) as here:
        await here.start()
        await here.blow(messages=messages, seconds=14.0, every=2.5, longest_freeze=2.0)
        await here.settle(100)
        await here.close()
        verdict = here.verdict()
        report = here.report(verdict, seed)
        print(report)  # noqa: T201  pytest shows it where the test fails
        assert verdict.violations == (), report
        assert len(here.field.sent) > messages
        assert here.field.troubles


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weather(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Awaitable[None]]]:
    """Both at once. The one with replicas has a short lease, so that they take over from each other as they die."""
    database, folder = (await asyncio.to_thread(dsn), fresh_schema()), tmp_path_factory.mktemp
    stories = {
        "file": partial(_weather, folder("file"), 11),
        "database": partial(_weather, folder("database"), 12, 2, database, ("hasty",)),
    }
    async with abreast(stories, most=2) as tasks:
        yield tasks


async def test_one_process_on_a_file_keeps_its_promises(weather: Mapping[str, Awaitable[None]]) -> None:
    await weather["file"]


async def test_two_replicas_on_one_database_keep_them_too(weather: Mapping[str, Awaitable[None]]) -> None:
    await weather["database"]
