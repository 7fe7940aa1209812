"""Long turns and busy chats stay within Teams' limits: checked by the simulator's rules, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from support.engine_world import ScriptedChannel, World, new_turn, virtual_time

from bridge.core.errors import StreamEnded, Throttled
from bridge.core.live_message import LiveMessage
from bridge.core.ports.agent import TextCame, ToolBegan
from bridge.core.ports.channel import Chunk
from bridge.core.turn import Activity, Kind, Outcome, Reference, Scope
from bridge.engine.progress import ProgressSwitches
from bridge.simulator.teams.rate_limits import REACTIONS, REQUESTS, SENDS, SlidingWindows
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.stream_rules import Part, Streams, part_of
from bridge.teams.streams import chunk_activity, final_activity

STOP = new_turn("stop", lane="notice", kind=Kind.NOTE)


@dataclass
class RuledChannel(ScriptedChannel):
    """Refuses requests by Teams' rules, and keeps the refusals."""

    sends: SlidingWindows = field(default_factory=lambda: SlidingWindows(SENDS))
    tenant: SlidingWindows = field(default_factory=lambda: SlidingWindows(REQUESTS))
    reacted: SlidingWindows = field(default_factory=lambda: SlidingWindows(REACTIONS))
    streams: Streams = field(default_factory=Streams)
    refusals: list[str] = field(default_factory=list)
    requests: list[tuple[float, str]] = field(default_factory=list)
    tenant_counts: bool = True

    async def send(self, to: Reference, activity: Activity) -> str:
        self._take(to, "send")
        return await super().send(to, activity)

    async def typing(self, to: Reference) -> None:
        self._take(to, "typing")
        await super().typing(to)

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        part = self._judged(to, chunk_activity(chunk))
        self._take(to, "stream")
        id_ = await super().stream(to, chunk)
        now = asyncio.get_running_loop().time()
        if part.stream_id is None:
            self.streams.start(to.conversation, id_, part, now)
        else:
            self.streams.take(to.conversation, part, "shown", now)
        return id_

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        self._take(to, "placeholder")
        return await super().post_placeholder(to, activity)

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        self._take(to, "edit")
        await super().update_placeholder(to, message, activity)

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        self._take(to, "replace")
        if live.stream and self.streams.open_in(to.conversation):
            text = str(activity.get("text") or activity.get("summary"))
            last = activity | {"text": text if text.startswith(live.text) else live.text}
            try:
                part = self._judged(to, final_activity(last, live.id))
            except StreamEnded:
                # after a restart the streamed text is unknown, so the final is refused; the edit ends the stream, too
                if live.text or "previously streamed" not in self.refusals.pop():
                    raise
                self.streams.end(to.conversation, "replaced")
            else:
                self.streams.take(to.conversation, part, "final", asyncio.get_running_loop().time())
        return await super().replace(to, live, activity)

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        if self.reacted.take("all", asyncio.get_running_loop().time()) > 0:
            self._refuse("reaction")
        await super().react(to, reaction, on=on)

    def _judged(self, to: Reference, activity: Activity) -> Part:
        try:
            part = part_of(activity)
            self.streams.judge(to.conversation, part, asyncio.get_running_loop().time())
        except Refused as refused:
            self.refusals.append(str(refused))
            raise StreamEnded(refused.code) from None
        return part

    def _take(self, to: Reference, kind: str) -> None:
        now = asyncio.get_running_loop().time()
        self.requests.append((now, kind))
        if self.sends.take(to.conversation, now) > 0:
            self._refuse(f"{kind} to {to.conversation}")
        if self.tenant_counts and self.tenant.take("tenant", now) > 0:
            self._refuse(f"{kind} of the tenant")

    def _refuse(self, kind: str) -> None:
        self.refusals.append(kind)
        raise Throttled(kind, 1.0)


def busy_agent(world: World, text: str, seconds: float) -> None:
    """Script a run of `seconds` with a tool and text."""
    world.agent.takes[text] = seconds
    world.agent.events[text] = (ToolBegan("web_search", "penguins"), TextCame("Penguins live in the south.\n\nThey"))


@virtual_time
async def test_a_turn_of_six_minutes_stays_within_every_budget_in_every_kind_of_chat() -> None:
    channel = RuledChannel()
    async with World(switches=ProgressSwitches(), channel=channel, paced=True) as world:
        world.agent.takes["slow"] = 359.0
        busy_agent(world, "writes", 359.0)
        for number, scope in enumerate(Scope):
            for text in ("slow", "writes"):
                await world.ask(f"{text}-{number}", text, lane=f"{text}-{number}", scope=scope)
        await world.closed("slow-0", "slow-1", "slow-2", "writes-0", "writes-1", "writes-2", seconds=500.0)
        assert channel.refusals == []
        kinds = Counter(kind for _, kind in channel.requests)
        assert kinds["stream"] > 5
        assert kinds["edit"] > 10


