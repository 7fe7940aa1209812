"""The engine shows progress beside the run, and the answer in its place, whatever happens in between."""

from __future__ import annotations

import asyncio

from engine_world import EPOCH, World, new_turn, until, virtual_time

from bridge.core.agent_port import Answer, TextCame, ToolBegan
from bridge.core.changes import ChangeVerdict
from bridge.core.errors import (
    ConnectorUnreachable,
    DeliveryRejected,
    LeftOut,
    ProviderFailed,
    StreamEnded,
    StreamRefused,
    StreamStopped,
)
from bridge.core.landing import Landing
from bridge.core.texts import say
from bridge.core.turn import Kind, Outcome, Scope, State
from bridge.engine.progress import Switches

ALL = Switches()
STOP = new_turn("stop", lane="notice", kind=Kind.NOTE)


@virtual_time
async def test_a_quick_answer_is_one_message_and_nothing_else() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 0.9
        await world.ask("q")
        await world.closed("q")
        assert (world.channel.texts(), world.channel.progress, world.channel.landed) == (["echo q"], [], [])


@virtual_time
async def test_a_slower_answer_ends_the_stream_that_was_shown() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.agent.tells["q"] = (ToolBegan("web_search", "penguins"),)
        await world.ask("q")
        row = await world.closed("q")
        assert world.channel.progress[0].text == "Searching: penguins …"
        assert [landing for landing, _ in world.channel.landed] == [Landing("stream-1", stream=True)]
        assert world.channel.texts() == ["echo q"]
        assert (row.outcome, row.shown, row.live) == (Outcome.DELIVERED, ("stream-1",), "stream:stream-1")
        # typing has ended before the stream began
        assert all(shown.at < 1.0 for shown in world.channel.typed)


@virtual_time
async def test_a_late_answer_that_nobody_could_read_along_is_a_new_message() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 60.0
        await world.ask("q")
        await world.closed("q", seconds=100.0)
        assert world.channel.texts() == ["✓ 1 min", "echo q"]


@virtual_time
async def test_in_a_group_the_late_answer_quotes_its_question_and_calls_who_asked() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 60.0
        await world.ask("q", scope=Scope.GROUP)
        await world.ask("again", "p", scope=Scope.GROUP)
        await world.closed("q", "again", seconds=100.0)
        first = world.channel.sent[1].activity
        assert first["text"].startswith('<quoted messageId="a1"/><at>Ann</at> echo q')
        assert {entity["type"] for entity in first["entities"]} >= {"quotedReply", "mention"}
        # how to go on is said once
        assert "Mention me" in first["text"]
        assert "Mention me" not in world.channel.sent[2].text
        assert world.channel.progress[0].activity["placed"]


@virtual_time
async def test_silence_in_a_group_leaves_only_a_line_where_the_placeholder_was() -> None:
    async with World(switches=ALL) as world:
        world.agent.answers["q"] = Answer("", silent=True)
        world.agent.takes["q"] = 5.0
        await world.ask("q", scope=Scope.GROUP)
        assert (await world.closed("q")).outcome is Outcome.SILENT
        assert world.channel.texts() == ["✓ 5 s"]


@virtual_time
async def test_stop_in_the_client_ends_the_run_and_leaves_the_stream_alone() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100.0
        await world.ask("q")
        await asyncio.sleep(5.0)
        world.channel.progress_failures.append(StreamStopped())
        row = await world.closed("q")
        assert row.outcome is Outcome.STOPPED
        assert world.agent.cancelled == ["q"]
        assert (world.channel.landed, world.channel.texts()) == ([], [say("stopped")])


@virtual_time
async def test_stop_keeps_what_was_shown_and_says_so_below_it() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100.0
        world.agent.tells["q"] = (TextCame("All is well so far, dear Ann.\n\nAnd"),)
        await world.ask("q")
        await asyncio.sleep(5.0)
        await world.dispatcher.stop(new_turn("q").lane, STOP, "Ann")
        assert (await world.closed("q")).outcome is Outcome.STOPPED
        assert world.channel.texts()[0].startswith("All is well so far, dear Ann.")
        assert world.channel.texts()[0].endswith(say("stopped"))


