"""Edited and deleted questions, ratings of answers, and the removal of the bot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from support.engine_world import World, reference, until, virtual_time
from support.memory_store import MemoryStore

from bridge import metrics
from bridge.core.access import AccessPolicy, Facts
from bridge.core.decide import Policy
from bridge.core.feedback import After, Reaction
from bridge.core.identity import GroupSession
from bridge.core.inbound.activities import CardAction, Deleted, Edited, Event, Removed, UserMessage
from bridge.core.inbound.feedback import Rated
from bridge.core.outbound.cards import ASK_AGAIN, ASK_INSTEAD
from bridge.core.texts import say
from bridge.core.turn import Accepted, Outcome, Person, Reference, Scope, State
from bridge.engine.handler import ClickResponse, Handler

ANN, BOB = Person("29:ann", "aad-ann", "Ann"), Person("29:bob", "aad-bob", "Bob")
CHAT, GROUP = reference(), reference(scope=Scope.GROUP)
OFFERED, OFFERED_AGAIN = say("edited_running"), say("edited_answered")


@dataclass
class Chat:
    """A conversation with the bot. A message's name is its first text; each edit has a later stamp."""

    world: World
    where: Reference = CHAT
    policy: Policy = Policy(AccessPolicy(frozenset({"tenant"})), "helper")  # noqa: RUF009  frozen
    count: int = 0

    async def gets(self, event: Event) -> ClickResponse | None:
        handler = Handler(
            dispatcher=self.world.dispatcher,
            policy=self.policy,
            clock=self.world.clock,
            gateway_health=lambda: "gateway_well",
            gateway_memory=lambda: "memory_kept",
        )
        return await handler.receive(event)

    def message(self, name: str, text: str, who: Person = ANN, *, mentioned: bool = True) -> UserMessage:
        facts = Facts(who, self.where.scope, "tenant")
        return UserMessage(f"message|{name}", self.where, facts, text, mentioned, files=())

    async def writes(self, text: str) -> None:
        await self.gets(self.message(text, text))

    async def edits(
        self,
        name: str,
        text: str,
        who: Person = ANN,
        *,
        stamp: float | None = None,
        undeleted: bool = False,
        mentioned: bool = True,
    ) -> None:
        self.count += 1
        at = self.count if stamp is None else stamp
        message = self.message(name, text, who, mentioned=mentioned)
        await self.gets(Edited(f"update|{name}|{at}", message, at, undeleted))

    async def deletes(self, name: str) -> None:
        self.count += 1
        await self.gets(Deleted(f"message|{name}", self.where, self.count))

    async def clicks(self, verb: str, n: int, who: Person = ANN) -> ClickResponse | None:
        self.count += 1
        facts = Facts(who, self.where.scope, "tenant")
        return await self.gets(CardAction(f"click-{self.count}", self.where, facts, verb, {"turn": n}))

    async def rates(self, message: str, reaction: Reaction, who: Person = ANN, words: str = "", **more: bool) -> None:
        facts = Facts(who, self.where.scope, "tenant")
        await self.gets(Rated(self.where, facts, message, reaction, words, **more))

    async def runs(self, text: str) -> int:
        """Ask a question with a long run, and wait until the run has begun; gives the turn's number."""
        spoken = text if self.where.scope is Scope.PERSONAL else f"[From: Ann] {text}"
        self.world.agent.takes[spoken] = 100
        await self.writes(text)
        await until(lambda: spoken in self.world.agent.asked)
        return self.turn(text)

    def turn(self, name: str) -> int:
        return self.world.row(f"message|{name}").n

    def outcome(self, name: str) -> Outcome | None:
        return self.world.row(f"message|{name}").outcome

    @property
    def read(self) -> list[str]:
        return self.world.channel.texts()

    @property
    def asked(self) -> list[str]:
        return self.world.agent.asked

    async def all_closed(self) -> None:
        await until(lambda: all(row.state is State.CLOSED for row in self.world.memory.rows.values()), 500)


@asynccontextmanager
async def chat(where: Reference = CHAT, *, merge: bool = False, policy: Policy | None = None) -> AsyncIterator[Chat]:
    async with World(merge=merge) as world:
        yield Chat(world, where, policy=policy) if policy else Chat(world, where)


# -- edits --