@virtual_time
async def test_stop_at_second_150_ends_the_run_and_the_next_question_begins() -> None:
    channel = RuledChannel()
    async with World(switches=ProgressSwitches(), channel=channel, paced=True) as world:
        busy_agent(world, "writes", 359.0)
        await world.ask("writes")
        await world.ask("next")
        await asyncio.sleep(150.0)
        await world.dispatcher.stop(new_turn("writes").lane, STOP, "Ann")
        await world.closed("next", seconds=20.0)
        assert (world.row("writes").outcome, world.row("next").outcome) == (Outcome.STOPPED, Outcome.DELIVERED)
        assert channel.refusals == []


@virtual_time
async def test_a_restart_at_second_100_notes_the_interruption_and_goes_on() -> None:
    channel = RuledChannel()
    async with World(switches=ProgressSwitches(), channel=channel, paced=True) as world:
        busy_agent(world, "writes", 359.0)
        await world.ask("writes")
        await world.ask("next")
        await asyncio.sleep(100.0)
        await world.restart()
        await world.closed("writes", "next", seconds=60.0)
        assert (world.row("writes").outcome, world.row("next").outcome) == (Outcome.INTERRUPTED, Outcome.DELIVERED)
        assert channel.streams.open_in("chat") is None
        assert channel.refusals == []


@virtual_time
async def test_200_turns_in_10_chats_at_once_stay_within_every_limit_of_teams() -> None:
    channel, dice = RuledChannel(), random.Random(5)
    async with World(switches=ProgressSwitches(), channel=channel, paced=True, merge=True) as world:

        async def talk(chat: int) -> None:
            scope = (Scope.PERSONAL, Scope.GROUP, Scope.CHANNEL)[chat % 3]
            for number in range(20):
                id_ = f"{chat}-{number}"
                if dice.random() < 0.5:
                    busy_agent(world, id_, dice.uniform(0.1, 40.0))
                else:
                    world.agent.takes[id_] = dice.uniform(0.0, 5.0)
                await world.ask(id_, lane=f"chat-{chat}", scope=scope)
                if dice.random() < 0.7:
                    await world.closed(id_, seconds=400.0)

        await asyncio.gather(*(talk(chat) for chat in range(10)))
        await world.closed(*(row.id for row in world.memory.rows.values()), seconds=2000.0)
        assert channel.refusals == []
        assert sum(row.kind is Kind.ASK for row in world.memory.rows.values()) == 200


def progress_by_second(channel: RuledChannel, firsts: int) -> Counter[int]:
    """Progress requests by second, without the first `firsts` indicators and without replacements."""
    indicators = [at for at, kind in channel.requests if kind == "typing"]
    assert len(indicators) >= firsts
    assert indicators[firsts - 1] < 5.0
    edits = (at for at, kind in channel.requests if kind not in {"typing", "replace"})
    return Counter(int(at) for at in (*indicators[firsts:], *edits))


@virtual_time
async def test_progress_of_5000_long_turns_at_once_leaves_room_for_answers() -> None:
    channel = RuledChannel()
    async with World(switches=ProgressSwitches(), channel=channel, paced=True) as world:
        for number in range(5000):
            world.agent.takes[f"q{number}"] = 400.0
            world.agent.events[f"q{number}"] = (TextCame("Penguins live in the south.\n\n"),) if number % 2 else ()
            scope = (Scope.PERSONAL, Scope.GROUP, Scope.CHANNEL)[number % 3]
            await world.ask(f"q{number}", lane=f"lane-{number}", scope=scope)
        await asyncio.sleep(240.0)
        # the tenant's 50 requests a second are fewer than the first indicators, so Teams refuses indicators only
        assert set(channel.refusals) == {"typing of the tenant"}
        assert max(progress_by_second(channel, firsts=3334).values()) <= 30
        kinds = Counter(kind for _, kind in channel.requests)
        assert kinds["typing"] == 3334
        assert min(kinds[kind] for kind in ("stream", "placeholder", "edit")) > 200


@virtual_time
async def test_typing_indicators_of_5000_long_turns_stay_within_the_progress_limit() -> None:
    channel = RuledChannel()
    async with World(switches=ProgressSwitches(progress=False), channel=channel, paced=True) as world:
        for number in range(5000):
            world.agent.takes[f"q{number}"] = 400.0
            await world.ask(f"q{number}", lane=f"lane-{number}")
        await asyncio.sleep(240.0)
        assert len(channel.refusals) < 5000
        assert 20 < max(progress_by_second(channel, firsts=5000).values()) <= 30
