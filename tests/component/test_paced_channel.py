"""The paced channel: sends, progress and reactions within Teams' limits."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from support.engine_world import ScriptedChannel, reference, virtual_time

from bridge.core.errors import LeftOut, Throttled
from bridge.core.live_message import LiveMessage
from bridge.core.ports.channel import Chunk
from bridge.engine.paced_channel import PacedChannel

TEXT = {"type": "message", "text": "hello"}


def paced(channel: ScriptedChannel, *, shared: bool = False) -> PacedChannel:
    return PacedChannel(channel, monotonic=asyncio.get_running_loop().time, shared=shared)


@virtual_time
async def test_many_parts_are_spread_within_teams_limits() -> None:
    channel = ScriptedChannel()
    paced_channel = paced(channel)
    await asyncio.gather(*(paced_channel.send(reference(), TEXT) for _ in range(40)))
    times = [request.at for request in channel.tries]
    assert len(times) == 40
    for at in times:
        assert sum(at <= later < at + 1.0 for later in times) <= 7
        assert sum(at <= later < at + 2.0 for later in times) <= 8
    assert max(times) < 20


@virtual_time
async def test_conversations_do_not_share_a_budget() -> None:
    channel = ScriptedChannel()
    paced_channel = paced(channel)
    await asyncio.gather(*(paced_channel.send(reference(f"c{n}"), TEXT) for n in range(200)))
    assert max(request.at for request in channel.tries) == 0.0


@virtual_time
async def test_renewals_of_an_indicator_leave_room_for_the_answer() -> None:
    channel = ScriptedChannel()
    paced_channel = paced(channel)
    for _ in range(300):
        await paced_channel.typing(reference())
        await asyncio.sleep(0.2)
    assert len(channel.typed) < 120
    before = asyncio.get_running_loop().time()
    await paced_channel.send(reference(), TEXT)
    assert asyncio.get_running_loop().time() - before < 0.6


@virtual_time
async def test_renewed_typing_indicators_count_as_progress_even_after_minutes() -> None:
    channel = ScriptedChannel()
    paced_channel = paced(channel)
    for renewed, most in ((False, 200), (True, 10), (True, 10)):
        channel.typed.clear()
        for number in range(200):
            await paced_channel.typing(reference(f"c{number}"))
        assert len(channel.typed) <= most, renewed
        await asyncio.sleep(166.0)
    await paced_channel.send(reference("c199"), TEXT)
    channel.typed.clear()
    for number in range(200):  # after an answer the chat's next first indicator is shown again
        await paced_channel.typing(reference(f"c{number}"))
    assert channel.typed[-1].conversation == "c199"


@virtual_time
async def test_after_a_refusal_no_indicator_is_renewed_until_teams_allows_it() -> None:
    channel = ScriptedChannel(failures=[Throttled("429", 20.0)])
    paced_channel = paced(channel)
    await paced_channel.typing(reference())
    with pytest.raises(Throttled):
        await paced_channel.send(reference(), TEXT)
    for _ in range(4):
        await asyncio.sleep(4)
        await paced_channel.typing(reference())
    assert len(channel.typed) == 1
    for _ in range(2):
        await asyncio.sleep(4)
        await paced_channel.typing(reference())
    assert len(channel.typed) >= 2


@virtual_time
async def test_a_cancelled_send_takes_nothing_from_the_budget() -> None:
    channel = ScriptedChannel()
    paced_channel = paced(channel)
    for _ in range(6):
        await paced_channel.send(reference(), TEXT)
    waiting = [asyncio.ensure_future(paced_channel.send(reference(), TEXT)) for _ in range(20)]
    await asyncio.sleep(0.1)
    for task in waiting:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.sleep(2)
    before = asyncio.get_running_loop().time()
    await paced_channel.send(reference(), TEXT)
    assert asyncio.get_running_loop().time() == before


@virtual_time
async def test_progress_of_a_tenant_has_30_requests_a_second_and_15_beside_other_replicas() -> None:
    for shared, most in ((False, 30), (True, 15)):
        channel = ScriptedChannel()
        paced_channel = paced(channel, shared=shared)
        begin = asyncio.get_running_loop().time()
        for tenth in range(50):
            for n in range(10):
                with contextlib.suppress(LeftOut):
                    await paced_channel.post_placeholder(reference(f"{tenth}-{n}"), TEXT)
            await asyncio.sleep(0.1)
        assert 3.7 * most <= len(channel.progress)
        for second in range(5):
            within = [1 for request in channel.progress if second <= request.at - begin < second + 1]
            assert len(within) <= most
        # answers do not wait for the tenant's progress budget
        await asyncio.gather(*(paced_channel.send(reference(f"a{n}"), TEXT) for n in range(100)))
        assert asyncio.get_running_loop().time() - begin < 5.1


@virtual_time
async def test_reactions_beyond_teams_limit_are_skipped() -> None:
    for shared, most in ((False, 16), (True, 8)):
        channel = ScriptedChannel()
        paced_channel, skipped = paced(channel, shared=shared), 0
        for n in range(100):
            try:
                await paced_channel.react(reference(f"c{n}"), "like", on=True)
            except LeftOut:
                skipped += 1
            await asyncio.sleep(0.1)
        assert len(channel.reactions) <= most
        assert len(channel.reactions) + skipped == 100


@virtual_time
async def test_the_last_request_of_a_stream_leaves_a_second_after_the_request_before() -> None:
    channel = ScriptedChannel()
    paced_channel = paced(channel)
    await paced_channel.stream(reference(), Chunk("One", 1, "", informative=False))
    await paced_channel.replace(reference(), LiveMessage("stream-1", stream=True, text="One"), TEXT)
    assert channel.tries[0].at - channel.progress[0].at >= 1.0
    before = asyncio.get_running_loop().time()
    await paced_channel.replace(reference(), LiveMessage("stream-1"), TEXT)
    assert asyncio.get_running_loop().time() == before


@virtual_time
async def test_progress_is_skipped_before_it_takes_the_budget_of_answers() -> None:
    channel = ScriptedChannel()
    paced_channel, skipped = paced(channel), 0
    for n in range(300):
        try:
            await (
                paced_channel.update_placeholder(reference(), "m1", TEXT)
                if n
                else paced_channel.post_placeholder(reference(), TEXT)
            )
        except LeftOut:
            skipped += 1
        await asyncio.sleep(0.2)
    assert skipped > 150
    before = asyncio.get_running_loop().time()
    await asyncio.gather(*(paced_channel.send(reference(), TEXT) for _ in range(5)))
    assert asyncio.get_running_loop().time() - before < 1.1