@virtual_time
async def test_an_edited_waiting_question_is_asked_with_its_new_text() -> None:
    async with chat() as at:
        await at.runs("first")
        await at.writes("secnd")
        await at.edits("secnd", "second")
        await at.all_closed()
        assert at.asked == ["first", "second"]
        assert at.read == ["echo first", "echo second"]


@virtual_time
async def test_an_edited_running_question_goes_on_and_the_new_text_is_offered_once() -> None:
    async with chat() as at:
        n = await at.runs("q")
        await at.edits("q", "better", stamp=1)
        await at.edits("q", "better", stamp=1)
        await at.edits("q", "best", stamp=2)
        await at.all_closed()
        assert at.read == [OFFERED, "echo q"]
        card = at.world.channel.sent[0].activity["attachments"][0]["content"]
        assert [(a["title"], a["verb"], a["data"]) for a in card["actions"]] == [
            ("Use new text", ASK_INSTEAD, {"turn": n})
        ]


@virtual_time
async def test_use_new_text_ends_the_run_and_asks_the_newest_text_once() -> None:
    async with chat() as at:
        n = await at.runs("q")
        await at.edits("q", "better")
        await at.edits("q", "best")
        click = await at.clicks(ASK_INSTEAD, n)
        await at.clicks(ASK_INSTEAD, n)
        await at.all_closed()
        await at.clicks(ASK_INSTEAD, n)
        await at.all_closed()
        assert click == ClickResponse(f"{say('edit_used')} T-{n}", replaces=True)
        assert (at.asked, at.world.agent.cancelled) == (["q", "best"], ["q"])
        assert at.read == [OFFERED, "echo best"]
        assert at.outcome("q") is Outcome.WITHDRAWN


@virtual_time
async def test_use_new_text_withdraws_a_question_that_is_claimed_at_the_same_moment() -> None:
    async with chat() as at:
        n = await at.runs("q")
        await at.edits("q", "better")
        row = at.world.memory.rows[n]
        accept = at.world.memory.accept

        async def claimed_meanwhile(*args: Any, **kwargs: Any) -> Accepted:
            accepted = await accept(*args, **kwargs)
            at.world.memory.rows[n] = replace(at.world.memory.rows[n], fence=row.fence + 1)
            return accepted

        at.world.memory.accept = claimed_meanwhile  # type: ignore[method-assign]
        await at.clicks(ASK_INSTEAD, n)
        assert at.world.memory.rows[n].withdrawn


@virtual_time
async def test_only_the_asker_may_use_the_new_text() -> None:
    async with chat(GROUP) as at:
        n = await at.runs("q")
        await at.edits("q", "better", mentioned=False)
        assert await at.clicks(ASK_INSTEAD, n, BOB) == ClickResponse(say("again_not_yours"), replaces=False)
        await at.clicks(ASK_INSTEAD, n)
        await at.all_closed()
        assert at.asked == ["[From: Ann] q", "[From: Ann] better"]


@virtual_time
async def test_a_question_asked_with_its_new_text_can_be_edited_again() -> None:
    async with chat() as at:
        n = await at.runs("q")
        at.world.agent.takes["better"] = 100
        await at.edits("q", "better")
        await at.clicks(ASK_INSTEAD, n)
        await until(lambda: "better" in at.asked)
        await at.edits("q", "best")
        newest = max(row.n for row in at.world.memory.rows.values() if row.again_of == n)
        await at.clicks(ASK_INSTEAD, newest)
        await at.all_closed()
        assert at.asked == ["q", "better", "best"]
        assert at.read[-1] == "echo best"


@virtual_time
async def test_an_edited_answered_question_may_be_asked_again() -> None:
    async with chat() as at:
        await at.writes("q")
        await at.all_closed()
        await at.edits("q", "better")
        await at.all_closed()
        assert at.read == ["echo q", OFFERED_AGAIN]
        await at.clicks(ASK_AGAIN, at.turn("q"))
        await at.clicks(ASK_AGAIN, at.turn("q"))
        await at.all_closed()
        assert at.read == ["echo q", OFFERED_AGAIN, "echo better"]


@virtual_time
async def test_nothing_is_offered_for_an_old_answer() -> None:
    async with chat() as at:
        await at.writes("q")
        await at.all_closed()
        await asyncio.sleep(601)
        await at.edits("q", "better")
        await at.all_closed()
        assert at.read == ["echo q"]


