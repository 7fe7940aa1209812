"""The dispatcher: acceptance, order, recovery after crashes, stop and drain, with the whole engine behind."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from support.engine_world import BOB, EPOCH, World, new_turn, stop_command, until, virtual_time
from support.memory_store import MemoryStore

from bridge.core.errors import StoreUnavailable
from bridge.core.ports.agent import Answer
from bridge.core.ports.heartbeat import Stalled
from bridge.core.texts import say
from bridge.core.turn import Accepted, Kind, Lane, NewTurn, Outcome, Reply, State, Stopped, StopVerdict, Ticket, Turn
from bridge.engine.dispatcher import Limits
from bridge.store.sqlite import sqlite_store

CHAT = Lane("chat")
STOP = stop_command()
INTERRUPTED = say("interrupted")
# Three messages: a message holds under 80 KB (docs/reference/teams.md, "Size of a message").
LONG = "\n\n".join(f"paragraph {n} " + "x" * 900 for n in range(100))


# order


@virtual_time
async def test_a_question_in_an_idle_lane_runs_at_once() -> None:
    async with World() as world:
        await world.ask("q")
        await until(lambda: world.agent.asked, 0.1)


@virtual_time
async def test_turns_of_a_lane_run_in_order_and_one_at_a_time() -> None:
    async with World() as world:
        for n in range(10):
            world.agent.takes[f"q{n}"] = 10 - n
            await world.ask(f"q{n}")
        await world.closed("q9")
        assert world.channel.texts() == [f"echo q{n}" for n in range(10)]
        assert world.agent.overlaps == []
        # without a wait for the heartbeat between two turns
        assert world.agent.times["q9"] == pytest.approx(54, abs=0.1)


@virtual_time
async def test_lanes_do_not_wait_for_each_other() -> None:
    async with World() as world:
        world.agent.holds["slow"] = asyncio.Event()
        await world.ask("slow")
        await world.ask("quick", lane="other")
        await world.closed("quick")
        assert world.row("slow").state is State.RUNNING
        world.agent.holds["slow"].set()
        await world.closed("slow")


async def _ask_200(world: World, seed: int, seconds: float) -> None:
    """200 questions into 20 lanes, at random moments, with runs of random length."""
    dice = random.Random(seed)
    acknowledged: list[str] = []

    async def ask(n: int) -> None:
        await asyncio.sleep(dice.uniform(0, seconds))
        world.agent.takes[f"q{n}"] = dice.choice([0, dice.uniform(0, seconds / 5)])
        await world.ask(f"q{n}", lane=f"lane-{n % 20}")
        acknowledged.append(f"q{n}")

    await asyncio.gather(*(ask(n) for n in range(200)))
    await until(lambda: len(world.channel.sent) >= 200, seconds=20 * seconds + 60)
    assert world.agent.overlaps == []
    for lane in range(20):
        expected = [f"echo {id_}" for id_ in acknowledged if int(id_[1:]) % 20 == lane]
        assert world.channel.texts(f"lane-{lane}") == expected
    assert sorted(world.agent.asked) == sorted(acknowledged)


@pytest.mark.parametrize("seed", range(8))
@virtual_time
async def test_200_questions_over_20_lanes_are_each_answered_once_and_in_order(seed: int) -> None:
    world = World(limits=Limits(lane=500))
    world.memory.latency = 0.003
    async with world:
        await _ask_200(world, seed, seconds=30.0)


async def test_200_questions_over_20_lanes_are_answered_in_order_over_sqlite(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "turns.db")
    await store.open()
    async with World(store) as world:
        await _ask_200(world, 1, seconds=0.1)
    await store.close()


@virtual_time
async def test_a_repeated_activity_is_answered_once_also_after_a_restart() -> None:
    async with World() as world:
        world.agent.takes["q"] = 5
        assert not (await world.ask("q")).duplicate
        assert (await world.ask("q")).duplicate
        await world.closed("q")
        await world.restart()
        assert (await world.ask("q")).duplicate
        await asyncio.sleep(30)
        assert world.agent.asked == ["q"]
        assert world.channel.texts() == ["echo q"]


@virtual_time
async def test_a_lane_accepts_turns_up_to_its_limit() -> None:
    async with World(limits=Limits(lane=2)) as world:
        world.agent.takes["q0"] = 10
        full = [(await world.ask(f"q{n}")).full for n in range(4)]
        assert full == [False, False, False, True]
        assert not (await world.ask("r", lane="other")).full
        assert (await world.ask("q1")).duplicate  # a repeated id is no new turn, even in a full lane
        await world.closed("q0")
        assert not (await world.ask("q4")).full
        await world.closed("q4")
        assert world.agent.asked == ["q0", "r", "q1", "q2", "q4"]


@virtual_time
async def test_all_lanes_together_accept_turns_up_to_the_common_limit() -> None:
    async with World(limits=Limits(running=1, waiting=3)) as world:
        world.agent.takes["q0"] = 10
        full = [(await world.ask(f"q{n}", lane=f"lane-{n}")).full for n in range(5)]
        assert full == [False, False, False, False, True]
        await world.closed("q3")
        await asyncio.sleep(2)
        assert not (await world.ask("q5")).full


@virtual_time
async def test_5000_lanes_at_once_are_answered_and_leave_no_tasks_behind() -> None:
    async with World(limits=Limits(running=5000)) as world:
        await asyncio.sleep(0)
        before = len(asyncio.all_tasks())
        names = [f"q{n}" for n in range(5000)]
        world.agent.takes.update(dict.fromkeys(names, 3.0))
        await asyncio.gather(*(world.ask(name, lane=name) for name in names))
        await until(lambda: len(world.agent.asked) == 5000)
        await until(lambda: len(world.channel.sent) == 5000, 30)
        await asyncio.sleep(10)
        assert len(asyncio.all_tasks()) == before
        assert all(row.outcome is Outcome.DELIVERED for row in world.memory.rows.values())


# the store, cancelled requests and the heartbeat


@virtual_time
async def test_a_turn_that_the_store_cannot_write_is_not_accepted() -> None:
    async with World() as world:
        world.memory.outages["accept"] = 1
        with pytest.raises(StoreUnavailable):
            await world.ask("q")
        assert world.memory.rows == {}
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.DELIVERED


@virtual_time
async def test_a_claim_waits_for_the_store_and_loses_no_turn() -> None:
    async with World() as world:
        world.memory.outages["claim"] = 10
        world.agent.takes["q"] = 1
        await world.ask("q")
        await world.ask("next")
        await world.closed("next")
        assert world.channel.texts() == ["echo q", "echo next"]


async def _accept_and_cancel(world: World, id_: str) -> None:
    world.memory.latency = 0.5
    caller = asyncio.ensure_future(world.ask(id_))
    await asyncio.sleep(0.1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    world.memory.latency = 0
    assert world.row(id_).state is State.RUNNING


@virtual_time
async def test_a_turn_whose_accepting_request_is_cancelled_still_runs() -> None:
    async with World() as world:
        await _accept_and_cancel(world, "q")
        await world.ask("next")
        await world.closed("q", "next")
        assert world.channel.texts() == ["echo q", "echo next"]
        assert world.agent.times["q"] < 8


@virtual_time
async def test_a_turn_whose_accepting_request_was_cancelled_can_be_stopped() -> None:
    async with World() as world:
        await _accept_and_cancel(world, "q")
        assert await world.dispatcher.stop(CHAT, STOP, "Ann") is StopVerdict.STOPPING
        await world.ask("next")
        assert (await world.closed("q")).outcome is Outcome.STOPPED
        await world.closed("next")
        assert world.channel.texts() == [say("stopped"), "echo next"]
        assert world.agent.asked == ["next"]


@virtual_time
async def test_the_heartbeat_wakes_a_queued_turn_without_a_runner() -> None:
    async with World() as world:
        await world.memory.accept(new_turn("q"), "owner-0", claim=False)
        await world.closed("q")
        assert world.agent.times["q"] < 3


class _SlowLook(MemoryStore):
    """`stalled` returns half a second late, as over a busy network."""

    async def stalled(self, owner: str, claimed_before: float, queued_before: float) -> Stalled:
        stalled = await super().stalled(owner, claimed_before, queued_before)
        await asyncio.sleep(0.5)
        return stalled


class _SlowClaim(MemoryStore):
    """`claim` returns half a second late."""

    async def claim(self, lane: Lane, owner: str, *, merge: bool = False) -> Turn | None:
        claimed = await super().claim(lane, owner, merge=merge)
        await asyncio.sleep(0.5)
        return claimed


@pytest.mark.parametrize("seed", range(3))
@virtual_time
async def test_the_heartbeat_never_repeats_an_answer_that_a_runner_has_just_delivered(seed: int) -> None:
    """A row read as open may be closed before the heartbeat looks at the row: such a row is no orphan."""
    dice = random.Random(seed)
    world = World(limits=Limits(running=5000))
    world.store = world.memory = _SlowLook()
    world.channel.send_seconds = 0.2
    async with world:
        names = [f"q{n}" for n in range(300)]
        world.agent.takes.update({name: dice.uniform(5, 9) for name in names})
        await asyncio.gather(*(world.ask(name, lane=name) for name in names))
        await asyncio.sleep(30)
        assert len(world.channel.sent) == len(world.agent.asked) == 300


@virtual_time
async def test_a_turn_accepted_while_its_runner_finds_the_lane_empty_is_not_overlooked() -> None:
    world = World()
    world.store = world.memory = _SlowClaim()
    async with world:
        await world.ask("one")
        await world.ask("two")
        await until(lambda: world.memory.calls.count("claim") == 2)
        await world.ask("three")
        # the runner claims again within half a second; the heartbeat would come later
        await until(lambda: len(world.channel.texts()) == 3, 1.1)


class _Unwritable(MemoryStore):
    """Raises an unexpected error for the answer of turn 1."""

    async def record_answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        if ticket.n == 1:
            raise TypeError("not expressible")
        return await super().record_answer(ticket, reply, even_if_stopped=even_if_stopped)


@virtual_time
async def test_a_turn_with_a_fault_in_its_runner_is_closed_and_never_asked_again() -> None:
    world = World()
    world.store = world.memory = _Unwritable()
    async with world:
        await world.ask("q")
        await world.ask("next")
        await world.closed("next")
        await asyncio.sleep(60)
        assert world.agent.asked == ["q", "next"]
        assert (world.row("q").outcome, world.row("q").error) == (Outcome.UNDELIVERED, "internal_error")


@virtual_time
async def test_texts_and_then_rows_are_deleted_after_their_retention() -> None:
    async with World(limits=Limits(keep_text=1000, keep_ids=5000)) as world:
        await world.ask("q")
        n = (await world.closed("q")).n
        await asyncio.sleep(900)
        assert world.memory.rows[n].payload.text == "q"
        await asyncio.sleep(900)
        assert world.memory.rows[n].payload.text == ""
        await asyncio.sleep(2000)
        assert n in world.memory.rows
        await asyncio.sleep(2000)
        assert n not in world.memory.rows


# stop


@virtual_time
async def test_stop_in_an_idle_lane_finds_nothing_to_stop() -> None:
    async with World() as world:
        assert await world.dispatcher.stop(CHAT, STOP, "Ann") is StopVerdict.NOTHING


@virtual_time
async def test_a_repeated_stop_does_not_hit_the_turn_that_runs_now() -> None:
    async with World() as world:
        world.agent.takes.update({"one": 100, "two": 100})
        await world.ask("one")
        await world.ask("two", who=BOB)
        await until(lambda: world.agent.asked == ["one"])
        assert await world.dispatcher.stop(CHAT, STOP, "Ann") is StopVerdict.STOPPING
        await until(lambda: world.agent.asked == ["one", "two"])
        assert await world.dispatcher.stop(CHAT, STOP, "Ann") is StopVerdict.DUPLICATE
        await world.closed("two", seconds=200)
        assert world.agent.cancelled == ["one"]
        assert world.channel.texts() == [say("stopped"), "echo two"]


class _SlowStop(MemoryStore):
    """`stop` returns 20 seconds late, when the lane's next turn runs."""

    async def stop(self, lane: Lane, note: NewTurn, by: str, at: float, *, only: int = 0) -> Stopped:
        stopped = await super().stop(lane, note, by, at, only=only)
        await asyncio.sleep(20)
        return stopped


