"""Admission of heads of lanes: slots, the queue, the gateway's rate limit, outages, pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from support.engine_world import BOB, EPOCH, World, stop_command, until, virtual_time

from bridge.core.errors import (
    GatewayBusy,
    GatewayDown,
    GatewayMergesUsers,
    GuestDenied,
    QuestionRejected,
    QuestionTooLong,
    TurnFailure,
)
from bridge.core.ports.agent import AgentEvent, Answer, Question
from bridge.core.texts import say
from bridge.core.turn import Kind, Lane, Outcome, Person, Reference, Scope, State, StopVerdict
from bridge.engine.admission import Patience, Rate
from bridge.engine.dispatcher import Limits

STOP = stop_command()
RATE = Rate(interval=3.0, burst=5)


class _Bucket:
    """The gateway's rate limit, a token bucket that refuses questions without a token."""

    def __init__(self, world: World, rate: Rate) -> None:
        self._tokens, self._at = float(rate.burst), 0.0
        self._rate = rate
        self.refused = 0
        self._ask = world.agent.ask
        world.agent.ask = self.ask  # type: ignore[method-assign]

    async def ask(self, question: Question, on_event: Callable[[AgentEvent], None] | None = None) -> Answer:
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._rate.burst, self._tokens + (now - self._at) / self._rate.interval)
        self._at = now
        if self._tokens < 1 - 1e-3:
            self.refused += 1
            raise GatewayBusy
        self._tokens -= 1
        return await self._ask(question, on_event)


async def _ask_all(world: World, count: int, prefix: str = "q") -> list[str]:
    names = [f"{prefix}{n}" for n in range(count)]
    for name in names:
        await world.ask(name, lane=name)
    return names


# slots


@virtual_time
async def test_turns_run_at_once_up_to_the_limit() -> None:
    async with World(limits=Limits(running=3)) as world:
        world.agent.takes.update({f"q{n}": 10.0 for n in range(10)})
        names = await _ask_all(world, 10)
        await asyncio.sleep(5)
        assert world.agent.asked == names[:3]
        await world.closed(*names)
        assert world.agent.asked == names
        assert max(world.agent.times.values()) == pytest.approx(30, abs=0.1)


@virtual_time
async def test_a_note_needs_no_slot() -> None:
    async with World(limits=Limits(running=1)) as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await world.ask("note", lane="notice", kind=Kind.NOTE, activities=({"type": "message", "text": "hello"},))
        await world.closed("note", seconds=1)


@virtual_time
async def test_a_slot_is_free_again_however_a_turn_ends() -> None:
    async with World(limits=Limits(running=1)) as world:
        world.agent.answers["broken"] = ZeroDivisionError()
        world.agent.takes["stopped"] = 100
        await world.ask("broken", lane="a")
        await world.ask("stopped", lane="b")
        await until(lambda: "stopped" in world.agent.asked)
        await world.dispatcher.stop(world.row("stopped").lane, STOP, "Ann")
        await world.ask("after", lane="c")
        await world.closed("after")


# the queue


@virtual_time
async def test_a_lane_with_many_turns_takes_one_position_a_round() -> None:
    async with World(limits=Limits(rate=RATE, lane=50)) as world:
        for n in range(30):
            await world.ask(f"flood{n}", lane="flood")
        light = await _ask_all(world, 10, "light")
        await world.closed(*light, seconds=200)
        # a round admits a head of each of the ten light lanes and of the flooding lane
        assert max(world.agent.times[name] for name in light) <= 3.0 * 22
        await world.closed("flood29", seconds=200)
        assert world.agent.overlaps == []
        order = [text for text in world.agent.asked if text.startswith("flood")]
        assert order == [f"flood{n}" for n in range(30)]


# the gateway's rate limit


@virtual_time
async def test_a_known_rate_limit_is_never_exceeded_and_all_questions_are_answered() -> None:
    async with World(limits=Limits(rate=RATE)) as world:
        bucket = _Bucket(world, RATE)
        names = await _ask_all(world, 40)
        await world.closed(*names, seconds=300)
        assert bucket.refused == 0
        assert world.agent.asked == names
        # 5 at once, then a question each 3 s: as fast as the limit allows
        assert max(world.agent.times.values()) == pytest.approx(35 * 3, abs=3)


@virtual_time
async def test_an_unknown_rate_limit_is_learnt_at_the_first_refusal_and_no_question_is_lost() -> None:
    async with World() as world:
        bucket = _Bucket(world, RATE)
        names = await _ask_all(world, 30)
        await world.closed(*names, seconds=300)
        assert bucket.refused <= 25 + 5
        assert sorted(world.agent.asked) == sorted(names)  # each once
        assert all(world.row(name).outcome is Outcome.DELIVERED for name in names)


