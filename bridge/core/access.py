"""Who may talk with the agent: policy and facts in, allowed or not out. By ids only, never by names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.core.turn import Person, Scope


class Denial(StrEnum):
    """Why a message is not answered by the agent. The value is the text's key and the metric's label."""

    NO_AAD_ID = "denied_no_aad_id"
    MEETING = "denied_meeting"
    TENANT = "denied_tenant"
    PERSON = "denied_person"


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The operator's choice. `tenants` are the bot's own; `people` limits access to some AAD ids, where set.

    All of them in small letters; GUIDs may arrive in either.
    """

    tenants: frozenset[str]
    meetings: bool = False
    people: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the verified activity says about a message. Whether the sender is a guest only the roster knows."""

    person: Person
    scope: Scope
    tenant: str
    meeting: bool = False


def denial(policy: AccessPolicy, facts: Facts) -> Denial | None:
    """None where the message may go to the agent, else why not."""
    if facts.tenant.lower() not in policy.tenants:
        return Denial.TENANT
    if not facts.person.aad_id:
        return Denial.NO_AAD_ID
    if facts.meeting and not policy.meetings:
        return Denial.MEETING
    if policy.people and facts.person.aad_id.lower() not in policy.people:
        return Denial.PERSON
    return None