@virtual_time
async def test_a_stop_of_one_turn_never_ends_the_next() -> None:
    world = World()
    world.store = world.memory = _SlowStop()
    world.agent.takes.update({"one": 10, "two": 100})
    async with world:
        await world.ask("one")
        await world.ask("two", who=BOB)
        await asyncio.sleep(5)
        assert await world.dispatcher.stop(CHAT, STOP, "Ann") is StopVerdict.STOPPING
        assert world.agent.asked == ["one", "two"]
        assert (await world.closed("two", seconds=200)).outcome is Outcome.DELIVERED
        # the heartbeat reported the stop before the call returned
        assert world.channel.texts() == [say("stopped"), "echo two"]
        assert world.agent.cancelled == ["one"]


# recovery


@virtual_time
async def test_after_a_crash_a_queued_turn_runs() -> None:
    async with World() as world:
        await world.memory.accept(new_turn("q"), "owner-0", claim=False)
        await world.restart()
        # without a wait for the heartbeat
        await until(lambda: world.channel.texts() == ["echo q"], 0.5)


@virtual_time
async def test_after_a_crash_a_running_turn_is_noted_with_ask_again_and_the_lane_goes_on() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await world.ask("next")
        await until(lambda: world.agent.asked)
        await world.restart()
        row = await world.closed("q")
        await world.closed("next")
        assert (row.outcome, row.error) == (Outcome.INTERRUPTED, "interrupted")
        assert world.channel.texts() == [INTERRUPTED, "echo next"]
        assert world.agent.asked == ["q", "next"]
        card = world.channel.sent[0].activity["attachments"][0]["content"]
        assert card["actions"][0]["data"] == {"turn": row.n}


