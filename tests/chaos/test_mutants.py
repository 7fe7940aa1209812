"""The checker is worth what it catches: each way of breaking the engine is seen, and the engine itself passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from support.postgres_server import dsn, fresh_schema
from support.process_world import eventually

from chaos.parallel import abreast
from chaos.storm import Storm, storm

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Scenario = Callable[[Storm, str], Awaitable[object]]


async def repeated(here: Storm, lane: str) -> None:
    """Teams sends the same activity three times."""
    await here.people.say(lane)
    for _ in range(2):
        await here.people.post(here.people.acked[-1])


async def one_after_the_other(here: Storm, lane: str) -> None:
    """Two messages wait behind a run."""
    await here.people.say(lane, takes=1.0)
    await eventually(lambda: here.field.running[lane], "the agent is asked")
    for _ in range(2):
        await here.people.say(lane)


async def killed_after_the_200(here: Storm, lane: str) -> None:
    """Whatever was acknowledged is on disk."""
    await here.people.say(lane)
    await here.end(here.replicas[0], "kill", 0.0)


async def killed_while_the_agent_works(here: Storm, lane: str) -> None:
    """Nobody knows how far the run had come."""
    await here.people.say(lane, takes=3.0)
    await eventually(lambda: here.field.running[lane], "the agent is asked")
    await here.end(here.replicas[0], "kill", 0.0)


async def plain(here: Storm, lane: str) -> None:
    """A question."""
    await here.people.say(lane)


async def stopped_with_one_behind(here: Storm, lane: str) -> None:
    """The gateway still finishes a tool after the run was stopped."""
    await here.people.say(lane, takes=5.0)
    await eventually(lambda: here.field.running[lane], "the agent is asked")
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
    await eventually(lambda: here.field.running[lane], "the agent is asked")
    return await here.people.say(lane)


async def streamed(here: Storm, lane: str) -> None:
    """An answer that comes piece by piece."""
    await here.people.say(lane, takes=6.0)
    await eventually(lambda: here.field.running[lane], "the agent is asked")
    await eventually(lambda: not here.field.running[lane], "the agent has answered")


async def deleted_while_it_streams(here: Storm, lane: str) -> None:
    """What shows progress must not stay for ever."""
    id_ = await here.people.say(lane, takes=6.0)
    await eventually(lambda: any(one.lane == lane for one in here.field.screen.progress.values()), "progress is shown")
    await here.people.delete(id_)


async def frozen_owner(here: Storm, lane: str) -> None:
    """The one that runs a turn is frozen for longer than the lease, and wakes with the answer in its hands."""
    owner = here.replicas[0]
    await here.people.say(lane, takes=1.5, to=owner)
    await eventually(lambda: here.field.running[lane], "the agent is asked")
    async with here.frozen(owner):
        await eventually(lambda: not here.field.running[lane], "the agent has answered")
        await eventually(lambda: any(shown.lane == lane for shown in here.field.shown), "another has taken over")


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
    ("live_message_ignored", streamed, "progress left"),
    ("live_message_ignored", deleted_while_it_streams, "progress left"),
    ("only_news_streamed", streamed, "stream rule"),
]


BESIDE: list[tuple[tuple[str, ...], set[str]]] = [(("hasty", "no_fence"), {"two outcomes"}), (("hasty",), set())]
NO_MERGING = {"BRIDGE_MERGE": "false"}


@dataclass(frozen=True, slots=True)
class Found:
    """The kinds of violations, and the report for whoever wonders why."""

    kinds: set[str]
    report: str


async def _found(here: Storm, settle: float) -> Found:
    await here.settle(settle)
    await here.close()
    verdict = here.verdict()
    return Found({violation.kind for violation in verdict.violations}, here.report(verdict, 0))


async def _alone(folder: Path, mutant: str, scenario: Scenario) -> Found:
    async with storm(folder / "w", 1, patches=(mutant,), settings=NO_MERGING) as here:
        await here.start()
        await scenario(here, "lane-1")
        return await _found(here, 6.0)


async def _beside(folder: Path, patches: tuple[str, ...], database: str) -> Found:
    async with storm(folder / "w", 1, replicas=2, database=(database, fresh_schema()), patches=patches) as here:
        await here.start()
        await frozen_owner(here, "lane-1")
        return await _found(here, 10.0)


async def _unbroken(folder: Path) -> Found:
    async with storm(folder / "w", 1, settings=NO_MERGING) as here:
        await here.start()
        for number, scenario in enumerate(dict.fromkeys(scenario for _, scenario, _ in ALONE)):
            await scenario(here, f"lane-{number}")
        return await _found(here, 20.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def found(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[object, Awaitable[Found]]]:
    """What was found, by the test's parameters."""
    database = await asyncio.to_thread(dsn)
    stories: dict[object, Callable[[], Awaitable[Found]]] = {
        "unbroken": partial(_unbroken, tmp_path_factory.mktemp("storm"))
    }
    for patches, _ in BESIDE:
        stories[patches] = partial(_beside, tmp_path_factory.mktemp("storm"), patches, database)
    for mutant, scenario, _ in ALONE:
        stories[mutant, scenario] = partial(_alone, tmp_path_factory.mktemp("storm"), mutant, scenario)
    async with abreast(stories, most=5) as tasks:
        yield tasks


@pytest.mark.parametrize(("mutant", "scenario", "kind"), ALONE, ids=[f"{mutant}-{kind}" for mutant, _, kind in ALONE])
async def test_the_checker_catches_it(
    found: Mapping[object, Awaitable[Found]], mutant: str, scenario: Scenario, kind: str
) -> None:
    it = await found[mutant, scenario]
    assert kind in it.kinds, it.report


async def test_the_engine_itself_passes_all_of_it(found: Mapping[object, Awaitable[Found]]) -> None:
    it = await found["unbroken"]
    assert it.kinds == set(), it.report


@pytest.mark.parametrize(("patches", "expected"), BESIDE)
async def test_a_frozen_owner_is_fenced_off(
    found: Mapping[object, Awaitable[Found]], patches: tuple[str, ...], expected: set[str]
) -> None:
    it = await found[patches]
    assert it.kinds == expected, it.report
