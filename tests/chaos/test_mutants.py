"""The checker finds each deliberate break of the engine (mutants.py), and nothing in the unbroken engine."""

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

from chaos.mutants import LATE_SECONDS, answer_too_late
from chaos.parallel import in_parallel
from chaos.storm import Storm, storm

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Scenario = Callable[[Storm, str], Awaitable[object]]


async def delivered_three_times(here: Storm, lane: str) -> None:
    """Teams delivers the same activity three times."""
    await here.people.say(lane)
    for _ in range(2):
        await here.people.post(here.people.acked[-1])


async def two_waiting(here: Storm, lane: str) -> None:
    """Two questions wait behind a run."""
    await here.people.say(lane, takes=1.0)
    await eventually(lambda: here.outside.running[lane], "the agent is asked")
    for _ in range(2):
        await here.people.say(lane)


async def killed_after_the_200(here: Storm, lane: str) -> None:
    """The replica is killed right after its 200: the question must be on disk."""
    await here.people.say(lane)
    await here.end(here.replicas[0], "kill", 0.0)


async def killed_while_the_agent_works(here: Storm, lane: str) -> None:
    """The replica is killed during a run: the question must not be asked again without the asker's word."""
    await here.people.say(lane, takes=3.0)
    await eventually(lambda: here.outside.running[lane], "the agent is asked")
    await here.end(here.replicas[0], "kill", 0.0)


async def one_question(here: Storm, lane: str) -> None:
    """A question without any trouble."""
    await here.people.say(lane)


async def stopped_with_one_behind(here: Storm, lane: str) -> None:
    """A question follows the stop of a run; the gateway still finishes the stopped run's tool."""
    await here.people.say(lane, takes=5.0)
    await eventually(lambda: here.outside.running[lane], "the agent is asked")
    await here.people.say(lane, "/stop")
    await here.people.say(lane)


async def edited_while_it_waits(here: Storm, lane: str) -> None:
    """A question is edited before its claim."""
    await here.people.edit(await _behind_a_run(here, lane))


async def deleted_while_it_waits(here: Storm, lane: str) -> None:
    """A question is deleted before its claim."""
    await here.people.delete(await _behind_a_run(here, lane))


async def _behind_a_run(here: Storm, lane: str) -> str:
    await here.people.say(lane, takes=1.5)
    await eventually(lambda: here.outside.running[lane], "the agent is asked")
    return await here.people.say(lane)


async def long_answer(here: Storm, lane: str) -> None:
    """The agent's text comes piece by piece."""
    await here.people.say(lane, takes=6.0)
    await eventually(lambda: here.outside.running[lane], "the agent is asked")
    await eventually(lambda: not here.outside.running[lane], "the agent has answered")


async def deleted_while_it_streams(here: Storm, lane: str) -> None:
    """A question is deleted during its stream: the live message must end."""
    id_ = await here.people.say(lane, takes=6.0)
    live = here.outside.screen.live_messages
    await eventually(lambda: any(message.lane == lane for message in live.values()), "progress is shown")
    await here.people.delete(id_)


async def frozen_owner(here: Storm, lane: str) -> None:
    """The replica with a running turn is frozen for longer than the lease, and wakes with the run's answer."""
    owner = here.replicas[0]
    await here.people.say(lane, takes=1.5, to=owner)
    await eventually(lambda: here.outside.running[lane], "the agent is asked")
    async with here.frozen(owner):
        await eventually(lambda: not here.outside.running[lane], "the agent has answered")
        await eventually(
            lambda: any(shown.lane == lane for shown in here.outside.bot_messages), "the takeover is shown"
        )


async def two_people_ask(here: Storm, lane: str) -> None:
    """Two people ask, the second after the answer to the first."""
    await here.people.say(lane)
    await here.answered(lane)
    await here.people.say(f"{lane}0")
    await here.answered(f"{lane}0")


async def one_of_two_starts_anew(here: Storm, lane: str) -> None:
    """Two people ask, then one of the two starts a new conversation."""
    await two_people_ask(here, lane)
    await here.people.say(lane, "/new")
    await here.answered(lane)


async def a_group_and_a_channel_ask(here: Storm, lane: str) -> None:
    """Two people ask in a group, a third in a channel."""
    group, named = lane.replace("lane", "group"), here.people.name()
    for _ in range(2):
        await here.people.say(group)
    await here.people.say(f"thread-{named[0]}", named=named)
    await here.answered(group)
    await here.answered(f"thread-{named[0]}")


async def the_gateway_fails(here: Storm, lane: str) -> None:
    """The gateway answers with a provider's error."""
    here.outside.forced["gateway"] = "500"
    await here.people.say(lane)
    await here.answered(lane)


async def killed_during_a_slow_send(here: Storm, lane: str) -> None:
    """The replica is killed while Teams is slow to show an answer: the answer sent after the restart is shown first."""
    here.outside.faults.slow_seconds = 8.0
    here.outside.forced["connector"] = "slow"
    id_ = await here.people.say(lane)
    await eventually(lambda: here.fault_counts["connector slow"], "the answer is on its way")
    await here.end(here.replicas[0], "kill", 0.0)
    await eventually(lambda: sum(shown.reply_to == id_ for shown in here.outside.bot_messages) == 2, "both are shown")


