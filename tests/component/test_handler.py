"""Questions, commands and clicks, from the verified event to the messages that people read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from support.engine_world import World, new_turn, reference, until, virtual_time

from bridge.core.access import AccessPolicy, Facts
from bridge.core.commands import help_lines
from bridge.core.decide import Policy
from bridge.core.errors import StoreUnavailable
from bridge.core.inbound.activities import CardAction, Ignored, Installed, UserMessage
from bridge.core.no_text import NoText
from bridge.core.outbound.cards import ASK_AGAIN, NEW_SESSION, STOP
from bridge.core.texts import say
from bridge.core.turn import Kind, Lane, Outcome, Person, Reference, Scope, State, turn_name
from bridge.engine.dispatcher import Limits
from bridge.engine.handler import ClickResponse, Handler

ANN, BOB = Person("29:ann", "aad-ann", "Ann"), Person("29:bob", "aad-bob", "Bob")
INTERRUPTED = say("interrupted")


@dataclass
class People:
    """People in front of a handler: their messages and clicks as events."""

    world: World
    count: int = 0

    @property
    def handler(self) -> Handler:
        policy = Policy(AccessPolicy(frozenset({"tenant"})), "helper")
        return Handler(
            dispatcher=self.world.dispatcher,
            policy=policy,
            clock=self.world.clock,
            gateway_health=lambda: "gateway_well",
            gateway_memory=lambda: "memory_kept",
        )

    async def writes(
        self,
        text: str,
        *,
        who: Person = ANN,
        where: Reference | None = None,
        id_: str = "",
        no_text: tuple[NoText, ...] = (),
    ) -> str:
        """A person writes a message; gives the message's dedupe key."""
        self.count += 1
        key = id_ or f"message-{self.count}"
        to = where or reference()
        facts = Facts(who, to.scope, "tenant")
        await self.handler.receive(UserMessage(key, to, facts, text, mentioned=True, no_text=no_text))
        return key

    async def clicks(
        self, verb: str, *, turn: int = 0, who: Person = ANN, where: Reference | None = None, id_: str = ""
    ) -> ClickResponse | None:
        self.count += 1
        to = where or reference()
        facts = Facts(who, to.scope, "tenant")
        return await self.handler.receive(CardAction(id_ or f"click-{self.count}", to, facts, verb, {"turn": turn}))

    @property
    def read(self) -> list[str]:
        """The texts shown in the conversation."""
        return self.world.channel.texts()

    async def all_closed(self) -> None:
        """Wait until every turn is closed."""
        await until(lambda: all(row.state is State.CLOSED for row in self.world.memory.rows.values()))


@asynccontextmanager
async def people(limits: Limits | None = None) -> AsyncIterator[People]:
    async with World(limits=limits) as world:
        yield People(world)


async def _interrupted(at: People, where: Reference | None = None) -> int:
    """Ann asks `q`, and the bridge crashes and restarts meanwhile; gives the turn's number."""
    at.world.agent.takes["q"] = 100
    key = await at.writes("q", where=where)
    await until(lambda: at.world.agent.asked)
    await at.world.restart()
    at.world.agent.takes.clear()
    at.world.agent.asked.clear()
    row = await at.world.closed(key)
    assert row.outcome is Outcome.INTERRUPTED
    return row.n


@virtual_time
async def test_a_question_is_answered() -> None:
    async with people() as at:
        await at.writes("hello")
        await at.all_closed()
        assert at.read == ["echo hello"]


@virtual_time
async def test_a_repeated_message_is_answered_once() -> None:
    async with people() as at:
        await at.writes("hello", id_="m")
        await at.writes("hello", id_="m")
        await at.all_closed()
        assert at.read == ["echo hello"]


@virtual_time
async def test_beside_a_question_people_are_told_once_what_the_agent_does_not_get() -> None:
    async with people() as at:
        for _ in range(2):
            await at.writes("note this", id_="m", no_text=(NoText.VOICE, NoText.VIDEO))
        await at.all_closed()

        lines = f"- {say('no_text_voice')}\n- {say('no_text_video')}"
        assert len(at.read) == 2
        assert say("files_missed", files=lines) in at.read
        dropped = say("no_text_dropped", things="voice message, video")
        assert at.world.agent.asked == [f"note this\n\n{dropped}"]


