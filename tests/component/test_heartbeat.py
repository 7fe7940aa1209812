"""Two replicas on a shared turn table: order, takeover and stop while a replica is killed, hangs or is cut off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from support.engine_world import (
    PLAIN,
    ScriptedAgent,
    ScriptedChannel,
    World,
    new_turn,
    stop_command,
    until,
    virtual_time,
)
from support.memory_store import MemoryStore

from bridge.core.errors import StoreUnavailable, StreamStopped
from bridge.core.lease import CERTAIN_SECONDS, LEASE_SECONDS
from bridge.core.ports.heartbeat import Heartbeat, Orphans
from bridge.core.texts import say
from bridge.core.turn import Accepted, Kind, Lane, NewTurn, Outcome, State, StopVerdict
from bridge.engine.progress import ProgressSwitches

CHAT = Lane("chat")
STOP = stop_command()
INTERRUPTED = say("interrupted")


class _Cut(MemoryStore):
    """A shared store; while `unreachable`, every call raises StoreUnavailable."""

    def __init__(self) -> None:
        super().__init__(shared=True)
        self.unreachable = False

    def _enter(self, name: str) -> None:
        super()._enter(name)
        if self.unreachable:
            raise StoreUnavailable("cut off")


@dataclass
class Pair:
    """Two replicas with the same gateway, channel and store."""

    a: World
    b: World
    store: _Cut

    @property
    def agent(self) -> ScriptedAgent:
        return self.a.agent

    @property
    def channel(self) -> ScriptedChannel:
        return self.a.channel


@asynccontextmanager
async def pair(*, merge: bool = False, switches: ProgressSwitches = PLAIN) -> AsyncIterator[Pair]:
    store = _Cut()
    a, b = (World(store, name=name, merge=merge, switches=switches) for name in "ab")
    b.agent, b.channel = a.agent, a.channel
    b.dispatcher = b._build()  # noqa: SLF001  over the same agent and channel
    async with a, b:
        yield Pair(a, b, store)


# without faults


@virtual_time
async def test_a_lane_keeps_its_order_over_two_replicas() -> None:
    async with pair() as two:
        for n in range(20):
            two.agent.takes[f"q{n}"] = 1.0
            await (two.a if n % 2 else two.b).ask(f"q{n}")
        await two.a.closed("q19")
        assert two.agent.asked == [f"q{n}" for n in range(20)]
        assert two.agent.overlaps == []
        # without a wait for a heartbeat between two turns
        assert max(two.agent.times.values()) == pytest.approx(19, abs=0.2)


@virtual_time
async def test_an_activity_posted_to_two_replicas_runs_once() -> None:
    async with pair() as two:
        first, second = await asyncio.gather(two.a.ask("q"), two.b.ask("q"))
        assert first.duplicate is not second.duplicate
        await two.a.closed("q")
        assert two.agent.asked == ["q"]


@pytest.mark.parametrize("deaf", [False, True])
@virtual_time
async def test_a_stop_reaches_the_other_replica(deaf: bool) -> None:
    async with pair() as two:
        two.store.deaf = deaf  # the notification is lost, so the heartbeat reports the stop
        two.agent.takes["q"] = 100
        await two.a.ask("q")
        await until(lambda: two.agent.asked)
        before = asyncio.get_running_loop().time()
        assert await two.b.dispatcher.stop(CHAT, STOP, "Bob") is StopVerdict.STOPPING
        await until(lambda: two.agent.cancelled == ["q"], 2)
        assert asyncio.get_running_loop().time() - before < (1.1 if deaf else 0.1)
        assert (await two.a.closed("q")).outcome is Outcome.STOPPED


@virtual_time
async def test_a_question_at_one_replica_lets_the_other_hear_of_a_stop_in_the_client_at_once() -> None:
    async with pair(switches=ProgressSwitches()) as two:
        two.agent.takes["q"] = 100
        await two.a.ask("q")
        await asyncio.sleep(6)
        before = asyncio.get_running_loop().time()
        two.channel.progress_failures.append(StreamStopped())
        await two.b.ask("next", lane="chat")
        await until(lambda: two.agent.cancelled == ["q"], 2)
        assert asyncio.get_running_loop().time() - before < 1.1


@pytest.mark.parametrize("deaf", [False, True])
@virtual_time
async def test_a_question_withdrawn_at_the_other_replica_ends_without_a_message(deaf: bool) -> None:
    async with pair() as two:
        two.store.deaf = deaf
        two.agent.takes["q"] = 100
        await two.a.ask("q")
        await until(lambda: two.agent.asked)
        await two.b.dispatcher.edits.withdraw(two.b.row("q"))
        await until(lambda: two.agent.cancelled == ["q"], 2)
        assert (await two.a.closed("q")).outcome is Outcome.WITHDRAWN
        assert two.a.channel.texts() == []


@virtual_time
async def test_turns_of_a_replica_that_left_are_taken_over_at_once() -> None:
    async with pair() as two:
        two.agent.takes["q"] = 100
        await two.a.ask("q")
        await two.a.ask("next")
        await until(lambda: two.agent.asked)
        await two.a.dispatcher.drain(0)
        await two.b.closed("q", "next", seconds=5)
        assert two.channel.texts() == [INTERRUPTED, "echo next"]
        await two.a.start()


# with faults


@virtual_time
async def test_turns_of_a_killed_replica_are_taken_over_after_one_lease_and_not_before() -> None:
    async with pair() as two:
        two.agent.takes["q"] = 100
        await two.a.ask("q")
        await two.a.ask("next")
        await two.a.ask("alone", lane="other")
        await asyncio.sleep(5)
        await two.a.kill()
        await asyncio.sleep(LEASE_SECONDS - 2)
        assert two.channel.texts() == []
        await two.b.closed("q", "next", seconds=8)
        assert two.channel.texts() == [INTERRUPTED, "echo next"]
        assert two.agent.asked.count("q") == 1
        # no event tells the end of the interrupted run, so the lane rests
        assert two.agent.times["next"] >= two.channel.sent[-2].at + 2.99
        await two.a.start()


@virtual_time
async def test_a_turn_queued_at_a_killed_replica_is_answered_by_the_other_replica() -> None:
    async with pair() as two:
        await two.store.accept(new_turn("q"), two.a.dispatcher._runners.owner, claim=False)  # noqa: SLF001  no public name
        await two.a.kill()
        await two.b.closed("q", seconds=LEASE_SECONDS + 5)
        assert two.channel.texts() == ["echo q"]
        await two.a.start()


@virtual_time
async def test_a_replica_cut_off_from_the_store_stops_its_runs_before_the_takeover() -> None:
    async with pair() as two:
        two.agent.takes["q"] = 100
        await two.a.ask("q")
        await until(lambda: two.agent.asked)

        async def cut_off(_owner: str, _running: int) -> Heartbeat:
            raise StoreUnavailable("cut off")

        two.a.dispatcher._replica._store = _WithHeartbeat(two.store, cut_off)  # type: ignore[assignment]  # noqa: SLF001  no public name
        began = asyncio.get_running_loop().time()
        await until(lambda: two.agent.cancelled == ["q"], CERTAIN_SECONDS + 2)
        assert asyncio.get_running_loop().time() - began < LEASE_SECONDS - 2
        assert not two.a.dispatcher.ready
        with pytest.raises(StoreUnavailable):
            await two.a.ask("refused")
        assert two.channel.texts() == []
        await two.b.closed("q", seconds=10)
        assert two.channel.texts() == [INTERRUPTED]
        two.a.dispatcher._replica._store = two.store  # noqa: SLF001  no public name
        await until(lambda: two.a.dispatcher.ready, 5)
        await two.a.ask("works again")
        await two.a.closed("works again")
        assert two.channel.texts() == [INTERRUPTED, "echo works again"]


class _WithHeartbeat:
    """The store with the test's own heartbeat."""

    def __init__(self, store: MemoryStore, heartbeat: object) -> None:
        self._store = store
        self.heartbeat = heartbeat

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


