"""Greetings after a rollout to thousands of people: all kept, shown once, at a pace that leaves room for answers."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from support.engine_world import World, new_turn, reference, until, virtual_time
from support.memory_store import MemoryStore

from bridge.core.errors import DeliveryRefused, DeliveryUnknown
from bridge.core.identity import WELCOME_LANES, notice_lane, welcome_lane
from bridge.core.turn import Kind, NewTurn, Outcome, State
from bridge.engine.dispatcher import Limits

HELLO = {"type": "message", "text": "hello"}
PACE = 5.0


def welcome(n: int) -> NewTurn:
    lane = welcome_lane(reference(f"chat-{n}"))
    turn = new_turn(f"installed-{n}", lane=f"chat-{n}", kind=Kind.WELCOME, activities=(HELLO,))
    return NewTurn(turn.id, turn.kind, lane, turn.payload, turn.accepted)


async def roll_out(world: World, people: int) -> None:
    """Teams reports all installations at once."""
    for n in range(people):
        assert not (await world.dispatcher.accept(welcome(n))).full


def greeted(world: World) -> Counter[str]:
    return Counter(request.conversation for request in world.channel.sent if request.text == "hello")


@virtual_time
async def test_one_person_is_greeted_at_once() -> None:
    async with World() as world:
        await world.dispatcher.accept(welcome(1))
        await until(lambda: greeted(world), 0.1)


@virtual_time
async def test_thousands_of_people_are_greeted_at_a_steady_pace() -> None:
    async with World() as world:
        await roll_out(world, 1000)
        await until(lambda: len(greeted(world)) == 1000, 400)
        at = [request.at for request in world.channel.sent]
        assert set(greeted(world).values()) == {1}
        # at most the first greeting of each lane, then the pace
        assert all(after - before >= (10 - WELCOME_LANES / PACE) for before, after in zip(at, at[50:], strict=False))
        assert 1000 / PACE - 3 <= at[-1] - at[0] <= 1000 / PACE * 1.5


@virtual_time
async def test_a_person_still_to_be_greeted_gets_answers_and_notes_at_once() -> None:
    async with World() as world:
        await roll_out(world, 1000)
        last = reference("chat-999")
        await world.ask("question", lane="chat-999")
        note = new_turn(
            "help", lane=notice_lane(last), kind=Kind.NOTE, activities=({"type": "message", "text": "help"},)
        )
        await world.dispatcher.accept(note)
        await until(lambda: "echo question" in world.channel.texts("chat-999"), 0.5)
        await world.closed("help", seconds=0.5)
        assert greeted(world)["chat-999"] == 0


@virtual_time
async def test_waiting_greetings_do_not_count_towards_limits() -> None:
    async with World(limits=Limits(lane=2, waiting=3, running=1)) as world:
        await roll_out(world, 500)
        await asyncio.sleep(3)  # long enough for heartbeats
        assert not (await world.ask("question")).full
        await world.closed("question", seconds=0.5)


@virtual_time
async def test_after_a_crash_every_person_is_greeted_exactly_once() -> None:
    async with World() as world:
        await roll_out(world, 200)
        await until(lambda: len(greeted(world)) >= 60, 60)
        await world.restart()
        before = greeted(world)
        assert set(before.values()) == {1}
        await until(lambda: len(greeted(world)) == 200, 100)
        assert set(greeted(world).values()) == {1}
        at = [request.at for request in world.channel.sent][len(before) :]
        assert at[-1] - at[0] >= (200 - len(before) - WELCOME_LANES) / PACE - 2


@virtual_time
async def test_a_repeated_installation_is_greeted_once() -> None:
    async with World() as world:
        await roll_out(world, 50)
        await roll_out(world, 50)
        await until(lambda: len(greeted(world)) == 50, 60)
        await asyncio.sleep(20)
        assert set(greeted(world).values()) == {1}


@virtual_time
async def test_a_chat_without_delivery_for_minutes_delays_greetings_of_few_chats() -> None:
    async with World() as world:
        world.channel.failures.append(DeliveryUnknown())
        await roll_out(world, 200)
        stuck = welcome_lane(reference("chat-0"))
        others = {f"chat-{n}" for n in range(200) if welcome_lane(reference(f"chat-{n}")) != stuck}
        assert 160 < len(others) < 190
        await until(lambda: others <= greeted(world).keys(), 59)


@virtual_time
async def test_a_shutdown_does_not_wait_for_the_pace_of_greetings() -> None:
    async with World() as world:
        await roll_out(world, 100)
        await until(lambda: greeted(world))
        began = asyncio.get_running_loop().time()
        await world.dispatcher.drain(60)
        assert asyncio.get_running_loop().time() - began < 0.1
        open_ = [row for row in world.memory.rows.values() if row.state is not State.CLOSED]
        assert {row.state for row in open_} == {State.QUEUED}
        assert len(open_) + len(greeted(world)) == 100


@pytest.mark.parametrize("replicas", [2, 3])
@virtual_time
async def test_several_replicas_keep_the_pace_together(replicas: int) -> None:
    store = MemoryStore(shared=True)
    worlds = [World(store, name=f"r{n}") for n in range(replicas)]
    for world in worlds:
        world.channel = worlds[0].channel
        await world.start()
    await asyncio.sleep(2)  # long enough for each replica to count all replicas
    for n in range(300):
        await worlds[n % replicas].dispatcher.accept(welcome(n))
    await until(lambda: len(greeted(worlds[0])) == 300, 400)
    at = sorted(request.at for request in worlds[0].channel.sent)
    assert set(greeted(worlds[0]).values()) == {1}
    assert at[-1] - at[0] >= (300 - replicas * WELCOME_LANES) / PACE - 5
    for world in worlds:
        await world.kill()


@virtual_time
async def test_a_greeting_refused_for_good_is_closed_as_undelivered() -> None:
    async with World() as world:
        world.channel.failures.append(DeliveryRefused())
        await world.dispatcher.accept(welcome(1))
        assert (await world.closed("installed-1")).outcome is Outcome.UNDELIVERED
