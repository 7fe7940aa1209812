"""Where guests may not ask, the roster decides before the agent is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from support.engine_world import World, virtual_time

from bridge.core.errors import ConnectorUnreachable, DeliveryFailure, DeliveryRefused
from bridge.core.texts import say
from bridge.core.turn import Kind, Outcome, Person, Reference, Scope

GROUPS = [Scope.GROUP, Scope.CHANNEL]


@dataclass
class ScriptedRoster:
    """Answers `guest` for every person, or raises a failure."""

    guest: bool | DeliveryFailure
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def is_guest(self, where: Reference, person: Person) -> bool:
        self.asked.append((where.conversation, person.teams_id))
        if isinstance(self.guest, DeliveryFailure):
            raise self.guest
        return self.guest


@pytest.mark.parametrize("scope", GROUPS)
@virtual_time
async def test_a_guest_reads_a_sentence_and_the_agent_is_not_asked(scope: Scope) -> None:
    roster = ScriptedRoster(guest=True)
    async with World(roster=roster) as world:
        await world.ask("q", scope=scope)
        row = await world.closed("q")
        assert (row.outcome, world.agent.asked) == (Outcome.FAILED, [])
        (request,) = world.channel.sent
        assert request.text.startswith(say("denied_guest"))
        assert "attachments" not in request.activity
        assert roster.asked == [("chat", "29:ann")]


@virtual_time
async def test_a_guest_cannot_delete_the_session() -> None:
    async with World(roster=ScriptedRoster(guest=True)) as world:
        await world.ask("new", kind=Kind.NEW, scope=Scope.GROUP)
        await world.closed("new")
        assert world.agent.forgotten == []
        assert world.channel.texts()[0].startswith(say("denied_guest"))


@pytest.mark.parametrize("failure", [ConnectorUnreachable(), DeliveryRefused()], ids=repr)
@virtual_time
async def test_without_an_answer_of_the_roster_nothing_is_asked_and_asking_again_is_offered(
    failure: DeliveryFailure,
) -> None:
    async with World(roster=ScriptedRoster(failure)) as world:
        await world.ask("q", scope=Scope.GROUP)
        await world.ask("new", kind=Kind.NEW, scope=Scope.GROUP)
        await world.closed("q", "new")
        assert (world.agent.asked, world.agent.forgotten) == ([], [])
        asked, new = world.channel.sent
        assert asked.text == say("membership_unknown")
        assert [action["verb"] for action in asked.activity["attachments"][0]["content"]["actions"]] == ["askAgain"]
        assert new.text.startswith(say("membership_unknown"))


@pytest.mark.parametrize("scope", GROUPS)
@virtual_time
async def test_a_member_is_answered(scope: Scope) -> None:
    async with World(roster=ScriptedRoster(guest=False)) as world:
        await world.ask("q", scope=scope)
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert world.agent.asked == ["q"]


@virtual_time
async def test_in_a_personal_chat_the_roster_is_not_asked() -> None:
    roster = ScriptedRoster(guest=True)
    async with World(roster=roster) as world:
        await world.ask("q")
        await world.closed("q")
        assert (roster.asked, world.channel.texts()) == ([], ["echo q"])