@virtual_time
async def test_a_replica_that_lost_its_lease_rejoins_under_a_new_owner_and_shows_no_turn_twice() -> None:
    async with pair() as two:
        two.agent.takes["q"] = 100
        await two.a.ask("q")
        await until(lambda: two.agent.asked)
        owner = two.a.dispatcher._runners.owner  # noqa: SLF001  no public name
        orphans = await two.store.take_over("c", frozenset({owner}))
        assert [turn.id for turn in orphans.turns] == ["q"]
        await until(lambda: two.agent.cancelled == ["q"], 2)
        await asyncio.sleep(5)
        assert two.a.dispatcher.ready
        await two.a.ask("other", lane="other")
        await two.a.closed("other")
        # owner c never joined, so the turn is taken over again, with a single note
        await two.b.closed("q", seconds=10)
        assert two.channel.texts() == [INTERRUPTED]


@virtual_time
async def test_after_a_store_outage_for_all_replicas_no_turn_is_lost() -> None:
    async with pair() as two:
        two.agent.takes.update({"long": 60, "short": 5})
        await two.a.ask("long", lane="a")
        await two.b.ask("short", lane="b")
        await asyncio.sleep(1)
        two.store.unreachable = True
        for world in (two.a, two.b):
            with pytest.raises(StoreUnavailable):
                await world.ask("refused")
        await asyncio.sleep(30)
        two.store.unreachable = False
        await until(lambda: two.a.dispatcher.ready and two.b.dispatcher.ready, 5)
        await two.a.ask("after", lane="c")
        await two.a.closed("long", "short", "after", seconds=LEASE_SECONDS + 10)
        # the outage outlasts the lease, so interrupted runs have a note
        assert two.channel.texts("a") == [INTERRUPTED]
        assert two.channel.texts("b") in (["echo short"], [INTERRUPTED])
        assert two.channel.texts("c") == ["echo after"]
        assert len(two.agent.asked) == 3