@pytest.mark.parametrize("state", ["answered", "running"])
@virtual_time
async def test_nothing_is_offered_where_a_later_question_was_asked(state: str) -> None:
    async with chat() as at:
        await at.writes("q")
        await at.all_closed()
        await (at.runs("next") if state == "running" else at.writes("next"))
        await at.edits("q", "better")
        await at.all_closed()
        assert at.read == ["echo q", "echo next"]


@virtual_time
async def test_an_edit_that_arrives_before_its_message_is_used() -> None:
    async with chat() as at:
        await at.edits("q", "better")
        await at.writes("q")
        await at.all_closed()
        assert at.read == ["echo better"]


@virtual_time
async def test_an_edit_without_its_message_is_forgotten_after_an_hour() -> None:
    async with chat() as at:
        await at.edits("q", "better")
        await asyncio.sleep(3601)
        await at.writes("q")
        await at.all_closed()
        assert at.read == ["echo q"]


@virtual_time
async def test_in_a_group_an_edit_of_a_message_without_a_mention_is_not_kept() -> None:
    async with chat(GROUP) as at:
        await at.edits("q", "private words", mentioned=False)
        assert at.world.memory.edits.kept == {}


@virtual_time
async def test_only_the_asker_may_edit_a_question() -> None:
    async with chat(GROUP) as at:
        await at.runs("q")
        await at.edits("q", "better", BOB)
        await at.all_closed()
        assert len(at.read) == 1
        assert "echo [From: Ann] q" in at.read[0]


@virtual_time
async def test_a_question_edited_into_a_command_is_withdrawn_and_the_command_is_not_carried_out() -> None:
    async with chat() as at:
        await at.runs("nwe")
        await at.edits("nwe", "/new")
        await at.all_closed()
        assert (at.read, at.world.agent.forgotten) == ([], [])
        assert at.outcome("nwe") is Outcome.WITHDRAWN


@virtual_time
async def test_a_command_reported_as_edited_is_not_carried_out_twice() -> None:
    async with chat() as at:
        await at.writes("/new")
        await at.all_closed()
        await at.edits("/new", "/new")
        await at.all_closed()
        assert len(at.world.agent.forgotten) == 1
        assert at.read == [say("new_done")]


@virtual_time
async def test_a_question_of_a_merged_group_can_be_edited_during_the_run() -> None:
    async with chat(merge=True) as at:
        await at.runs("first")
        at.world.agent.takes["a\n\nb"] = 100
        await at.writes("a")
        await at.writes("b")
        await until(lambda: "a\n\nb" in at.asked, 200)
        await at.edits("a", "A")
        await at.clicks(ASK_INSTEAD, at.turn("b"))
        await at.all_closed()
        assert at.asked == ["first", "a\n\nb", "A\n\nb"]
        assert at.read == ["echo first", OFFERED, "echo A\n\nb"]


# -- deletions --


@virtual_time
async def test_a_deleted_waiting_question_is_not_asked_and_has_no_message() -> None:
    async with chat() as at:
        await at.runs("first")
        await at.writes("second")
        await at.deletes("second")
        await at.all_closed()
        assert at.read == ["echo first"]
        assert at.outcome("second") is Outcome.WITHDRAWN


@pytest.mark.parametrize("how", ["deleted", "emptied"])
@virtual_time
async def test_a_question_deleted_or_emptied_during_its_run_ends_the_run_without_a_message(how: str) -> None:
    async with chat() as at:
        await at.runs("q")
        await (at.deletes("q") if how == "deleted" else at.edits("q", ""))
        await at.all_closed()
        assert (at.read, at.world.agent.cancelled) == ([], ["q"])
        assert at.outcome("q") is Outcome.WITHDRAWN


@virtual_time
async def test_a_deleted_question_keeps_its_answer() -> None:
    async with chat() as at:
        await at.writes("q")
        await at.all_closed()
        await at.deletes("q")
        await at.all_closed()
        assert at.read == ["echo q"]
        assert at.outcome("q") is Outcome.DELIVERED


@virtual_time
async def test_a_message_that_arrives_after_its_deletion_is_not_asked() -> None:
    async with chat() as at:
        await at.deletes("q")
        await at.writes("q")
        await at.writes("next")
        await at.all_closed()
        assert at.asked == ["next"]


@virtual_time
async def test_an_undone_deletion_of_an_unasked_question_asks_the_question() -> None:
    async with chat() as at:
        await at.runs("first")
        for _ in range(2):
            await at.writes("second")
            await at.deletes("second")
            await at.edits("second", "second", undeleted=True)
        await at.all_closed()
        assert at.asked == ["first", "second"]
        assert at.read == ["echo first", "echo second"]


