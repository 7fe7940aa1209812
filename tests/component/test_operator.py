"""An operator's view of turns, the operator's actions, and the notes that people read."""

from __future__ import annotations

import re
from dataclasses import replace

import orjson
import pytest
from support.engine_world import World, new_turn, until, virtual_time

from bridge.core.edits import MessageEdit
from bridge.core.errors import ConnectorUnreachable, ProviderFailed, StoreUnavailable
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.identity import notice_lane
from bridge.core.ports.store import TurnFilter
from bridge.core.texts import say
from bridge.core.turn import DropVerdict, Edit, Kind, Outcome, State, turn_name
from bridge.engine.dispatcher import Limits
from bridge.engine.operator import Operator, Refusal

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
SECRET = "my salary is a secret"


def operator(world: World) -> Operator:
    return Operator(world.dispatcher, world.clock)


def removed(key: str, n: int) -> str:
    return f"{say(key)}\n\n*{turn_name(n)}*"


@virtual_time
async def test_the_newest_turns_come_first_and_filters_choose_among_them() -> None:
    async with World() as world:
        for id_, lane in (("one", "ann"), ("two", "bob"), ("three", "ann")):
            await world.ask(id_, lane=lane)
            await world.closed(id_)
        world.agent.takes["four"] = 50
        await world.ask("four", lane="bob")

        async def names(wanted: TurnFilter, limit: int = 50) -> list[str]:
            return [turn["name"] for turn in await operator(world).list(wanted, limit)]

        assert await names(TurnFilter()) == ["T-4", "T-3", "T-2", "T-1"]
        assert await names(TurnFilter(), 2) == ["T-4", "T-3"]
        assert await names(TurnFilter(before=3)) == ["T-2", "T-1"]
        assert await names(TurnFilter(state=State.RUNNING)) == ["T-4"]
        assert await names(TurnFilter(outcome=Outcome.DELIVERED, user="user-ann")) == ["T-3", "T-1"]
        assert await names(TurnFilter(kind=Kind.NEW)) == []


@virtual_time
async def test_a_turn_is_shown_with_its_history_and_conversation() -> None:
    async with World() as world:
        world.agent.answers["q"] = ProviderFailed()
        await world.ask("q")
        await world.closed("q")

        turn = await operator(world).show(1)

        assert turn is not None
        assert (turn["name"], turn["kind"], turn["state"], turn["outcome"]) == ("T-1", "ask", "closed", "failed")
        assert (turn["error"], turn["user"], turn["conversation"]) == ("provider_failed", "user-chat", "chat")
        assert (turn["parts"], turn["parts_shown"], turn["text_bytes"]) == (1, 1, 1)
        assert [step["what"] for step in turn["history"]] == ["running", "answered", "closed:failed"]
        assert turn["history"][0]["by"] == turn["owner"] == "owner-1"
        times = [turn["accepted"], turn["closed"], *(step["at"] for step in turn["history"])]
        assert all(re.fullmatch(TIME, at) for at in times)


@virtual_time
async def test_an_open_turn_has_its_age_and_a_closed_turn_its_duration() -> None:
    async with World() as world:
        world.agent.takes["q"] = 40
        await world.ask("q")
        await until(lambda: world.clock.now() - world.row("q").accepted >= 30, 60)
        open_ = await operator(world).show(1)
        await world.closed("q")
        await until(lambda: world.clock.now() - world.row("q").accepted >= 90, 120)
        closed = await operator(world).show(1)

        assert open_ is not None
        assert closed is not None
        assert open_["closed"] is None
        assert 30 <= open_["seconds"] < 31
        assert 40 <= closed["seconds"] < 41


@virtual_time
async def test_no_text_and_no_persons_name_is_shown() -> None:
    async with World() as world:
        await world.ask("q", SECRET)
        await world.closed("q")
        await world.ask("note", kind=Kind.NOTE, activities=({"type": "message", "text": SECRET},))
        await world.closed("note")

        seen = [await operator(world).show(1), await operator(world).show(2)]
        seen += await operator(world).list(TurnFilter(), 50)

        assert len(seen) == 4
        assert SECRET not in str(seen)
        assert not re.search(r"\bAnn\b|aad-ann|29:ann", orjson.dumps(seen).decode())


@virtual_time
async def test_an_unknown_turn_is_not_shown() -> None:
    async with World() as world:
        assert await operator(world).show(1) is None