@virtual_time
async def test_a_short_store_outage_interrupts_no_run() -> None:
    async with pair() as two:
        two.agent.takes["q"] = 20
        await two.a.ask("q")
        await asyncio.sleep(1)
        two.store.unreachable = True
        await asyncio.sleep(10)
        two.store.unreachable = False
        await two.a.closed("q")
        assert two.channel.texts() == ["echo q"]


@pytest.mark.parametrize("seed", range(6))
@virtual_time
async def test_each_question_has_one_outcome_in_order_while_replicas_are_killed_and_restarted(seed: int) -> None:
    dice = random.Random(seed)
    async with pair() as two:
        two.channel.send_seconds = 0.05
        acknowledged: list[str] = []

        async def ask(n: int) -> None:
            await asyncio.sleep(dice.uniform(0, 120))
            two.agent.takes[f"q{n}"] = dice.uniform(0, 4)
            for _ in range(200):
                world = dice.choice([two.a, two.b])
                try:
                    await world.ask(f"q{n}", lane=f"lane-{n % 8}")
                except StoreUnavailable:
                    await asyncio.sleep(1)
                else:
                    acknowledged.append(f"q{n}")
                    return

        async def kill_and_restart() -> None:
            for _ in range(8):
                await asyncio.sleep(dice.uniform(5, 20))
                world = dice.choice([two.a, two.b])
                await (world.kill() if dice.random() < 0.7 else world.dispatcher.drain(dice.uniform(0, 3)))
                await asyncio.sleep(dice.uniform(0, 30))
                await world.start()

        await asyncio.gather(kill_and_restart(), *(ask(n) for n in range(100)))
        await two.a.closed(*acknowledged, seconds=300)
        assert len(acknowledged) == 100
        assert two.agent.overlaps == []
        assert len(two.agent.asked) == len(set(two.agent.asked))
        for lane in range(8):
            rows = [two.a.row(id_) for id_ in acknowledged if int(id_[1:]) % 8 == lane]
            expected = [f"echo {row.id}" if row.outcome is Outcome.DELIVERED else INTERRUPTED for row in rows]
            assert two.channel.texts(f"lane-{lane}") == expected


# merging


@virtual_time
async def test_messages_queued_behind_a_run_are_asked_together() -> None:
    async with pair(merge=True) as two:
        two.agent.takes["one"] = 10
        await two.a.ask("one")
        for n, world in enumerate((two.a, two.b, two.a)):
            await world.ask(f"more{n}")
        await two.a.closed("more2")
        assert two.agent.asked == ["one", "more0\n\nmore1\n\nmore2"]
        outcomes = [two.a.row(f"more{n}").outcome for n in range(3)]
        assert outcomes == [Outcome.MERGED, Outcome.MERGED, Outcome.DELIVERED]
        assert two.channel.texts() == ["echo one", "echo more0\n\nmore1\n\nmore2"]


@virtual_time
async def test_only_plain_questions_are_merged() -> None:
    async with pair(merge=True) as two:
        two.agent.takes["one"] = 10
        await two.a.ask("one")
        await two.a.ask("a")
        await two.a.ask("new", kind=Kind.NEW)
        await two.a.ask("b")
        await two.a.ask("again", again_of=1)
        await two.a.ask("c")
        await two.a.closed("c")
        assert two.agent.asked == ["one", "a", "b", "again", "c"]


# an operator