@virtual_time
async def test_a_deletion_that_arrived_before_its_message_can_be_undone() -> None:
    async with chat() as at:
        await at.deletes("q")
        await at.writes("q")
        await at.edits("q", "q", undeleted=True)
        await at.edits("q", "q", undeleted=True, stamp=at.count)
        await at.all_closed()
        assert at.read == ["echo q"]


@virtual_time
async def test_an_undone_deletion_of_a_running_question_does_not_ask_twice() -> None:
    async with chat() as at:
        await at.runs("q")
        await at.deletes("q")
        await at.edits("q", "q", undeleted=True)
        await at.all_closed()
        assert (at.asked, at.read) == (["q"], [])


# -- the bot is removed --


@virtual_time
async def test_removing_the_bot_ends_the_conversations_runs_without_a_message() -> None:
    async with chat() as at:
        at.world.agent.takes["q"] = 100
        message = replace(at.message("q", "q"), id="msteams|chat|message|1")
        await at.gets(message)
        await at.gets(replace(message, id="msteams|chat|message|2", text="next"))
        await until(lambda: at.asked)
        await at.gets(Removed("msteams|chat"))
        await at.gets(Removed("msteams|chat"))
        await at.all_closed()
        assert (at.read, at.world.agent.cancelled, at.asked) == ([], ["q"], ["q"])
        assert {row.outcome for row in at.world.memory.rows.values()} == {Outcome.WITHDRAWN}


# -- ratings --


def counted(registry: CollectorRegistry, reaction: str) -> float:
    return registry.get_sample_value("bridge_feedback_total", {"reaction": reaction}) or 0.0


@virtual_time
async def test_a_rating_is_kept_with_its_turn_and_counted() -> None:
    async with chat(GROUP) as at:
        await at.writes("q")
        await at.all_closed()
        before = counted(metrics.REGISTRY, "like"), counted(metrics.REGISTRY, "taken_back")
        await at.rates("m1", Reaction.LIKE, words="Just right")
        await at.rates("m1", Reaction.DISLIKE, BOB)
        await at.rates("m1", Reaction.DISLIKE, BOB, taken_back=True)
        (kept,) = await at.world.store.ratings(After(), 10)
        assert (kept.turn, kept.person, kept.words) == (at.turn("q"), "aad-ann", "Just right")
        assert (counted(metrics.REGISTRY, "like"), counted(metrics.REGISTRY, "taken_back")) == (
            before[0] + 1,
            before[1] + 1,
        )


@virtual_time
async def test_in_a_group_every_members_rating_counts() -> None:
    async with chat(GROUP) as at:
        await at.writes("q")
        await at.all_closed()
        await at.rates("m1", Reaction.LIKE, BOB)
        assert [kept.person for kept in await at.world.store.ratings(After(), 10)] == ["aad-bob"]


@virtual_time
async def test_only_answers_can_be_rated() -> None:
    async with chat() as at:
        await at.writes("/help")
        await at.all_closed()
        await at.rates("m1", Reaction.LIKE)
        await at.rates("m9", Reaction.LIKE)
        assert await at.world.store.ratings(After(), 10) == ()


@virtual_time
async def test_a_person_who_may_not_ask_may_not_rate_or_edit() -> None:
    policy = Policy(
        AccessPolicy(frozenset({"tenant"}), people=frozenset({"aad-ann"})), "helper", GroupSession.CONVERSATION
    )
    async with chat(GROUP, policy=policy) as at:
        await at.writes("q")
        await at.all_closed()
        await at.rates("m1", Reaction.LIKE, BOB)
        await at.edits("q", "better", BOB)
        await at.all_closed()
        assert await at.world.store.ratings(After(), 10) == ()
        assert len(at.read) == 1
        assert "echo [From: Ann] q" in at.read[0]


@virtual_time
async def test_an_edit_and_its_message_committed_at_the_same_moment_find_each_other() -> None:
    async with World(MemoryStore(shared=True)) as world:
        at = Chat(world)
        await at.runs("first")
        editing = asyncio.ensure_future(at.edits("secnd", "second"))
        await until(lambda: world.memory.edits.kept)
        world.memory.edits.kept.clear()  # the message's transaction began earlier and does not see the edit
        await at.writes("secnd")
        await editing
        await at.all_closed()
        assert at.asked == ["first", "second"]
