"""The checker is worth what it catches: each way of breaking the engine is seen, and the engine itself passes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from postgres_server import dsn, fresh_schema
from process_world import eventually

from chaos.storm import Storm, storm

pytestmark = pytest.mark.e2e

Scenario = Callable[[Storm, str], Awaitable[object]]


async def repeated(here: Storm, lane: str) -> None:
    """Teams sends the same activity three times."""
    await here.people.say(lane)
    for _ in range(2):
        await here.people.post(here.people.acked[-1])


async def one_after_the_other(here: Storm, lane: str) -> None:
    """Two messages wait behind a run."""
    await here.people.say(lane, takes=1.0)
    await eventually(lambda: here.field.running, "the agent is asked")
    for _ in range(2):
        await here.people.say(lane)


async def killed_after_the_200(here: Storm, lane: str) -> None:
    """Whatever was acknowledged is on disk."""
    await here.people.say(lane)
    await here.end(here.replicas[0], "kill", 0.0)


async def killed_while_the_agent_works(here: Storm, lane: str) -> None:
    """Nobody knows how far the run had come."""
    await here.people.say(lane, takes=3.0)
    await eventually(lambda: here.field.running, "the agent is asked")
    await here.end(here.replicas[0], "kill", 0.0)


async def plain(here: Storm, lane: str) -> None:
    """A question."""
    await here.people.say(lane)


async def stopped_with_one_behind(here: Storm, lane: str) -> None:
    """The gateway still finishes a tool after the run was stopped."""
    await here.people.say(lane, takes=5.0)
    await eventually(lambda: here.field.running, "the agent is asked")
    await here.people.say(lane)
    await here.people.say(lane, "/stop")


async def edited_while_it_waits(here: Storm, lane: str) -> None:
    """There was time enough to see it."""
    await here.people.edit(await _behind_a_run(here, lane))


async def deleted_while_it_waits(here: Storm, lane: str) -> None:
    """Nobody wants to know any more."""
    await here.people.delete(await _behind_a_run(here, lane))


async def _behind_a_run(here: Storm, lane: str) -> str:
    await here.people.say(lane, takes=1.5)
    await eventually(lambda: here.field.running, "the agent is asked")
    return await here.people.say(lane)


async def streamed(here: Storm, lane: str) -> None:
    """An answer that comes piece by piece."""
    await here.people.say(lane, takes=6.0)
    await eventually(lambda: here.field.running, "the agent is asked")
    await eventually(lambda: not here.field.running, "the agent has answered")


async def deleted_while_it_streams(here: Storm, lane: str) -> None:
    """What shows progress must not stay for ever."""
    id_ = await here.people.say(lane, takes=6.0)
    await eventually(lambda: any(one.lane == lane for one in here.field.screen.progress.values()), "progress is shown")
    await here.people.delete(id_)


async def frozen_owner(here: Storm, lane: str) -> None:
    """The one that runs a turn is frozen for longer than the lease, and wakes with the answer in its hands."""
    owner = here.replicas[0]
    await here.people.say(lane, takes=1.5, to=owner)
    await eventually(lambda: here.field.running, "the agent is asked")
    await here.freeze(owner, 9.0)
    await asyncio.sleep(2.0)


ALONE: list[tuple[str, Scenario, str]] = [
    ("no_dedupe", repeated, "asked twice"),
    ("claim_out_of_order", one_after_the_other, "out of order"),
    ("ack_before_commit", killed_after_the_200, "lost"),
    ("rerun_after_crash", killed_while_the_agent_works, "asked twice"),
    ("deliver_twice", plain, "doubled"),
    ("close_and_claim_in_one_step", one_after_the_other, "lost"),
    ("slot_freed_early", stopped_with_one_behind, "two at once"),
    ("edits_ignored", edited_while_it_waits, "asked with old words"),
    ("deletions_ignored", deleted_while_it_waits, "asked after deletion"),
    ("landing_ignored", streamed, "progress left"),
    ("landing_ignored", deleted_while_it_streams, "progress left"),
    ("only_news_streamed", streamed, "stream rule"),
]


async def kinds(here: Storm, settle: float) -> set[str]:
    """The kinds of violations, once everything has come to rest."""
    await here.settle(settle)
    await here.close()
    verdict = here.verdict()
    print(here.report(verdict, 0))  # noqa: T201  pytest shows it where the test fails
    return {violation.kind for violation in verdict.violations}


@pytest.mark.parametrize(("mutant", "scenario", "kind"), ALONE, ids=[f"{mutant}-{kind}" for mutant, _, kind in ALONE])
async def test_the_checker_catches_it(tmp_path: Path, mutant: str, scenario: Scenario, kind: str) -> None:
    async with storm(tmp_path / "w", 1, patches=(mutant,), settings={"BRIDGE_MERGE": "false"}) as here:
        await here.start()
        await scenario(here, "lane-1")
        assert kind in await kinds(here, 6.0)


async def test_the_engine_itself_passes_all_of_it(tmp_path: Path) -> None:
    async with storm(tmp_path / "w", 1, settings={"BRIDGE_MERGE": "false"}) as here:
        await here.start()
        for number, scenario in enumerate(dict.fromkeys(scenario for _, scenario, _ in ALONE)):
            await scenario(here, f"lane-{number}")
        assert await kinds(here, 20.0) == set()


@pytest.mark.parametrize(("patches", "expected"), [(("hasty", "no_fence"), {"two outcomes"}), (("hasty",), set())])
async def test_a_frozen_owner_is_fenced_off(tmp_path: Path, patches: tuple[str, ...], expected: set[str]) -> None:
    database = (dsn(), fresh_schema())
    async with storm(tmp_path / "w", 1, replicas=2, database=database, patches=patches) as here:
        await here.start()
        await frozen_owner(here, "lane-1")
        assert await kinds(here, 10.0) == expected