@virtual_time
async def test_a_turn_after_the_texts_retention_still_shows_its_outcome() -> None:
    async with World() as world:
        await world.ask("q")
        await world.closed("q")
        await world.memory.forget_old(world.clock.now() + 1, 0)

        turn = await operator(world).show(1)

        assert turn is not None
        assert (turn["outcome"], turn["user"], turn["history"][-1]["what"]) == (
            "delivered",
            "user-chat",
            "closed:delivered",
        )
        assert (turn["conversation"], turn["scope"], turn["text_bytes"], turn["parts"]) == (None, None, None, None)


# -- ask again --


@virtual_time
async def test_a_question_is_asked_again_once() -> None:
    async with World() as world:
        world.agent.answers["hello"] = ProviderFailed()
        await world.ask("q", "hello")
        await world.closed("q")
        del world.agent.answers["hello"]

        assert await operator(world).again(1) == 2
        row = await world.closed("again|1")
        assert await operator(world).again(1) is Refusal.ASKED_AGAIN

        assert (row.again_of, row.lane, row.outcome) == (1, world.row("q").lane, Outcome.DELIVERED)
        assert world.agent.asked == ["hello", "hello"]
        assert world.channel.texts()[-1] == "echo hello"
        shown = await operator(world).show(2)
        assert shown is not None
        assert shown["again_of"] == "T-1"


@virtual_time
async def test_a_question_asked_again_by_its_asker_is_not_asked_a_third_time() -> None:
    async with World() as world:
        await world.ask("q")
        await world.closed("q")
        await world.dispatcher.accept(new_turn("click", "q", again_of=1))
        await world.closed("click")

        assert await operator(world).again(1) is Refusal.ASKED_AGAIN
        assert world.agent.asked == ["q", "q"]


@virtual_time
async def test_an_operator_may_ask_again_where_people_would_have_to_wait() -> None:
    async with World(limits=Limits(lane=1)) as world:
        await world.ask("q")
        await world.closed("q")
        world.agent.takes["long"] = 50
        await world.ask("long")
        await world.ask("behind")

        assert await operator(world).again(1) == 4
        await world.closed("again|1")
        assert world.agent.asked == ["q", "long", "behind", "q"]


@virtual_time
async def test_only_a_closed_question_with_its_text_can_be_asked_again() -> None:
    async with World() as world:
        world.agent.takes["open"] = 50
        await world.ask("open", lane="a")
        await world.ask("new", kind=Kind.NEW, lane="b")
        await world.ask("gone", lane="c")
        await world.closed("new", "gone")
        await world.memory.forget_old(world.clock.now() + 1, 0)

        at = operator(world)
        assert [await at.again(n) for n in (1, 2, 3, 9)] == [
            Refusal.OPEN,
            Refusal.NO_QUESTION,
            Refusal.TEXT_GONE,
            Refusal.UNKNOWN,
        ]
        assert world.agent.asked == ["open", "gone"]


# -- drop --


@virtual_time
async def test_a_dropped_question_gets_a_note_at_once_and_is_never_asked() -> None:
    async with World() as world:
        world.agent.takes["first"] = 50
        await world.ask("first")
        await world.ask("second")
        await world.ask("third")

        assert await operator(world).drop(2) is DropVerdict.DROPPED
        note = await world.closed("drop|2")
        assert world.channel.texts() == [removed("dropped", 2)]
        assert (note.lane, note.payload.text) == (notice_lane(note.payload.reference), "")

        await world.closed("first", "third")
        assert world.row("second").outcome is Outcome.DROPPED
        assert world.agent.asked == ["first", "third"]


@virtual_time
async def test_dropping_a_running_turn_stops_it_and_shows_a_note() -> None:
    async with World() as world:
        world.agent.takes["q"] = 500
        await world.ask("q")
        await until(lambda: world.agent.asked)

        assert await operator(world).drop(1) is DropVerdict.STOPPING
        row = await world.closed("q")

        assert row.outcome is Outcome.STOPPED
        assert world.agent.cancelled == ["q"]
        assert world.channel.texts() == [say("stopped")]


@virtual_time
async def test_an_answer_that_cannot_be_delivered_can_be_dropped() -> None:
    async with World() as world:
        world.channel.failures = [ConnectorUnreachable()]
        await world.ask("q")
        await until(lambda: world.channel.tries)

        assert await operator(world).drop(1) is DropVerdict.DROPPED
        await world.closed("drop|1")
        await world.ask("next")
        await world.closed("next")
        assert world.row("q").outcome is Outcome.DROPPED
        assert world.channel.texts() == [removed("dropped", 1), "echo next"]