@virtual_time
async def test_after_a_crash_a_running_turn_is_asked_again_if_the_operator_chose_so() -> None:
    async with World(rerun=True) as world:
        world.agent.takes["q"] = 10
        await world.ask("q")
        await until(lambda: world.agent.asked)
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert world.agent.asked == ["q", "q"]
        assert world.channel.texts() == ["echo q"]


@virtual_time
async def test_after_a_crash_an_answer_is_delivered_without_asking_again() -> None:
    async with World() as world:
        world.channel.send_seconds = 10
        await world.ask("q")
        await world.in_state("q", State.ANSWERED)
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert (world.agent.asked, world.channel.texts()) == (["q"], ["echo q"])


@virtual_time
async def test_after_a_crash_a_stopped_run_ends_with_the_note_of_the_stop() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.agent.asked)
        await world.memory.stop(CHAT, STOP, "Ann", EPOCH)
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.STOPPED
        assert world.channel.texts() == [say("stopped")]


@pytest.mark.parametrize("kind", [Kind.NEW, Kind.NOTE, Kind.WELCOME, Kind.NOTIFY])
@virtual_time
async def test_after_a_crash_a_turn_without_a_question_is_done_again(kind: Kind) -> None:
    async with World() as world:
        new = new_turn("n", kind=kind, activities=({"type": "message", "text": "hello"},))
        await world.memory.accept(new, "owner-0", claim=True)
        await world.restart()
        assert (await world.closed("n")).outcome is Outcome.DELIVERED
        assert world.channel.texts() == [say("new_done") if kind is Kind.NEW else "hello"]