ON_ONE_REPLICA: list[tuple[str, Scenario, str]] = [
    ("no_dedupe", delivered_three_times, "asked twice"),
    ("claim_out_of_order", two_waiting, "out of order"),
    ("ack_before_commit", killed_after_the_200, "lost"),
    ("rerun_after_crash", killed_while_the_agent_works, "asked twice"),
    ("deliver_twice", one_question, "doubled"),
    ("close_and_claim_in_one_step", two_waiting, "lost"),
    ("slot_freed_early", stopped_with_one_behind, "two at once"),
    ("edits_ignored", edited_while_it_waits, "asked with old words"),
    ("deletions_ignored", deleted_while_it_waits, "asked after deletion"),
    ("live_message_ignored", long_answer, "progress left"),
    ("live_message_ignored", deleted_while_it_streams, "progress left"),
    ("only_new_text_streamed", long_answer, "stream rule"),
    ("answer_also_elsewhere", two_people_ask, "another's answer"),
    ("answer_first_shown_elsewhere", two_people_ask, "another's answer"),
    ("also_asked_elsewhere", two_people_ask, "another's session"),
    ("group_in_the_senders_session", a_group_and_a_channel_ask, "another's session"),
    ("session_of_a_different_person_deleted", one_of_two_starts_anew, "another's session"),
    ("raw_words_of_a_failure", the_gateway_fails, "raw words"),
    ("raw_words_beside_an_answer", one_question, "raw words"),
    ("answer_too_late", one_question, "late"),
]


ON_TWO_REPLICAS: list[tuple[tuple[str, ...], set[str]]] = [
    (("short_lease", "no_fence"), {"two outcomes"}),
    (("short_lease",), set()),
]
_IDS = [f"{mutant}-{kind}" for mutant, _, kind in ON_ONE_REPLICA]
NO_MERGING = {"BRIDGE_MERGE": "false"}


@dataclass(frozen=True, slots=True)
class Found:
    """The kinds of violations found, and the report for people."""

    kinds: set[str]
    report: str


async def _judge(here: Storm, seconds: float) -> Found:
    await here.wait_until_idle(seconds)
    await here.close()
    verdict = here.verdict()
    return Found({violation.kind for violation in verdict.violations}, here.report(verdict, 0))


async def _one_replica(folder: Path, mutant: str, scenario: Scenario) -> Found:
    async with storm(folder / "w", 1, patches=(mutant,), settings=NO_MERGING) as here:
        await here.start()
        if mutant == answer_too_late.__name__:
            here.latest_seconds = LATE_SECONDS - 2
        await scenario(here, "lane-1")
        return await _judge(here, 2 * LATE_SECONDS if mutant == answer_too_late.__name__ else 6.0)


async def _two_replicas(folder: Path, patches: tuple[str, ...], database: str) -> Found:
    async with storm(folder / "w", 1, replicas=2, database=(database, fresh_schema()), patches=patches) as here:
        await here.start()
        await frozen_owner(here, "lane-1")
        return await _judge(here, 10.0)


async def _unbroken(folder: Path) -> Found:
    async with storm(folder / "w", 1, settings=NO_MERGING) as here:
        await here.start()
        scenarios = [*(scenario for _, scenario, _ in ON_ONE_REPLICA), killed_during_a_slow_send]
        for number, scenario in enumerate(dict.fromkeys(scenarios)):
            await scenario(here, f"lane-{number}")
        return await _judge(here, 20.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def found(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[object, Awaitable[Found]]]:
    """The judged storms, by the test's parameters; all run in parallel."""
    database = await asyncio.to_thread(dsn)
    jobs: dict[object, Callable[[], Awaitable[Found]]] = {
        "unbroken": partial(_unbroken, tmp_path_factory.mktemp("storm"))
    }
    for patches, _ in ON_TWO_REPLICAS:
        jobs[patches] = partial(_two_replicas, tmp_path_factory.mktemp("storm"), patches, database)
    for mutant, scenario, _ in ON_ONE_REPLICA:
        jobs[mutant, scenario] = partial(_one_replica, tmp_path_factory.mktemp("storm"), mutant, scenario)
    async with in_parallel(jobs, most=5) as tasks:
        yield tasks


@pytest.mark.parametrize(("mutant", "scenario", "kind"), ON_ONE_REPLICA, ids=_IDS)
async def test_the_checker_finds_each_mutants_violation(
    found: Mapping[object, Awaitable[Found]], mutant: str, scenario: Scenario, kind: str
) -> None:
    result = await found[mutant, scenario]
    assert kind in result.kinds, result.report


async def test_the_unbroken_engine_passes_all_scenarios(found: Mapping[object, Awaitable[Found]]) -> None:
    result = await found["unbroken"]
    assert result.kinds == set(), result.report


@pytest.mark.parametrize(("patches", "expected"), ON_TWO_REPLICAS)
async def test_a_frozen_owner_writes_nothing_after_the_takeover(
    found: Mapping[object, Awaitable[Found]], patches: tuple[str, ...], expected: set[str]
) -> None:
    result = await found[patches]
    assert result.kinds == expected, result.report
