"""An answer that Teams refuses for its size or its content arrives in smaller parts, once, over every kill."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import pytest
from support.engine_world import ChannelRequest, ScriptedChannel, World, until, virtual_time

from bridge.core.errors import DeliveryRejected
from bridge.core.live_message import LiveMessage
from bridge.core.markdown.split import units
from bridge.core.ports.agent import Answer
from bridge.core.texts import say
from bridge.core.turn import Activity, Outcome, Reference, State
from bridge.engine.part_sizes import PartSizes
from bridge.engine.progress import ProgressSwitches

ANSWER = "\n\n".join(f"Paragraph {i}. " + f"word{i} " * 100 for i in range(70))


@dataclass
class StrictChannel(ScriptedChannel):
    """Refuses texts of more than `most` UTF-16 units as too large, and texts with `forbidden` for their content."""

    most: int = 20_000
    forbidden: str = "\0"
    refusals: int = 0

    async def send(self, to: Reference, activity: Activity) -> str:
        self._check(to, activity)
        return await super().send(to, activity)

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        self._check(to, activity)
        return await super().replace(to, live, activity)

    def _check(self, to: Reference, activity: Activity) -> None:
        text = str(activity.get("text") or "")
        too_large, content = units(text) > self.most, self.forbidden in text
        if too_large or content:
            self.refusals += 1
            self.tries.append(ChannelRequest(asyncio.get_running_loop().time(), to.conversation, activity))
            raise DeliveryRejected("HTTP 413" if too_large else "HTTP 400", too_large=too_large, content=content)


def shown(channel: ScriptedChannel) -> list[str]:
    return re.findall(r"Paragraph \d+", "\n".join(channel.texts()))


EVERY = [f"Paragraph {i}" for i in range(70)]


@virtual_time
async def test_an_answer_too_large_for_teams_arrives_in_smaller_parts_at_once() -> None:
    async with World(channel=(channel := StrictChannel())) as world:
        world.agent.answers["q"] = Answer(ANSWER)
        await world.ask("q")
        row = await world.closed("q")
        assert row.outcome is Outcome.DELIVERED
        assert shown(channel) == EVERY
        assert channel.refusals == 1
        assert len(row.delivered) == len(channel.sent)
        assert world.clock.now() - row.accepted < 1


@virtual_time
@pytest.mark.parametrize("most", [39_000, 15_000, 3_000, 1_000])
async def test_parts_are_cut_until_teams_takes_them(most: int) -> None:
    async with World(channel=(channel := StrictChannel(most=most))) as world:
        world.agent.answers["q"] = Answer(ANSWER + "\n\n" + ANSWER.replace("Paragraph", "Section"))
        await world.ask("q")
        assert (await world.closed("q", seconds=600)).outcome is Outcome.DELIVERED
        assert shown(channel) == EVERY
        assert channel.refusals <= 6


@virtual_time
async def test_the_size_that_teams_takes_is_remembered_for_the_conversation() -> None:
    async with World(channel=(channel := StrictChannel())) as world:
        for question in ("q", "r"):
            world.agent.answers[question] = Answer(ANSWER)
            await world.ask(question)
            await world.closed(question)
        assert channel.refusals == 1
        assert shown(channel) == EVERY * 2
        world.agent.answers["s"] = Answer(ANSWER)
        await world.ask("s", lane="elsewhere")
        await world.closed("s")
        assert channel.refusals == 2


@virtual_time
@pytest.mark.parametrize("parts_before", range(5))
async def test_a_kill_between_smaller_parts_shows_none_twice_and_loses_none(parts_before: int) -> None:
    async with World(channel=(channel := StrictChannel(most=10_000))) as world:
        held = asyncio.Event()

        async def hold(_activity: Activity) -> None:
            if len(channel.sent) == parts_before:
                await held.wait()

        channel.on_send = hold
        world.agent.answers["q"] = Answer(ANSWER)
        await world.ask("q")
        await until(lambda: len(channel.sent) == parts_before and channel.refusals == 2)
        await asyncio.sleep(1)
        row = world.row("q")
        assert row.state is State.ANSWERED
        assert row.reply is not None
        assert len(row.reply.activities) > 4  # on disk before the first of them left
        channel.on_send = None
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert shown(channel) == EVERY
        assert channel.refusals == 2


@virtual_time
async def test_words_that_teams_refuses_in_every_form_become_a_note() -> None:
    async with World(channel=(channel := StrictChannel(forbidden="word60 "))) as world:
        world.agent.answers["q"] = Answer(ANSWER)
        await world.ask("q")
        row = await world.closed("q")
        assert row.outcome is Outcome.UNDELIVERED
        assert shown(channel)[:55] == EVERY[:55]
        assert channel.texts()[-1] == say("part_refused", "en")
        assert channel.refusals < 12


@virtual_time
async def test_a_text_refused_as_markdown_goes_as_plain_text() -> None:
    class Plain(StrictChannel):
        def _check(self, _to: Reference, activity: Activity) -> None:
            if activity.get("textFormat") != "plain":
                self.refusals += 1
                raise DeliveryRejected("HTTP 400", content=True)

    async with World(channel=(channel := Plain())) as world:
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert (channel.texts(), channel.refusals) == (["echo q"], 1)


@virtual_time
async def test_where_teams_refuses_everything_the_turn_ends_soon() -> None:
    async with World(channel=(channel := StrictChannel(forbidden=""))) as world:
        world.agent.answers["q"] = Answer(ANSWER)
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.UNDELIVERED
        assert channel.texts() == []
        assert channel.refusals < 16


@virtual_time
async def test_the_first_smaller_part_replaces_the_live_message() -> None:
    switches = ProgressSwitches(streaming=True, progress=True, notify=False, reactions=False)
    async with World(channel=(channel := StrictChannel()), switches=switches) as world:
        world.agent.answers["q"], world.agent.takes["q"] = Answer(ANSWER), 5.0
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert shown(channel) == EVERY
        assert len(channel.replaced) == 1


def test_the_conversations_used_least_recently_are_forgotten() -> None:
    sizes = PartSizes()
    for number in range(10_001):
        sizes.remember(f"c{number}", number + 1)

    assert (sizes.known("c0"), sizes.known("c1"), sizes.known("c10000")) == (None, 2, 10_001)