@virtual_time
async def test_content_that_is_no_text_asks_nothing_alone_and_its_note_waits_for_no_run() -> None:
    async with people() as at:
        at.world.agent.takes["long"] = 100
        await at.writes("long")
        await until(lambda: at.world.agent.asked)
        await at.writes("", no_text=(NoText.LOOP,))
        await until(lambda: at.read)

        assert at.read == [say("files_only", files=f"- {say('no_text_loop')}")]
        assert at.world.agent.asked == ["long"]


@virtual_time
async def test_an_ignored_event_leaves_no_turn() -> None:
    async with people() as at:
        assert await at.handler.receive(Ignored("type_typing")) is None
        assert at.world.memory.rows == {}


@virtual_time
async def test_a_welcome_is_shown_once() -> None:
    async with people() as at:
        event = Installed("installed", reference(), Facts(ANN, Scope.PERSONAL, "tenant"))
        await at.handler.receive(event)
        await at.handler.receive(event)
        await at.all_closed()
        assert at.read == [say("welcome", agent="helper", commands=help_lines())]


@virtual_time
async def test_a_question_beyond_the_limit_gets_a_note_at_once_and_is_not_kept() -> None:
    async with people(Limits(lane=1)) as at:
        at.world.agent.takes["one"] = 50
        for text in ("one", "two", "three"):
            await at.writes(text)
        await until(lambda: at.read == [say("overloaded")], 1)
        await at.world.closed("message-1", "message-2")
        assert at.world.agent.asked == ["one", "two"]
        assert at.read == [say("overloaded"), "echo one", "echo two"]


@virtual_time
async def test_commands_work_where_questions_are_too_many() -> None:
    async with people(Limits(lane=1)) as at:
        at.world.agent.takes["one"] = 50
        await at.writes("one")
        await at.writes("two")
        await at.writes("/help")
        await until(lambda: at.read == [say("help", commands=help_lines())], 1)
        await at.writes("/stop")
        await until(lambda: say("stopped") in at.read, 1)


@virtual_time
async def test_stop_ends_the_run_and_shows_one_note() -> None:
    async with people() as at:
        at.world.agent.takes["q"] = 100
        await at.writes("q")
        await until(lambda: at.world.agent.asked)
        await at.writes("/stop", id_="stop")
        await at.writes("/stop", id_="stop")
        await at.all_closed()
        assert at.read == [say("stopped")]


@virtual_time
async def test_stop_in_an_idle_chat_shows_one_note() -> None:
    async with people() as at:
        await at.writes("/stop", id_="stop")
        await at.writes("/stop", id_="stop")
        await at.all_closed()
        assert at.read == [say("stop_nothing")]


@virtual_time
async def test_stop_closes_a_waiting_question_and_shows_one_note() -> None:
    async with people() as at:
        await at.world.memory.accept(new_turn("q", lane="session:helper:aad-ann", where="chat"), "owner-1", claim=False)
        await at.writes("/stop", id_="stop")
        await at.writes("/stop", id_="stop")
        await at.all_closed()
        assert at.read == [say("stopped_early", questions="“q”")]
        assert at.world.agent.asked == []


@virtual_time
async def test_in_a_group_every_member_may_stop_and_the_note_names_member_and_asker() -> None:
    async with people() as at:
        group = reference(scope=Scope.GROUP)
        at.world.agent.takes["[From: Ann] q"] = 100
        await at.writes("q", where=group)
        await until(lambda: at.world.agent.asked)
        await at.writes("/stop", who=BOB, where=group)
        await at.all_closed()
        assert at.read == [say("stopped_for", name="Bob", owner="Ann")]


@virtual_time
async def test_the_stop_button_stops_its_own_turn_only() -> None:
    async with people() as at:
        group = reference(scope=Scope.GROUP)
        for name in ("one", "two"):
            at.world.agent.takes[f"[From: Ann] {name}"] = 100
        one, two = [at.world.row(await at.writes(name, where=group)).n for name in ("one", "two")]
        await until(lambda: at.world.agent.asked)
        nothing = ClickResponse(say("stop_nothing"), replaces=False)
        assert await at.clicks(STOP, turn=two, who=BOB, where=group) == nothing
        elsewhere = replace(group, conversation="another")
        assert await at.clicks(STOP, turn=one, who=BOB, where=elsewhere) == nothing
        assert at.world.agent.cancelled == []
        click = await at.clicks(STOP, turn=one, who=BOB, where=group)
        assert click == ClickResponse(say("stop_asked"), replaces=False)
        await until(lambda: len(at.world.agent.asked) == 2)
        assert at.world.agent.cancelled == ["[From: Ann] one"]
        assert await at.clicks(STOP, turn=one, who=BOB, where=group) == nothing
        await at.clicks(STOP, turn=two, who=ANN, where=group)
        await at.all_closed()
        assert at.read == [say("stopped_for", name="Bob", owner="Ann"), say("stopped_by", name="Ann")]