@virtual_time
async def test_a_turn_refused_by_the_gateway_stays_before_later_turns_of_its_lane() -> None:
    async with World() as world:
        world.agent.answers["a"] = GatewayBusy()
        await world.ask("a")
        await world.ask("b")
        await until(lambda: world.agent.asked)
        world.agent.answers["a"] = Answer("at last")
        await world.closed("a", "b")
        assert world.agent.asked == ["a", "a", "b"]
        assert world.agent.times["a"] == pytest.approx(3.0, abs=0.1)
        assert world.channel.texts() == ["at last", "echo b"]


@virtual_time
async def test_questions_are_asked_at_once_after_the_clock_was_set_back() -> None:
    """The store's bucket is full of times that lie an hour ahead, as after a clock that went an hour too fast."""
    async with World(limits=Limits(rate=RATE)) as world:
        world.memory.budgets["gateway"] = asyncio.get_running_loop().time() + 3600.0
        names = await _ask_all(world, 6)
        await world.closed(*names, seconds=20)
        assert max(world.agent.times.values()) <= 4.0


@virtual_time
async def test_admission_goes_on_after_an_error_that_no_rule_foresees() -> None:
    async with World(limits=Limits(rate=RATE)) as world:
        spend, broken = world.memory.spend, [TypeError("unforeseen")]

        async def breaking(budget: str, interval: float, burst: int) -> float:
            if broken:
                raise broken.pop()
            return await spend(budget, interval, burst)

        world.memory.spend = breaking  # type: ignore[method-assign]
        names = await _ask_all(world, 1)
        await world.closed(*names, seconds=20)
        assert world.agent.asked == names


@virtual_time
async def test_a_long_wait_has_one_note_with_position_and_time() -> None:
    async with World(limits=Limits(rate=RATE)) as world:
        names = await _ask_all(world, 12)
        await world.closed(*names, seconds=100)
        notes = {name: [text for text in world.channel.texts(name) if "in line" in text] for name in names}
        assert all(notes[name] == [] for name in names[:6])
        assert [len(notes[name]) for name in names[9:]] == [1, 1, 1]
        assert notes["q11"] == [say("waiting_time", place=7, time="20 s")]


@virtual_time
async def test_a_question_behind_a_stopped_question_has_its_waiting_note() -> None:
    async with World(limits=Limits(rate=Rate(60.0, 1))) as world:
        await world.ask("first", lane="other")
        await world.ask("q")
        await world.ask("next", who=BOB)
        await asyncio.sleep(1)
        assert await world.dispatcher.stop(world.row("q").lane, STOP, "Ann") is StopVerdict.WITHDRAWN
        await world.closed("next", seconds=200)
        notes = [text for text in world.channel.texts() if "in line" in text]
        assert len(notes) == 1


@virtual_time
async def test_a_note_behind_a_stopped_question_causes_no_waiting_note() -> None:
    async with World(limits=Limits(rate=Rate(60.0, 1))) as world:
        await world.ask("first", lane="other")
        await world.ask("q")
        await world.ask("a note", kind=Kind.NOTE)
        await asyncio.sleep(1)
        await world.dispatcher.stop(world.row("q").lane, STOP, "Ann")
        await world.closed("a note", seconds=200)
        assert not [text for text in world.channel.texts() if "in line" in text]


@virtual_time
async def test_a_question_waiting_for_admission_can_be_stopped() -> None:
    async with World(limits=Limits(rate=Rate(60.0, 1))) as world:
        await world.ask("first", lane="other")
        await world.ask("q")
        await asyncio.sleep(5)
        assert await world.dispatcher.stop(world.row("q").lane, STOP, "Ann") is StopVerdict.WITHDRAWN
        await world.closed("stop", seconds=2)
        await asyncio.sleep(200)
        assert world.agent.asked == ["first"]
        # the rate limit's token is left for the next question
        before = asyncio.get_running_loop().time()
        await world.ask("next")
        await world.closed("next")
        assert world.agent.times["next"] - before < 2


@virtual_time
async def test_deleting_a_session_takes_nothing_from_the_rate_limit() -> None:
    async with World(limits=Limits(rate=Rate(60.0, 1))) as world:
        await world.ask("new", kind=Kind.NEW)
        await world.closed("new")
        await world.ask("q")
        await world.closed("q", seconds=5)


@virtual_time
async def test_a_crash_during_the_wait_for_admission_interrupts_no_question() -> None:
    async with World(limits=Limits(rate=Rate(20.0, 1))) as world:
        names = await _ask_all(world, 4)
        await asyncio.sleep(10)
        await world.restart()
        await world.closed(*names, seconds=120)
        assert [world.row(name).outcome for name in names] == [Outcome.DELIVERED] * 4
        assert sorted(world.agent.asked) == names


