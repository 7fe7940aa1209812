"""Many people share the gateway's one limit: all are answered, nobody waits for a flooder, people are told.

Nothing here is judged by seconds, so a busy machine changes nothing: the bucket by its own account, and a wait by how
many were asked meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from support.postgres_server import dsn, fresh_schema

from chaos.budget_ledger import account, audit, keep_account
from chaos.parallel import abreast
from chaos.storm import EPOCH, Storm, storm

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

INTERVAL, BURST = 0.05, 5
FLOODER, FLOOD = "lane-1000", 10
# marks go off at 1.5 a second at most, and a process that ends waits for that
LIMIT = {"GOCLAW_RATE_LIMIT": "1200", "GOCLAW_RATE_BURST": "5", "BRIDGE_MERGE": "false", "BRIDGE_REACTIONS": "false"}


def passed_by(here: Storm) -> list[Counter[str]]:
    """For each question that was not the flooder's: who was asked how often between its 200 and its own run.

    Whoever waits behind a question of their own may see others twice.
    """
    asked = sorted((run for run in here.field.asked if not run.refused), key=lambda run: run.began)
    began = {token: run.began for run in asked for token in run.tokens}
    others = []
    for sent in here.field.sent.values():
        if sent.lane != FLOODER:
            assert sent.acked is not None
            meanwhile = Counter(run.lane for run in asked if sent.acked < run.began < began[sent.token])
            rounds = 1 + meanwhile.pop(sent.lane, 0)
            others.append(Counter({lane: -(-times // rounds) for lane, times in meanwhile.items()}))
    return others


async def _rush(here: Storm, users: int, again: int) -> list[Counter[str]]:
    """Behind a flooder everybody asks, and the first of them once more; gives who passed each of them by."""
    here.field.faults.bucket = (INTERVAL, BURST)
    await keep_account(here.store, here.schema)
    await here.start()
    say = here.people.say
    await asyncio.gather(*(say(FLOODER) for _ in range(FLOOD)))
    await asyncio.gather(*(say(f"lane-{n}") for n in range(users)))
    await asyncio.gather(*(say(f"lane-{n}") for n in range(again)))
    await here.settle(120)
    await here.close()
    verdict = here.verdict()
    assert verdict.violations == (), here.report(verdict, 0)
    times = [run.began - EPOCH for run in here.field.asked]
    assert list(audit(account(here.store, here.schema), times, INTERVAL, BURST)) == []
    others = passed_by(here)
    assert len(others) == users + again
    return others


async def _alone(folder: Path) -> None:
    async with storm(folder / "w", 1, settings=LIMIT) as here:
        others = await _rush(here, users=260, again=20)
        # one place each; a second one of who was on the way to the gateway when the question came
        assert max(max(lanes.values(), default=0) for lanes in others) <= 2
        told = [shown for shown in here.field.shown if "in line" in shown.text]
        assert told
        assert len(told) == len({(shown.lane, shown.reply_to) for shown in told})


async def _beside_another(folder: Path, database: tuple[str, str]) -> None:
    users = 60
    async with storm(folder / "w", 2, replicas=2, database=database, settings=LIMIT) as here:
        others = await _rush(here, users, again=10)
        # each replica has a line of its own, and what is free goes to either: still no more than everybody, twice
        assert max(lanes.total() for lanes in others) <= 2 * (users + 1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rush(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Awaitable[None]]]:
    """Both at once."""
    database, folder = (await asyncio.to_thread(dsn), fresh_schema()), tmp_path_factory.mktemp
    stories = {"alone": partial(_alone, folder("alone")), "beside": partial(_beside_another, folder("two"), database)}
    async with abreast(stories, most=2) as tasks:
        yield tasks


async def test_hundreds_of_people_are_all_answered_and_wait_for_each_other_not_for_a_flooder(
    rush: Mapping[str, Awaitable[None]],
) -> None:
    await rush["alone"]


async def test_two_replicas_share_the_limit(rush: Mapping[str, Awaitable[None]]) -> None:
    await rush["beside"]
