"""Access: decides from policy and facts whether a person may talk with the agent; by ids, never by names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.core.turn import Person, Scope


class Denial(StrEnum):
    """Why a message does not reach the agent; the value is the text key and the metric's label."""

    NO_AAD_ID = "denied_no_aad_id"
    MEETING = "denied_meeting"
    TENANT = "denied_tenant"
    PERSON = "denied_person"


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The operator's choice: allowed tenant ids and, if `people` is not empty, the only AAD object ids let in.

    All ids in small letters, since Teams sends GUIDs in both cases. `meetings`: meeting chats are allowed.
    """

    tenants: frozenset[str]
    meetings: bool = False
    people: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a message from the verified activity; only the roster knows guests (`ports.channel.Roster`)."""

    person: Person
    scope: Scope
    tenant: str
    meeting: bool = False


def denial(policy: AccessPolicy, facts: Facts) -> Denial | None:
    """The reason to refuse the message; None: the message may go to the agent."""
    if facts.tenant.lower() not in policy.tenants:
        return Denial.TENANT
    if not facts.person.aad_id:
        return Denial.NO_AAD_ID
    if facts.meeting and not policy.meetings:
        return Denial.MEETING
    if policy.people and facts.person.aad_id.lower() not in policy.people:
        return Denial.PERSON
    return None