@pytest.mark.parametrize(("kind", "key"), [(Kind.NEW, "dropped_new"), (Kind.NOTIFY, "dropped_message")])
def test_the_note_of_a_drop_names_the_kind_of_turn(kind: Kind, key: str) -> None:
    @virtual_time
    async def drop() -> None:
        async with World() as world:
            world.agent.takes["first"] = 50
            await world.ask("first")
            await world.ask("second", kind=kind)

            assert await operator(world).drop(2) is DropVerdict.DROPPED
            await world.closed("drop|2")
            assert world.channel.texts() == [removed(key, 2)]

    drop()


@virtual_time
async def test_a_closed_or_unknown_turn_cannot_be_dropped() -> None:
    async with World() as world:
        await world.ask("q")
        await world.closed("q")

        assert [await operator(world).drop(n) for n in (1, 9)] == [Refusal.CLOSED, Refusal.UNKNOWN]
        assert world.channel.texts() == ["echo q"]


# -- pause --


@virtual_time
async def test_a_pause_holds_questions_and_notifies_people() -> None:
    async with World() as world:
        await operator(world).pause(True)
        assert operator(world).paused
        await world.ask("q")
        await until(lambda: world.channel.texts() == [say("waiting_paused")], 60)
        assert world.agent.asked == []

        await operator(world).pause(False)
        await world.closed("q")
        assert not operator(world).paused
        assert world.channel.texts() == [say("waiting_paused"), "echo q"]


@virtual_time
async def test_an_unavailable_store_is_reported_to_the_operator() -> None:
    async with World() as world:
        await world.ask("q")
        await world.closed("q")
        world.memory.outages = {"turns": 1, "find": 1, "pause": 1}
        at = operator(world)
        for work in (at.list(TurnFilter(), 5), at.show(1), at.pause(True)):
            with pytest.raises(StoreUnavailable):
                await work
        assert not at.paused


@virtual_time
async def test_an_edited_question_is_asked_again_with_its_new_text() -> None:
    async with World() as world:
        await world.ask("q")
        await world.closed("q")
        await world.dispatcher.edits.edit(MessageEdit("q", Edit("better", 1.0), "aad-ann"))
        assert await operator(world).again(1) == 2
        await world.closed("again|1")
        assert world.agent.asked == ["q", "better"]


@virtual_time
async def test_a_deleted_question_is_not_asked_again() -> None:
    async with World() as world:
        await world.ask("q")
        await world.closed("q")
        await world.dispatcher.edits.edit(MessageEdit("q", Edit("", 1.0)))
        assert await operator(world).again(1) is Refusal.TEXT_GONE


@virtual_time
async def test_a_deleted_message_with_a_file_is_not_asked_again() -> None:
    async with World() as world:
        world.agent.takes["first"] = 10
        await world.ask("first")
        file = SharedFile("a.txt", "https://x.sharepoint.com/a", FileKind.DOWNLOAD, "txt")
        question = new_turn("f", "f")
        await world.dispatcher.accept(replace(question, payload=replace(question.payload, text="", files=(file,))))
        await world.dispatcher.edits.edit(MessageEdit("f", Edit("", 1.0)))
        assert world.row("f").outcome is Outcome.WITHDRAWN
        assert await operator(world).again(world.row("f").n) is Refusal.TEXT_GONE


@virtual_time
async def test_an_edited_question_of_a_merged_group_is_asked_again_with_its_new_text() -> None:
    async with World(merge=True) as world:
        world.agent.takes["first"] = 10
        for id_ in ("first", "a", "b", "c"):
            await world.ask(id_)
        await world.closed("first", "a", "b", "c")
        await world.dispatcher.edits.edit(MessageEdit("a", Edit("", 1.0)))
        await world.dispatcher.edits.edit(MessageEdit("b", Edit("better", 1.0), "aad-ann"))
        assert await operator(world).again(world.row("a").n) is Refusal.TEXT_GONE
        again = await operator(world).again(world.row("b").n)
        await world.closed(f"again|{world.row('b').n}")
        assert isinstance(again, int)
        assert world.agent.asked[-1] == "better"


@virtual_time
async def test_a_merged_turn_names_the_turn_that_asked_its_text() -> None:
    async with World(merge=True) as world:
        world.agent.takes["first"] = 10
        for id_ in ("first", "a", "b"):
            await world.ask(id_)
        await world.closed("first", "a", "b")
        shown = [await operator(world).show(world.row(id_).n) for id_ in ("first", "a", "b")]
        assert [turn and turn["merged_into"] for turn in shown] == [None, world.row("b").name, None]
