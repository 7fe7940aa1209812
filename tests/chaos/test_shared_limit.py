"""Many people share the gateway's rate limit: all are answered, no person waits for a flooder, and people are notified.

No judgement depends on seconds, so a busy machine changes no result: the bucket is judged by the ledger, a wait by the
number of runs in between.
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

from chaos.budget_ledger import audit, read_ledger, start_ledger
from chaos.parallel import in_parallel
from chaos.storm import EPOCH, Storm, storm

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

INTERVAL, BURST = 0.05, 5
FLOODER, FLOOD = "lane-1000", 10
# Without reactions: removals leave at 1.5 a second at most, and a replica's shutdown waits until all have left.
LIMIT = {"GOCLAW_RATE_LIMIT": "1200", "GOCLAW_RATE_BURST": "5", "BRIDGE_MERGE": "false", "BRIDGE_REACTIONS": "false"}


def passed_by(here: Storm) -> list[Counter[str]]:
    """For each question not of the flooder: runs by lane between the question's 200 and the question's run.

    With n runs of the same lane in between, the counts are divided by n + 1: each question waits for a round of runs.
    """
    asked = sorted((run for run in here.outside.runs if not run.refused), key=lambda run: run.began)
    began = {token: run.began for run in asked for token in run.tokens}
    passed = []
    for sent in here.outside.person_messages.values():
        if sent.lane != FLOODER:
            assert sent.acked is not None
            meanwhile = Counter(run.lane for run in asked if sent.acked < run.began < began[sent.token])
            rounds = 1 + meanwhile.pop(sent.lane, 0)
            passed.append(Counter({lane: -(-times // rounds) for lane, times in meanwhile.items()}))
    return passed


async def _rush(here: Storm, users: int, again: int) -> list[Counter[str]]:
    """Behind a flooder `users` people ask, and the first `again` of them twice; give `passed_by` of the storm."""
    here.outside.faults.bucket = (INTERVAL, BURST)
    await start_ledger(here.store, here.schema)
    await here.start()
    say = here.people.say
    await asyncio.gather(*(say(FLOODER) for _ in range(FLOOD)))
    await asyncio.gather(*(say(f"lane-{n}") for n in range(users)))
    await asyncio.gather(*(say(f"lane-{n}") for n in range(again)))
    await here.wait_until_idle(120)
    await here.close()
    verdict = here.verdict()
    assert verdict.violations == (), here.report(verdict, 0)
    times = [run.began - EPOCH for run in here.outside.runs]
    assert list(audit(read_ledger(here.store, here.schema), times, INTERVAL, BURST)) == []
    passed = passed_by(here)
    assert len(passed) == users + again
    return passed


async def _one_replica(folder: Path) -> None:
    async with storm(folder / "w", 1, settings=LIMIT) as here:
        passed = await _rush(here, users=260, again=20)
        # at most two runs of each lane: a run on the way to the gateway, and a position in the queue
        assert max(max(lanes.values(), default=0) for lanes in passed) <= 2
        notes = [shown for shown in here.outside.bot_messages if "in line" in shown.text]
        assert notes
        assert len(notes) == len({(shown.lane, shown.reply_to) for shown in notes})


async def _two_replicas(folder: Path, database: tuple[str, str]) -> None:
    users = 60
    async with storm(folder / "w", 2, replicas=2, database=database, settings=LIMIT) as here:
        passed = await _rush(here, users, again=10)
        # each replica has a queue of its own and takes free tokens in any order: at most two runs of each lane pass
        assert max(lanes.total() for lanes in passed) <= 2 * (users + 1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rush(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Awaitable[None]]]:
    """Both storms, run in parallel."""
    database, folder = (await asyncio.to_thread(dsn), fresh_schema()), tmp_path_factory.mktemp
    jobs = {
        "one replica": partial(_one_replica, folder("one")),
        "two replicas": partial(_two_replicas, folder("two"), database),
    }
    async with in_parallel(jobs, most=2) as tasks:
        yield tasks


async def test_hundreds_of_people_are_all_answered_and_do_not_wait_for_a_flooder(
    rush: Mapping[str, Awaitable[None]],
) -> None:
    await rush["one replica"]


async def test_two_replicas_share_the_gateways_rate_limit(rush: Mapping[str, Awaitable[None]]) -> None:
    await rush["two replicas"]