@virtual_time
async def test_dropping_a_queued_turn_at_the_other_replica_closes_it_with_a_note() -> None:
    async with pair() as two:
        two.agent.takes["one"] = 10
        await two.a.ask("one")
        await two.a.ask("q")
        note = new_turn("drop", lane="notice", kind=Kind.NOTE, activities=({"type": "message", "text": "dropped"},))
        verdict = await two.b.dispatcher.drop(two.a.row("q").n, note)
        assert verdict == "dropped"
        await two.b.closed("drop")
        await two.a.closed("one")
        await asyncio.sleep(5)
        assert two.agent.asked == ["one"]
        assert two.a.row("q").state is State.CLOSED
        assert two.channel.texts("notice") == ["dropped"]


# heartbeats with faults


class _Broken(MemoryStore):
    """The next `broken` heartbeats raise an unexpected error."""

    broken = 0

    async def heartbeat(self, owner: str, running: int) -> Heartbeat:
        if running and self.broken:
            self.broken -= 1
            raise ZeroDivisionError
        return await super().heartbeat(owner, running)


@virtual_time
async def test_a_heartbeat_with_a_fault_is_followed_by_the_next() -> None:
    store = _Broken(shared=True)
    async with World(store) as world:
        world.agent.takes["q"] = 40.0
        store.broken = 3
        await world.ask("q")
        await asyncio.sleep(5.0)
        assert (store.broken, world.dispatcher.ready) == (0, True)
        assert (await world.closed("q")).outcome is Outcome.DELIVERED


class _Stalling(MemoryStore):
    """Heartbeats return `late` seconds late, as from a stalled database."""

    late = 0.0

    async def heartbeat(self, owner: str, running: int) -> Heartbeat:
        result = await super().heartbeat(owner, running)
        await asyncio.sleep(self.late)
        return result


@virtual_time
async def test_a_late_heartbeat_after_the_lost_lease_asks_no_question_again() -> None:
    store = _Stalling(shared=True)
    async with World(store) as world:
        world.agent.takes["q"] = 100.0
        await world.ask("q")
        await asyncio.sleep(2.0)
        store.late = CERTAIN_SECONDS + 4
        await asyncio.sleep(CERTAIN_SECONDS + 2)
        store.late = 0.0
        row = await world.closed("q", seconds=200.0)
        assert (row.outcome, world.agent.asked) == (Outcome.INTERRUPTED, ["q"])


class _SlowAccept(MemoryStore):
    """`accept` returns `late` seconds late, and heartbeats fail meanwhile."""

    late = 0.0

    async def accept(self, new: NewTurn, owner: str, *, claim: bool, room: int | None = None) -> Accepted:
        accepted = await super().accept(new, owner, claim=claim, room=room)
        await asyncio.sleep(self.late)
        return accepted

    async def heartbeat(self, owner: str, running: int) -> Heartbeat:
        if self.late:
            raise StoreUnavailable("no way")
        return await super().heartbeat(owner, running)


@virtual_time
async def test_a_replica_that_lost_its_lease_does_not_begin_turns_accepted_meanwhile() -> None:
    store = _SlowAccept(shared=True)
    async with World(store) as world:
        store.late = 5.0
        await asyncio.sleep(CERTAIN_SECONDS - 3.0)
        await world.ask("q")  # accepted 2 s after the loss of the lease
        assert not world.dispatcher.ready
        await asyncio.sleep(0.5)
        assert (world.row("q").state, world.agent.asked) == (State.QUEUED, [])
        store.late = 0.0
        row = await world.closed("q")
        assert (row.outcome, row.owner == "owner-1", world.agent.asked) == (Outcome.DELIVERED, False, ["q"])


class _LostTakeover(MemoryStore):
    """`take_over` loses the turns in its result; a repeated call has no turns left to take over."""

    async def take_over(self, owner: str, expired: frozenset[str] = frozenset()) -> Orphans:
        orphans = await super().take_over(owner, expired)
        return Orphans() if orphans.turns else orphans


@virtual_time
async def test_a_run_whose_takeover_result_was_lost_is_interrupted_and_not_asked_again() -> None:
    store = _LostTakeover()
    async with World(store) as world:
        world.agent.takes["q"] = 100.0
        await world.ask("q")
        await asyncio.sleep(2.0)
        await world.restart()
        row = await world.closed("q", seconds=60.0)
        assert (row.outcome, world.agent.asked) == (Outcome.INTERRUPTED, ["q"])