@virtual_time
async def test_status_of_an_idle_chat() -> None:
    async with people() as at:
        await at.writes("/status")
        await at.all_closed()
        assert say("status_idle") in at.read[0]
        assert say("none") in at.read[0]
        assert "helper" in at.read[0]
        assert "reachable" in at.read[0]
        assert say("memory_kept") in at.read[0]
        assert say("session_personal") in at.read[0]


@virtual_time
async def test_status_names_the_running_turn_its_age_and_the_waiting_turns() -> None:
    async with people() as at:
        await at.writes("first")
        await at.all_closed()
        at.world.agent.takes["q"] = 100
        key = await at.writes("q")
        await at.writes("next")
        await asyncio.sleep(7)
        await at.writes("/status")
        await until(lambda: len(at.read) == 2)
        running = say("status_running", turn=at.world.row(key).name, seconds=7)
        waiting = say("status_waiting", count=1, turns=at.world.row("message-3").name)
        assert running + waiting in at.read[1]
        assert at.world.row("message-1").name in at.read[1]


@virtual_time
async def test_status_in_a_chinese_client_is_chinese() -> None:
    async with people() as at:
        chinese = replace(reference(), locale="zh-CN")
        at.world.agent.takes["q"] = 100
        await at.writes("q", where=chinese)
        for text in ("/status", "/reset", "/stop", "/new", "/stop"):
            await asyncio.sleep(1)
            await at.writes(text, where=chinese)
        await at.all_closed()
        status, unknown, *rest = at.read
        assert status.startswith("- **智能体：** helper\n- **对话：** 只属于您\n")
        assert unknown.startswith("我不认识命令 **/reset**，")
        assert sorted(rest) == sorted(say(key, "zh-CN") for key in ("stopped", "new_done", "stop_nothing"))


@virtual_time
async def test_new_acts_at_once_in_a_personal_chat() -> None:
    async with people() as at:
        await at.writes("/new")
        await at.all_closed()
        assert at.world.agent.forgotten == [("helper", "aad-ann")]
        assert at.read == [say("new_done")]


@virtual_time
async def test_new_asks_first_in_a_group() -> None:
    async with people() as at:
        group = reference(scope=Scope.GROUP)
        await at.writes("/new", where=group)
        await at.all_closed()
        assert at.read == [say("new_ask")]
        assert at.world.agent.forgotten == []
        click = await at.clicks(NEW_SESSION, where=group)
        await at.all_closed()
        assert click == ClickResponse(say("new_asked"), replaces=True)
        assert len(at.world.agent.forgotten) == 1
        assert at.read == [say("new_ask"), say("new_done")]


# Ask again


@virtual_time
async def test_ask_again_asks_the_same_words_of_the_same_session() -> None:
    async with people() as at:
        n = await _interrupted(at)
        click = await at.clicks(ASK_AGAIN, turn=n)
        await at.all_closed()
        assert click == ClickResponse(f"{say('asked_again')} {turn_name(n)}", replaces=True)
        assert at.world.agent.asked == ["q"]
        assert at.read == [INTERRUPTED, "echo q"]
        again = at.world.row("click-2")
        assert (again.again_of, again.lane, again.payload.user) == (n, "session:helper:aad-ann", "aad-ann")


@virtual_time
async def test_ask_again_works_once_however_often_it_is_clicked() -> None:
    async with people() as at:
        n = await _interrupted(at)
        clicks = await asyncio.gather(*(at.clicks(ASK_AGAIN, turn=n) for _ in range(5)))
        await at.all_closed()
        await at.clicks(ASK_AGAIN, turn=n)
        await at.all_closed()
        assert all(click is not None and click.replaces for click in clicks)
        assert at.world.agent.asked == ["q"]
        assert at.read == [INTERRUPTED, "echo q"]


