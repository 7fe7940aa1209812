"""Sends under a conversation's budget."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from engine_world import ScriptedChannel, reference, virtual_time

from bridge.core.errors import Throttled
from bridge.engine.paced import PacedChannel

TEXT = {"type": "message", "text": "hello"}


def paced(channel: ScriptedChannel) -> PacedChannel:
    return PacedChannel(channel, monotonic=asyncio.get_running_loop().time, shared=False)


@virtual_time
async def test_many_parts_are_spread_as_teams_allows() -> None:
    channel = ScriptedChannel()
    way = paced(channel)
    await asyncio.gather(*(way.send(reference(), TEXT) for _ in range(40)))
    times = [shown.at for shown in channel.tries]
    assert len(times) == 40
    for at in times:
        assert sum(at <= other < at + 1.0 for other in times) <= 7
        assert sum(at <= other < at + 2.0 for other in times) <= 8
    assert max(times) < 20


@virtual_time
async def test_conversations_do_not_share_a_budget() -> None:
    channel = ScriptedChannel()
    way = paced(channel)
    await asyncio.gather(*(way.send(reference(f"c{n}"), TEXT) for n in range(200)))
    assert max(shown.at for shown in channel.tries) == 0.0


@virtual_time
async def test_renewals_of_an_indicator_leave_room_for_the_answer() -> None:
    channel = ScriptedChannel()
    way = paced(channel)
    for _ in range(300):
        await way.typing(reference())
        await asyncio.sleep(0.2)
    assert len(channel.typed) < 120
    before = asyncio.get_running_loop().time()
    await way.send(reference(), TEXT)
    assert asyncio.get_running_loop().time() - before < 0.6


@virtual_time
async def test_after_a_refusal_no_indicator_is_renewed_until_teams_allows_it() -> None:
    channel = ScriptedChannel(failures=[Throttled("429", 20.0)])
    way = paced(channel)
    await way.typing(reference())
    with pytest.raises(Throttled):
        await way.send(reference(), TEXT)
    for _ in range(4):
        await asyncio.sleep(4)
        await way.typing(reference())
    assert len(channel.typed) == 1
    for _ in range(2):
        await asyncio.sleep(4)
        await way.typing(reference())
    assert len(channel.typed) >= 2


@virtual_time
async def test_who_stops_waiting_takes_nothing() -> None:
    channel = ScriptedChannel()
    way = paced(channel)
    for _ in range(6):
        await way.send(reference(), TEXT)
    waiting = [asyncio.ensure_future(way.send(reference(), TEXT)) for _ in range(20)]
    await asyncio.sleep(0.1)
    for task in waiting:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.sleep(2)
    before = asyncio.get_running_loop().time()
    await way.send(reference(), TEXT)
    assert asyncio.get_running_loop().time() == before
