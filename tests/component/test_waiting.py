"""Reactions on waiting questions stay bounded, however many questions wait."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from support.engine_world import ScriptedChannel, new_turn, reference, until, virtual_time

from bridge.core.turn import Kind, Lane, Reference, State, Turn
from bridge.engine.waiting import WAITING, WaitingReactions
from bridge.tasks import Tasks


class Held(ScriptedChannel):
    """Holds all reactions until `may` is set; `most`: the most requests under way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.under_way = self.most = 0

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.may.wait()
        self.under_way -= 1
        await super().react(to, reaction, on=on)


def question(lane: str, activity: str = "a1") -> Reference:
    return replace(reference(lane), activity=activity)


def ended(lane: str, activity: str, *, history: str = "") -> Turn:
    payload = replace(new_turn("q").payload, reference=question(lane, activity))
    return Turn(1, "q", Kind.ASK, Lane(lane), State.CLOSED, payload, 0.0, history=history)


@virtual_time
async def test_at_most_200_reactions_are_added_at_once_and_200_more_removed() -> None:
    channel, tasks = Held(), Tasks()
    reactions = WaitingReactions(channel, tasks, wanted=True)
    for n in range(300):
        reactions.question_waits(Lane(f"lane-{n}"), question(f"lane-{n}"))
    await until(lambda: channel.under_way)
    assert channel.most == 200
    for n in range(300):
        reactions.turn_ended(ended(f"lane-{n}", "a1", history="0.000 queued;"))
    await asyncio.sleep(1)
    assert channel.most == 400
    channel.may.set()
    await until(lambda: not channel.under_way)
    # then further reactions are possible
    reactions.question_waits(Lane("next"), question("next"))
    await until(lambda: len(channel.reactions) == 401)
    await tasks.cancel()


@virtual_time
async def test_reactions_of_1000_lanes_are_remembered_and_the_oldest_lane_is_forgotten() -> None:
    channel, tasks = ScriptedChannel(), Tasks()
    reactions = WaitingReactions(channel, tasks, wanted=True)
    for n in range(1001):
        for activity in ("first", "second"):
            reactions.question_waits(Lane(f"lane-{n}"), question(f"lane-{n}", activity))
        await until(lambda: len(channel.reactions) == 2 * (n + 1))  # noqa: B023  awaited within the iteration
    channel.reactions.clear()
    for lane in ("lane-1", "lane-0"):
        reactions.turn_ended(ended(lane, "second", history="0.000 queued;"))
    await until(lambda: len(channel.reactions) == 3)
    await asyncio.sleep(30)
    # lane-1 is remembered: both merged questions; lane-0 is forgotten: the closed turn's own question only
    assert channel.reactions == [("first", WAITING, False), ("second", WAITING, False), ("second", WAITING, False)]
    await tasks.cancel()
