"""Progress beside a run, and the answer in place of the live message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from support.engine_world import EPOCH, ScriptedChannel, World, new_turn, stop_command, until, virtual_time

from bridge.core.edits import EditVerdict
from bridge.core.errors import (
    ConnectorUnreachable,
    DeliveryRejected,
    GatewayDown,
    LeftOut,
    ProviderFailed,
    StreamEnded,
    StreamRefused,
    StreamStopped,
)
from bridge.core.live_message import LiveMessage
from bridge.core.outbound.answers_and_notes import AI_LABEL
from bridge.core.ports.agent import Answer, TextCame, ToolBegan
from bridge.core.ports.channel import Chunk
from bridge.core.texts import say
from bridge.core.turn import Activity, Kind, Outcome, Reference, Scope, State
from bridge.engine.admission import Patience
from bridge.engine.dispatcher import Limits
from bridge.engine.progress import ProgressSwitches

ALL = ProgressSwitches()
STOP = stop_command()


@virtual_time
async def test_a_quick_answer_is_one_message_and_nothing_else() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 0.9
        await world.ask("q")
        await world.closed("q")
        assert (world.channel.texts(), world.channel.progress, world.channel.replaced) == (["echo q"], [], [])


@virtual_time
async def test_a_slower_answer_ends_the_stream_that_was_shown() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.agent.events["q"] = (ToolBegan("web_search", "penguins"),)
        await world.ask("q")
        row = await world.closed("q")
        assert world.channel.progress[0].text == "Searching: penguins …"
        assert [live for live, _ in world.channel.replaced] == [LiveMessage("stream-1", stream=True)]
        assert world.channel.texts() == ["echo q"]
        assert (row.outcome, row.delivered, row.live) == (Outcome.DELIVERED, ("stream-1",), "stream:stream-1")
        # typing has ended before the stream began
        assert all(request.at < 1.0 for request in world.channel.typed)


@dataclass
class Slow(ScriptedChannel):
    """Each streaming request takes three seconds; `most`: the most requests under way at once."""

    under_way: int = 0
    most: int = 0

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(3.0)
        self.under_way -= 1
        return await super().stream(to, chunk)

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        self.most = max(self.most, self.under_way + 1)
        return await super().replace(to, live, activity)


@virtual_time
async def test_one_request_of_a_turn_is_answered_before_the_next_leaves() -> None:
    channel = Slow()
    async with World(switches=ALL, channel=channel) as world:
        # the answer is ready while the second request is under way
        world.agent.takes["q"] = 15.0
        world.agent.events["q"] = (TextCame("All is well so far, dear Ann.\n\nAnd"), ToolBegan("web_search", "x"))
        await world.ask("q")
        await world.closed("q")
        assert (len(channel.progress), channel.most) == (2, 1)


@virtual_time
async def test_a_late_answer_without_streamed_text_is_a_new_message() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 60.0
        await world.ask("q")
        await world.closed("q", seconds=100.0)
        assert world.channel.texts() == ["✓ 1 min", "echo q"]


@virtual_time
async def test_in_a_group_the_late_answer_quotes_its_question_and_mentions_the_asker() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 60.0
        await world.ask("q", scope=Scope.GROUP)
        await world.ask("again", "p", scope=Scope.GROUP)
        await world.closed("q", "again", seconds=100.0)
        words = say("waiting_turn")
        first, second = (s.activity for s in world.channel.sent if s.text != words and not s.text.startswith("✓"))
        assert first["text"].startswith('<quoted messageId="a1"/><at>Ann</at> echo q')
        assert {entity["type"] for entity in first["entities"]} >= {"quotedReply", "mention"}
        # the hint how to go on stands below the first answer only
        assert "Mention me" in first["text"]
        assert "Mention me" not in second["text"]
        assert world.channel.progress[0].activity["placeholder"]


@virtual_time
async def test_in_a_group_the_text_so_far_stands_above_the_activity_line() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 10.0
        world.agent.events["q"] = (
            TextCame("All is well so far, dear Ann.\n\nAnd"),
            ToolBegan("web_search", "penguins"),
        )
        await world.ask("q", scope=Scope.GROUP)
        await world.closed("q")
        posted, edited = world.channel.progress
        assert edited.at < 6.0
        assert posted.activity["placeholder"]
        assert edited.activity["edited"] == "placeholder-1"
        assert edited.text == "All is well so far, dear Ann."
        assert edited.activity["entities"] == [AI_LABEL]
        card = edited.activity["attachments"][0]["content"]
        assert card["body"][0]["text"] == "Searching: penguins …"
        assert [button["verb"] for button in card["actions"]] == ["stop"]


@virtual_time
async def test_a_silent_answer_in_a_group_shrinks_the_placeholder_to_one_line() -> None:
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
        assert (world.channel.replaced, world.channel.texts()) == ([], [say("stopped")])


@virtual_time
async def test_stop_keeps_the_shown_text_with_a_note_below() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100.0
        world.agent.events["q"] = (TextCame("All is well so far, dear Ann.\n\nAnd"),)
        await world.ask("q")
        await asyncio.sleep(5.0)
        await world.dispatcher.stop(new_turn("q").lane, STOP, "Ann")
        assert (await world.closed("q")).outcome is Outcome.STOPPED
        assert world.channel.texts()[0].startswith("All is well so far, dear Ann.")
        assert world.channel.texts()[0].endswith(say("stopped"))


@virtual_time
async def test_a_failure_keeps_the_shown_text_with_the_sentence_below() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.agent.events["q"] = (TextCame("All is well so far, dear Ann.\n\nAnd"),)
        world.agent.answers["q"] = ProviderFailed()
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.FAILED
        assert world.channel.texts()[0].startswith("All is well so far, dear Ann.")
        assert world.channel.sent[0].activity["summary"] == say("provider_failed")


@virtual_time
async def test_where_streams_are_refused_a_placeholder_takes_their_place() -> None:
    for failure in (StreamRefused(), StreamEnded()):
        async with World(switches=ALL) as world:
            world.agent.takes["q"] = 10.0
            world.channel.progress_failures.append(failure)
            await world.ask("q")
            row = await world.closed("q")
            assert [bool(request.activity.get("placeholder")) for request in world.channel.progress[:1]] == [True]
            assert world.channel.progress[0].at >= 3.0
            assert not row.live.startswith("stream")
            assert [live.stream for live, _ in world.channel.replaced] == [False]
            assert world.channel.texts() == ["echo q"]


@virtual_time
async def test_stop_in_the_client_is_noticed_when_the_stream_is_closed_too() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 300.0
        await world.ask("q")
        await asyncio.sleep(92.0)
        world.channel.replace_failures.append(StreamStopped())
        row = await world.closed("q", seconds=40.0)
        assert row.outcome is Outcome.STOPPED
        assert world.agent.cancelled == ["q"]
        assert (world.channel.replaced, world.channel.texts()) == ([], [say("stopped")])


@dataclass
class StoppedLate(ScriptedChannel):
    """The second streaming request takes long, and the response says that the user has pressed Stop."""

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        if self.progress:
            await asyncio.sleep(10.0)
            raise StreamStopped
        return await super().stream(to, chunk)


@virtual_time
async def test_stop_in_the_client_at_the_time_limit_is_a_stop() -> None:
    async with World(switches=ALL, channel=StoppedLate(), whole_turn=15.0) as world:
        world.agent.takes["q"] = 60.0
        await world.ask("q")
        row = await world.closed("q")
        assert row.outcome is Outcome.STOPPED
        assert (world.channel.replaced, world.channel.texts()) == ([], [say("stopped")])


@virtual_time
async def test_an_answer_after_a_stop_in_the_client_is_a_new_message() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.channel.replace_failures.append(StreamStopped())
        await world.ask("q")
        row = await world.closed("q")
        assert (world.channel.texts(), world.channel.replaced, row.outcome) == (["echo q"], [], Outcome.DELIVERED)


@virtual_time
async def test_a_stream_that_teams_has_ended_goes_on_as_edits() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 19.0
        await world.ask("q")
        await asyncio.sleep(2.0)
        world.channel.progress_failures.append(StreamEnded())
        await world.closed("q")
        assert world.channel.replaced[-1][0] == LiveMessage("stream-1")
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
async def test_an_answer_is_a_new_message_where_the_live_message_was_deleted() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.channel.replace_failures.append(DeliveryRejected("HTTP 404"))
        await world.ask("q")
        row = await world.closed("q")
        assert (world.channel.texts(), row.outcome) == (["echo q"], Outcome.DELIVERED)


@virtual_time
async def test_after_a_crash_the_note_replaces_the_live_message() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100.0
        await world.ask("q")
        await asyncio.sleep(5.0)
        assert world.row("q").live == "stream:stream-1"
        await world.restart()
        row = await world.closed("q")
        assert row.outcome is Outcome.INTERRUPTED
        assert [live for live, _ in world.channel.replaced] == [LiveMessage("stream-1", stream=True)]
        assert world.channel.texts() == [say("interrupted")]


@virtual_time
async def test_a_stored_answer_replaces_the_live_message_once_however_often_it_is_retried() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.channel.replace_failures.extend([ConnectorUnreachable()] * 3)
        await world.ask("q")
        await asyncio.sleep(6.0)
        assert world.row("q").state is State.ANSWERED
        await world.restart()
        await world.closed("q")
        assert {live for live, _ in world.channel.replaced} == {LiveMessage("stream-1", stream=True)}
        assert world.channel.texts() == ["echo q"]


@virtual_time
async def test_a_question_withdrawn_during_progress_leaves_one_line() -> None:
    for scope in (Scope.PERSONAL, Scope.GROUP):
        async with World(switches=ALL) as world:
            world.agent.takes["q"] = 100.0
            await world.ask("q", scope=scope)
            await asyncio.sleep(5.0)
            await world.dispatcher.edits.withdraw(world.row("q"))
            row = await world.closed("q")
            assert (row.outcome, row.error) == (Outcome.WITHDRAWN, "")
            assert world.channel.texts() == [say("stopped")]


@virtual_time
async def test_a_gateway_that_swallows_connections_leaves_the_failures_sentence_only() -> None:
    async with World(switches=ALL, limits=Limits(patience=Patience(gateway_down=20.0))) as world:
        world.agent.takes["q"] = 5.0  # the time for a connection
        world.agent.answers["q"] = GatewayDown()
        await world.ask("q")
        row = await world.closed("q", seconds=200.0)
        assert row.error == "gateway_down"
        assert len(world.channel.texts()) == 1
        assert say("gateway_down") in str(world.channel.sent[0].activity)
        assert {live.id for live, _ in world.channel.replaced} == {"stream-1"}


@virtual_time
async def test_the_live_message_of_a_merged_question_becomes_the_common_answer() -> None:
    async with World(switches=ALL, merge=True) as world:
        world.agent.takes["one"] = 5.0
        world.agent.answers["one"] = GatewayDown()
        await world.ask("one")
        await asyncio.sleep(2.0)
        await world.ask("two")
        row = await world.closed("two", seconds=200.0)
        assert world.row("one").outcome is Outcome.MERGED
        assert (row.live, world.channel.texts()) == ("stream:stream-1", ["echo one\n\ntwo"])


@virtual_time
async def test_a_question_stopped_while_it_waits_for_the_gateway_leaves_one_line() -> None:
    async with World(switches=ALL, limits=Limits(patience=Patience(gateway_down=3600.0))) as world:
        world.agent.takes["q"] = 5.0
        world.agent.answers["q"] = GatewayDown()
        await world.ask("q")
        await world.in_state("q", State.RUNNING)
        await asyncio.sleep(5.1)
        assert world.row("q").state is State.QUEUED
        await world.dispatcher.stop(new_turn("q").lane, STOP, "Ann")
        await asyncio.sleep(1.0)
        assert world.channel.replaced[-1][1]["text"] == "✓"


@virtual_time
async def test_a_picture_that_teams_does_not_take_costs_nobody_the_answer() -> None:
    async with World() as world:
        picture = {"type": "message", "attachments": [{"contentType": "image/png", "contentUrl": "data:"}]}
        activities = ({"type": "message", "text": "first"}, picture, {"type": "message", "text": "last"})

        async def refuse(activity: Activity) -> None:
            if "attachments" in activity:
                raise DeliveryRejected

        world.channel.on_send = refuse
        await world.ask("n", kind=Kind.NOTE, activities=activities)
        assert (await world.closed("n")).outcome is Outcome.DELIVERED
        assert world.channel.texts() == ["first", "last"]


@virtual_time
async def test_a_waiting_question_has_a_reaction_until_its_outcome() -> None:
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
async def test_in_a_channel_the_first_answer_says_how_to_go_on_in_the_thread() -> None:
    async with World(switches=ALL) as world:
        await world.ask("q", scope=Scope.CHANNEL)
        await world.ask("again", scope=Scope.CHANNEL)
        await world.closed("q", "again")
        first, second = world.channel.sent
        assert first.text.endswith(f"*{say('go_on_thread')}*")
        assert say("go_on_thread") not in second.text
        # an answer without progress is quoted, too, and mentions no person
        assert first.text.startswith('<quoted messageId="a1"/>')
        assert "<at>" not in first.text


@virtual_time
async def test_the_first_part_of_a_long_answer_replaces_the_live_message() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 5.0
        world.agent.answers["q"] = Answer("word " * 20_000)
        await world.ask("q")
        row = await world.closed("q")
        assert len(row.delivered) == len(world.channel.sent) > 1
        assert row.delivered[0] == "stream-1"
        assert [live.id for live, _ in world.channel.replaced] == ["stream-1"]


@virtual_time
async def test_without_progress_nothing_but_typing_is_shown_before_the_answer() -> None:
    async with World(switches=replace(ALL, progress=False)) as world:
        world.agent.takes["q"] = 60.0
        world.agent.events["q"] = (TextCame("All is well so far, dear Ann.\n\nAnd"),)
        await world.ask("q")
        await world.closed("q", seconds=100.0)
        assert (world.channel.progress, world.channel.texts()) == ([], ["echo q"])
        assert len(world.channel.typed) > 5


@virtual_time
async def test_without_notify_a_late_answer_replaces_the_live_message() -> None:
    async with World(switches=replace(ALL, notify=False)) as world:
        world.agent.takes["q"] = 60.0
        await world.ask("q")
        await world.closed("q", seconds=100.0)
        assert world.channel.texts() == ["echo q"]
        assert [live.shrinks_to for live, _ in world.channel.replaced] == [""]


@virtual_time
async def test_without_streams_a_personal_chat_has_a_placeholder() -> None:
    async with World(switches=replace(ALL, streaming=False)) as world:
        world.agent.takes["q"] = 10.0
        await world.ask("q")
        await world.closed("q")
        assert "placeholder" in world.channel.progress[0].activity
        assert world.channel.replaced[0][0] == LiveMessage("placeholder-1")


@virtual_time
async def test_without_reactions_a_waiting_question_has_no_reaction() -> None:
    async with World(switches=replace(ALL, reactions=False)) as world:
        world.agent.takes["one"] = 10.0
        await world.ask("one")
        await world.ask("two")
        await world.closed("two")
        assert world.channel.reactions == []


@dataclass
class Reluctant(ScriptedChannel):
    """Has no room for the first `busy` removals of reactions, or (`never`) refuses every reaction."""

    busy: int = 0
    never: bool = False

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        if self.never:
            raise DeliveryRejected("HTTP 400")
        if not on and self.busy:
            self.busy -= 1
            raise LeftOut
        await super().react(to, reaction, on=on)


@virtual_time
async def test_a_reaction_is_removed_as_soon_as_the_budget_has_room() -> None:
    channel = Reluctant(busy=3)
    async with World(switches=ALL, channel=channel) as world:
        world.agent.takes["one"] = 10.0
        await world.ask("one")
        await world.ask("two")
        await world.closed("two")
        await asyncio.sleep(10.0)
        assert channel.busy == 0
        assert (channel.reactions[0][2], channel.reactions[-1][2]) == (True, False)


@virtual_time
async def test_where_teams_refuses_reactions_questions_are_answered_all_the_same() -> None:
    channel = Reluctant(never=True)
    async with World(switches=ALL, channel=channel) as world:
        world.agent.takes["one"] = 10.0
        await world.ask("one")
        await world.ask("two")
        await world.closed("two")
        assert world.channel.texts() == ["echo one", "echo two"]


@virtual_time
async def test_a_long_wait_behind_a_run_has_one_note() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["one"] = 100.0
        for id_ in ("one", "two", "three"):
            await world.ask(id_)
        await asyncio.sleep(29.0)
        assert world.channel.sent == []
        await asyncio.sleep(60.0)
        assert world.channel.texts() == [say("waiting_turn")]
        await world.closed("one", "two", "three", seconds=300.0)


@virtual_time
async def test_a_plain_bot_shows_only_typing_and_the_answer() -> None:
    async with World() as world:
        world.agent.takes["one"] = 200.0
        await world.ask("one")
        await world.ask("two")
        await world.closed("one", "two", seconds=300.0)
        assert (world.channel.progress, world.channel.reactions, world.channel.replaced) == ([], [], [])
        assert world.channel.texts() == ["echo one", "echo two"]


@virtual_time
async def test_the_live_message_of_a_withdrawn_question_shrinks_to_a_line() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.channel.progress)
        assert (await world.dispatcher.edits.withdraw(world.row("q"))).verdict is EditVerdict.STOPPING
        row = await world.closed("q")
        assert (row.outcome, row.error) == (Outcome.WITHDRAWN, "")
        assert [live.id for live, _ in world.channel.replaced] == ["stream-1"]
        assert world.channel.texts() == [say("stopped")]


@virtual_time
async def test_the_live_message_of_a_question_withdrawn_before_a_crash_shrinks_to_a_line() -> None:
    async with World(switches=ALL) as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.row("q").live)
        await world.memory.withdraw(world.row("q"), EPOCH)
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.WITHDRAWN
        assert world.channel.texts() == [say("stopped")]
