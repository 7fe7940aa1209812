"""Many people share the gateway's one limit: all are answered, nobody waits for a flooder, people are told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from postgres_server import dsn, fresh_schema

from chaos.storm import Storm, storm

pytestmark = pytest.mark.e2e

INTERVAL, BURST = 0.05, 5
FLOODER = "lane-1000"
LIMIT = {"GOCLAW_RATE_LIMIT": "1200", "GOCLAW_RATE_BURST": "5", "BRIDGE_MERGE": "false"}


def waits(here: Storm, lanes: range) -> list[float]:
    """How long each question of these lanes waited for its answer, in seconds."""
    answered = {token: run.ended for run in here.field.asked if not run.refused for token in run.tokens}
    mine = {f"lane-{n}" for n in lanes}
    return [answered[sent.token] - sent.sent for sent in here.field.sent.values() if sent.lane in mine]


async def _rush(here: Storm, users: int) -> None:
    here.field.faults.bucket = (INTERVAL, BURST)
    await here.start()
    say = here.people.say
    await asyncio.gather(*(say(FLOODER) for _ in range(20)), *(say(f"lane-{n}") for n in range(users)))
    await asyncio.gather(*(here.people.say(f"lane-{n}") for n in range(users)))
    await here.settle(120)
    await here.close()
    verdict = here.verdict()
    assert verdict.violations == (), here.report(verdict, 0)


async def test_two_hundred_people_are_all_answered_and_wait_for_each_other_not_for_a_flooder(tmp_path: Path) -> None:
    users = 200
    async with storm(tmp_path / "w", 1, settings=LIMIT) as here:
        await _rush(here, users)
        assert len(waits(here, range(users))) == 2 * users
        # two rounds, in each of which everybody (the flooder as well) has one place; then some seconds of the machine's
        assert max(waits(here, range(users))) < 2 * (users + 1) * INTERVAL + 6.0
        # asked no faster than allowed, so (nearly) nothing was refused: a busy machine delivers in bursts
        assert here.field.told["over the limit"] <= users / 5
        told = [shown for shown in here.field.shown if "in line" in shown.text]
        assert told
        assert len(told) == len({(shown.lane, shown.reply_to) for shown in told})


async def test_two_replicas_share_the_limit(tmp_path: Path) -> None:
    users = 60
    async with storm(tmp_path / "w", 2, replicas=2, database=(dsn(), fresh_schema()), settings=LIMIT) as here:
        await _rush(here, users)
        assert here.field.told["over the limit"] <= users / 3
        assert max(waits(here, range(users))) < 3 * (users + 1) * INTERVAL + 8.0
