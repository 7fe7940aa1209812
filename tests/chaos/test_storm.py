"""The short form of the chaos suite: amid random users, faults, kills and freezes no guarantee is broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from support.postgres_server import dsn, fresh_schema

from chaos.parallel import in_parallel
from chaos.storm import storm

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def _storm(
    folder: Path, seed: int, replicas: int = 1, database: tuple[str, str] | None = None, patches: tuple[str, ...] = ()
) -> None:
    messages = 14
    async with storm(folder / "w", seed, replicas=replicas, database=database, patches=patches) as here:
        await here.start()
        await here.play(messages=messages, seconds=14.0, every=2.5, longest_freeze=2.0)
        await here.wait_until_idle(100)
        await here.close()
        verdict = here.verdict()
        report = here.report(verdict, seed)
        print(report)  # noqa: T201  pytest shows it where the test fails
        assert verdict.violations == (), report
        assert len(here.outside.person_messages) > messages
        assert here.outside.troubles


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def storms(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Awaitable[None]]]:
    """Both storms, run in parallel; two replicas have a short lease, so that kills and freezes lead to takeovers."""
    database, folder = (await asyncio.to_thread(dsn), fresh_schema()), tmp_path_factory.mktemp
    jobs = {
        "file": partial(_storm, folder("file"), 11),
        "database": partial(_storm, folder("database"), 12, 2, database, ("short_lease",)),
    }
    async with in_parallel(jobs, most=2) as tasks:
        yield tasks


async def test_one_process_on_a_file_keeps_all_guarantees(storms: Mapping[str, Awaitable[None]]) -> None:
    await storms["file"]


async def test_two_replicas_on_one_database_keep_all_guarantees(storms: Mapping[str, Awaitable[None]]) -> None:
    await storms["database"]