@virtual_time
async def test_only_the_asker_may_ask_again() -> None:
    async with people() as at:
        group = reference(scope=Scope.GROUP)
        at.world.agent.takes["[From: Ann] q"] = 100
        n = await _interrupted(at, group)
        assert await at.clicks(ASK_AGAIN, turn=n, who=BOB, where=group) == ClickResponse(
            say("again_not_yours"), replaces=False
        )
        assert at.world.agent.asked == []
        at.world.agent.takes.clear()
        click = await at.clicks(ASK_AGAIN, turn=n, where=group)
        await at.all_closed()
        assert click is not None
        assert click.replaces
        assert at.world.agent.asked == ["[From: Ann] q"]


@pytest.mark.parametrize(
    "elsewhere", [replace(reference(), conversation="another"), replace(reference(), tenant="another")]
)
@virtual_time
async def test_ask_again_works_in_the_same_conversation_only(elsewhere: Reference) -> None:
    async with people() as at:
        n = await _interrupted(at)
        assert await at.clicks(ASK_AGAIN, turn=n, where=elsewhere) == ClickResponse(
            say("again_not_yours"), replaces=False
        )
        assert at.world.agent.asked == []


@virtual_time
async def test_ask_again_says_that_the_text_is_gone() -> None:
    async with people() as at:
        n = await _interrupted(at)
        gone = ClickResponse(say("again_gone"), replaces=False)
        await at.world.memory.forget_old(at.world.clock.now() + 1, 0)
        assert await at.clicks(ASK_AGAIN, turn=n) == gone
        await at.world.memory.forget_old(0, at.world.clock.now() + 1)
        assert await at.clicks(ASK_AGAIN, turn=n) == gone
        assert await at.clicks(ASK_AGAIN, turn=2**63 - 1) == gone
        assert at.world.agent.asked == []


@virtual_time
async def test_ask_again_on_a_turn_without_a_question_asks_nothing() -> None:
    async with people() as at:
        key = await at.writes("/help")
        await at.all_closed()
        n = at.world.row(key).n
        assert await at.clicks(ASK_AGAIN, turn=n) == ClickResponse(say("again_gone"), replaces=False)


@virtual_time
async def test_ask_again_is_answered_at_the_service_url_of_the_click() -> None:
    """Teams may have moved the conversation to a new service URL since."""
    async with people() as at:
        n = await _interrupted(at)
        moved = replace(reference(), service_url="https://moved.example/")
        await at.clicks(ASK_AGAIN, turn=n, where=moved)
        await at.all_closed()
        assert at.world.row("click-2").payload.reference.service_url == "https://moved.example/"


@virtual_time
async def test_ask_again_waits_for_room_and_can_be_clicked_later() -> None:
    async with people(Limits(lane=1)) as at:
        n = await _interrupted(at)
        at.world.agent.takes["busy"] = 50
        await at.writes("busy")
        await at.writes("waits")
        assert await at.clicks(ASK_AGAIN, turn=n) == ClickResponse(say("overloaded"), replaces=False)
        await at.world.closed("message-2", "message-3")
        click = await at.clicks(ASK_AGAIN, turn=n)
        await at.all_closed()
        assert click is not None
        assert click.replaces
        assert at.world.agent.asked == ["busy", "waits", "q"]


# the store away


@pytest.mark.parametrize(
    ("text", "method"),
    [("hello", "accept"), ("/help", "accept"), ("/new", "accept"), ("/stop", "stop"), ("/status", "lane_status")],
)
@virtual_time
async def test_a_message_that_the_store_cannot_keep_is_not_acknowledged(text: str, method: str) -> None:
    async with people() as at:
        at.world.memory.outages[method] = 1
        with pytest.raises(StoreUnavailable):
            await at.writes(text)
        assert at.world.memory.rows == {}


@virtual_time
async def test_a_person_without_access_reads_why_and_the_agent_is_not_asked() -> None:
    async with people() as at:
        await at.writes("hello", who=Person("29:x", "", "X"))
        await at.all_closed()
        assert at.read == [say("denied_no_aad_id")]
        assert at.world.agent.asked == []
        assert [row.kind for row in at.world.memory.rows.values()] == [Kind.NOTE]
        assert [row.lane for row in at.world.memory.rows.values()] == [Lane("notice:chat")]