@virtual_time
async def test_a_drain_leaves_turns_that_wait_for_admission_queued_at_once() -> None:
    async with World(limits=Limits(rate=Rate(600.0, 1))) as world:
        await _ask_all(world, 4)
        await world.closed("q0")
        await world.dispatcher.drain(60)
        assert world.clock.now() < EPOCH + 2
        assert [world.row(f"q{n}").state for n in (1, 2, 3)] == [State.QUEUED] * 3


# an outage


@virtual_time
async def test_after_a_short_gateway_outage_questions_are_answered_in_order() -> None:
    async with World() as world:
        names = ["a", "b", "c"]
        world.agent.answers.update({name: GatewayDown() for name in names})
        for name in names:
            await world.ask(name)
        await world.ask("elsewhere", lane="other")
        await asyncio.sleep(15)
        assert world.row("a").state in (State.QUEUED, State.RUNNING)
        world.agent.answers.clear()
        await world.closed(*names, "elsewhere")
        assert world.channel.texts() == ["echo a", "echo b", "echo c"]
        assert world.agent.asked[-3:] == names or world.agent.asked[-4:].count("elsewhere") == 1


@virtual_time
async def test_while_the_gateway_is_down_one_question_at_a_time_tries() -> None:
    async with World(limits=Limits(patience=Patience(gateway_down=1000))) as world:
        names = [f"q{n}" for n in range(50)]
        world.agent.answers.update({name: GatewayDown() for name in names})
        await _ask_all(world, 50)
        await asyncio.sleep(100)
        # 50 before the first failure is known, then a trial each 5 s at most
        assert len(world.agent.asked) <= 50 + 25
        tries = len(world.agent.asked)
        await asyncio.sleep(100)
        assert len(world.agent.asked) - tries <= 21


@virtual_time
async def test_a_long_gateway_outage_fails_each_waiting_question_with_its_sentence() -> None:
    async with World() as world:
        names = [f"q{n}" for n in range(5)]
        world.agent.answers.update({name: GatewayDown() for name in [*names, "late"]})
        await _ask_all(world, 5)
        await world.closed(*names)
        assert {world.row(name).error for name in names} == {"gateway_down"}
        assert asyncio.get_running_loop().time() == pytest.approx(33, abs=5)
        # a new question tries the gateway once, then fails with the same sentence
        await world.ask("late", lane="late")
        await world.closed("late", seconds=10)
        assert say("gateway_down") in world.channel.texts("late")[0]
        world.agent.answers.clear()
        await world.ask("well", lane="well")
        assert (await world.closed("well", seconds=10)).outcome is Outcome.DELIVERED


class _AllGuests:
    async def is_guest(self, _where: Reference, _person: Person) -> bool:
        return True


@pytest.mark.parametrize(
    "failure", [GuestDenied(), QuestionTooLong(), QuestionRejected(), GatewayMergesUsers()], ids=repr
)
@virtual_time
async def test_a_question_refused_before_its_request_does_not_prove_the_gateway_reachable(failure: TurnFailure) -> None:
    guest = isinstance(failure, GuestDenied)
    async with World(limits=Limits(patience=Patience(gateway_down=1000)), roster=_AllGuests()) as world:
        names = [f"q{n}" for n in range(5)]
        world.agent.answers.update({name: GatewayDown() for name in ["first", *names]} | {"refused": failure})
        await world.ask("first", lane="first")
        await until(lambda: world.agent.asked)
        await world.ask("refused", lane="refused", scope=Scope.GROUP if guest else Scope.PERSONAL)
        for name in names:
            await world.ask(name, lane=name)
        # the withdrawn question's trial goes to the next question in the queue
        assert await world.dispatcher.stop(Lane("first"), stop_command(where="first"), "Ann") is StopVerdict.WITHDRAWN
        assert (await world.closed("refused", seconds=5)).error == failure.label
        await until(lambda: "q0" in world.agent.asked)
        await asyncio.sleep(0.3)
        assert world.agent.asked == ["first", *([] if guest else ["refused"]), "q0"]


# a pause


@virtual_time
async def test_a_pause_holds_all_questions_notifies_people_and_survives_a_restart() -> None:
    async with World() as world:
        world.agent.takes["runs"] = 5
        await world.ask("runs", lane="other")
        await world.dispatcher.pause(True)
        assert world.dispatcher.paused
        await world.ask("q")
        await asyncio.sleep(20)
        assert world.row("runs").outcome is Outcome.DELIVERED  # a running turn goes on
        assert world.channel.texts() == [say("waiting_paused")]
        await world.restart()
        await asyncio.sleep(20)
        assert world.channel.texts() == [say("waiting_paused")]
        assert "q" not in world.agent.asked
        await world.dispatcher.pause(False)
        await world.closed("q")
        assert world.channel.texts() == [say("waiting_paused"), "echo q"]