@virtual_time
async def test_many_crashes_still_give_each_question_one_outcome() -> None:
    dice = random.Random(7)
    async with World(limits=Limits(lane=100)) as world:
        for n in range(60):
            world.agent.takes[f"q{n}"] = dice.uniform(0, 2)
            await world.ask(f"q{n}", lane=f"lane-{n % 6}")
        world.channel.send_seconds = 0.1
        for _ in range(12):
            await asyncio.sleep(dice.uniform(0, 1.5))
            await world.restart()
        await world.closed(*(f"q{n}" for n in range(60)), seconds=300)
        assert len(world.agent.asked) == len(set(world.agent.asked)) == 60
        assert len(world.channel.sent) == 60
        for lane in range(6):
            rows = [world.row(f"q{n}") for n in range(lane, 60, 6)]
            expected = [f"echo {row.id}" if row.outcome is Outcome.DELIVERED else INTERRUPTED for row in rows]
            assert world.channel.texts(f"lane-{lane}") == expected


@virtual_time
async def test_a_process_whose_turn_was_taken_over_shows_no_answer() -> None:
    async with World() as world:
        world.agent.takes["q"] = 10
        await world.ask("q")
        await until(lambda: world.agent.asked)
        frozen = world.dispatcher
        await world.start()
        await world.closed("q")
        await asyncio.sleep(30)
        assert world.agent.ended == ["q"]
        assert world.channel.texts() == [INTERRUPTED]
        await frozen.drain(0)


@virtual_time
async def test_no_turn_is_accepted_before_orphans_are_taken_over() -> None:
    world = World()
    with pytest.raises(StoreUnavailable):
        await world.dispatcher.accept(new_turn("q"))
    assert world.memory.rows == {}