@virtual_time
async def test_a_failure_keeps_what_was_shown_too() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.agent.tells["q"] = (TextCame("All is well so far, dear Ann.\n\nAnd"),)
        world.agent.answers["q"] = ProviderFailed()
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.FAILED
        assert world.channel.texts()[0].startswith("All is well so far, dear Ann.")
        assert world.channel.sent[0].activity["summary"] == say("provider_failed")


@virtual_time
async def test_where_streams_are_refused_the_answer_is_a_plain_message() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 10.0
        world.channel.progress_failures.append(StreamRefused())
        await world.ask("q")
        await world.closed("q")
        assert (world.channel.texts(), world.channel.landed) == (["echo q"], [])


@virtual_time
async def test_a_stream_that_teams_has_ended_goes_on_as_edits() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 19.0
        await world.ask("q")
        await asyncio.sleep(2.0)
        world.channel.progress_failures.append(StreamEnded())
        await world.closed("q")
        assert world.channel.landed[-1][0] == Landing("stream-1")
        assert world.channel.texts() == ["echo q"]


@virtual_time
async def test_trouble_with_progress_never_costs_the_answer() -> None:
    for failure in (LeftOut(), ConnectorUnreachable(), DeliveryRejected()):
        async with World(switches=ALL) as world:
            world.agent.takes["q"] = 10.0
            world.channel.progress_failures.extend([failure] * 3)
            await world.ask("q")
            assert (await world.closed("q")).outcome is Outcome.DELIVERED
            assert world.channel.texts() == ["echo q"]


@virtual_time
async def test_where_the_shown_message_is_gone_the_answer_is_a_new_one() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.channel.land_failures.append(DeliveryRejected("HTTP 404"))
        await world.ask("q")
        row = await world.closed("q")
        assert (world.channel.texts(), row.outcome) == (["echo q"], Outcome.DELIVERED)


@virtual_time
async def test_after_a_crash_the_note_takes_the_place_of_the_progress() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100.0
        await world.ask("q")
        await asyncio.sleep(5.0)
        assert world.row("q").live == "stream:stream-1"
        await world.restart()
        row = await world.closed("q")
        assert row.outcome is Outcome.INTERRUPTED
        assert [landing for landing, _ in world.channel.landed] == [Landing("stream-1", stream=True)]
        assert world.channel.texts() == [say("interrupted")]


@virtual_time
async def test_an_answer_that_was_stored_lands_once_however_often_it_is_shown() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.channel.land_failures.extend([ConnectorUnreachable()] * 3)
        await world.ask("q")
        await asyncio.sleep(6.0)
        assert world.row("q").state is State.ANSWERED
        await world.restart()
        await world.closed("q")
        assert {landing for landing, _ in world.channel.landed} == {Landing("stream-1", stream=True)}
        assert world.channel.texts() == ["echo q"]


@virtual_time
async def test_a_question_that_waits_has_a_mark_until_its_outcome() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["one"] = 10.0
        await world.ask("one")
        await world.ask("two")
        await asyncio.sleep(1.0)
        assert world.channel.reactions == [("a1", "1f440_eyes", True)]
        await world.closed("two")
        await asyncio.sleep(1.0)
        assert world.channel.reactions[-1] == ("a1", "1f440_eyes", False)
        assert world.clock.now() - EPOCH < 20.0


@virtual_time
async def test_a_plain_bot_shows_only_typing_and_the_answer() -> None:
    async with World() as world:
        world.agent.takes["one"] = 200.0
        await world.ask("one")
        await world.ask("two")
        await world.closed("one", "two", seconds=300.0)
        assert (world.channel.progress, world.channel.reactions, world.channel.landed) == ([], [], [])
        assert world.channel.texts() == ["echo one", "echo two"]


@virtual_time
async def test_the_progress_of_a_question_that_is_taken_back_ends_with_it() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.channel.progress)
        assert (await world.dispatcher.afterthoughts.withdraw(1)).verdict is ChangeVerdict.STOPPING
        row = await world.closed("q")
        assert (row.outcome, row.error) == (Outcome.WITHDRAWN, "")
        assert [landing.id for landing, _ in world.channel.landed] == ["stream-1"]
        assert world.channel.texts() == [say("stopped")]


@virtual_time
async def test_so_does_that_of_one_which_was_taken_back_from_a_process_that_died() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.row("q").live)
        await world.memory.withdraw(1, EPOCH)
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.WITHDRAWN
        assert world.channel.texts() == [say("stopped")]
