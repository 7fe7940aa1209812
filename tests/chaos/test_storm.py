"""The short form of the chaos suite: random users, faults, deaths and freezes, and no guarantee broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgres_server import dsn, fresh_schema

from chaos.storm import Storm, storm

pytestmark = pytest.mark.e2e


async def _weather(here: Storm, seed: int, messages: int) -> None:
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


async def test_one_process_on_a_file_keeps_its_promises(tmp_path: Path) -> None:
    async with storm(tmp_path / "w", 11, lanes=8) as here:
        await _weather(here, 11, messages=14)


async def test_two_replicas_on_one_database_keep_them_too(tmp_path: Path) -> None:
    async with storm(tmp_path / "w", 12, lanes=8, replicas=2, database=(dsn(), fresh_schema())) as here:
        await _weather(here, 12, messages=14)