@virtual_time
async def test_a_failed_start_can_be_repeated() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.agent.asked)
        await world.kill()
        world.memory.outages["take_over"] = 1
        with pytest.raises(StoreUnavailable):
            await world.start()
        ready = [world.dispatcher.ready]
        await world.dispatcher.start()
        ready.append(world.dispatcher.ready)
        assert ready == [False, True]
        await world.closed("q")
        assert world.channel.texts() == [INTERRUPTED]


# drain


@virtual_time
async def test_a_drain_gives_running_turns_the_grace_and_begins_no_new_turns() -> None:
    async with World() as world:
        world.agent.takes["q"] = 10
        await world.ask("q")
        await world.ask("next")
        await until(lambda: world.agent.asked)
        await world.dispatcher.drain(60)
        assert not world.dispatcher.ready
        assert world.clock.now() < EPOCH + 11
        assert world.channel.texts() == ["echo q"]
        assert world.row("next").state is State.QUEUED
        await world.start()
        await world.closed("next")
        assert world.channel.texts() == ["echo q", "echo next"]


@virtual_time
async def test_a_turn_cut_at_the_end_of_the_grace_is_noted_at_the_next_start() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.agent.asked)
        await world.dispatcher.drain(20)
        assert world.clock.now() == pytest.approx(EPOCH + 20, abs=0.1)
        assert (world.agent.cancelled, world.channel.texts()) == (["q"], [])
        await world.start()
        assert (await world.closed("q")).outcome is Outcome.INTERRUPTED


@virtual_time
async def test_a_turn_accepted_during_a_drain_is_kept_for_the_next_start() -> None:
    async with World() as world:
        world.agent.takes["q"] = 10
        await world.ask("q")
        await until(lambda: world.agent.asked)
        drain = asyncio.ensure_future(world.dispatcher.drain(60))
        await asyncio.sleep(1)
        await world.ask("behind")
        await world.ask("beside", lane="other")
        await drain
        assert world.agent.asked == ["q"]
        assert {world.row(id_).state for id_ in ("behind", "beside")} == {State.QUEUED}
        await world.start()
        await world.closed("behind", "beside")
        assert world.channel.texts() == ["echo q", "echo behind"]


@virtual_time
async def test_a_turn_committed_while_the_drain_begins_is_not_interrupted() -> None:
    async with World() as world:
        world.memory.latency = 0.2
        caller = asyncio.ensure_future(world.ask("q"))
        await asyncio.sleep(0.1)
        drain = asyncio.ensure_future(world.dispatcher.drain(60))
        accepted: Accepted = await caller
        await drain
        assert not accepted.duplicate
        assert (world.row("q").state, world.agent.asked) == (State.QUEUED, [])
        await world.start()
        assert (await world.closed("q")).outcome is Outcome.DELIVERED


@virtual_time
async def test_new_runs_in_its_place_in_the_lane() -> None:
    async with World() as world:
        world.agent.takes["before"] = 5
        await world.ask("before")
        await world.ask("new", kind=Kind.NEW)
        await world.ask("after")
        await world.closed("after")
        assert world.channel.texts() == ["echo before", say("new_done"), "echo after"]
        assert world.agent.forgotten == [("helper", "user-chat")]


@virtual_time
async def test_a_note_never_waits_behind_a_run() -> None:
    async with World() as world:
        world.agent.answers["q"] = Answer("done")
        world.agent.takes["q"] = 100
        await world.ask("q")
        note: NewTurn = new_turn("n", lane="notice", kind=Kind.NOTE, activities=({"type": "message", "text": "hello"},))
        await world.dispatcher.accept(note)
        await world.closed("n", seconds=2)
        assert world.row("q").state is State.RUNNING


@virtual_time
async def test_a_store_that_does_not_answer_is_noticed_within_ten_seconds() -> None:
    """The disk hangs: no call fails, and none ends."""
    async with World() as world:
        loop = asyncio.get_running_loop()
        assert world.dispatcher.ready
        world.memory.latency = 1e6
        began = loop.time()
        await until(lambda: not world.dispatcher.ready, 10)
        assert world.dispatcher.store_state == "the store does not answer"
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await world.ask("a")
        assert loop.time() - began < 20

        world.memory.latency = 0.0
        await until(lambda: world.dispatcher.ready, 20)
        await world.ask("b")
        await world.closed("b")
