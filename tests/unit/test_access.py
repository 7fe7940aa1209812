"""Access: who may talk with the agent, decided by ids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.core.access import AccessPolicy, Denial, Facts, denial
from bridge.core.texts import say
from bridge.core.turn import Person, Scope

ANN = "5d1c7e90-41aa-4b8f-8d3c-2f6e7a9b0c1d"
OPEN = AccessPolicy(frozenset({"home", "friends"}))
FACTS = Facts(Person("29:a", ANN, "Ann"), Scope.PERSONAL, "home")
WITHOUT_ID = replace(FACTS, person=Person("29:a", "", "Ann"))
MEETING = replace(FACTS, scope=Scope.GROUP, meeting=True)
ANN_ONLY = replace(OPEN, people=frozenset({ANN}))
BOB_ONLY = replace(OPEN, people=frozenset({"b0b"}))


@pytest.mark.parametrize(
    ("policy", "facts", "expected"),
    [
        (OPEN, FACTS, None),
        (OPEN, replace(FACTS, tenant="friends"), None),
        (OPEN, replace(FACTS, tenant="HOME"), None),
        (OPEN, replace(FACTS, tenant="strangers"), Denial.TENANT),
        (OPEN, replace(FACTS, tenant=""), Denial.TENANT),
        (replace(OPEN, tenants=frozenset()), FACTS, Denial.TENANT),
        (OPEN, WITHOUT_ID, Denial.NO_AAD_ID),
        (ANN_ONLY, WITHOUT_ID, Denial.NO_AAD_ID),
        (OPEN, MEETING, Denial.MEETING),
        (ANN_ONLY, MEETING, Denial.MEETING),
        (replace(OPEN, meetings=True), MEETING, None),
        (ANN_ONLY, FACTS, None),
        (ANN_ONLY, replace(FACTS, person=replace(FACTS.person, aad_id=ANN.upper())), None),
        (BOB_ONLY, FACTS, Denial.PERSON),
        (BOB_ONLY, replace(FACTS, person=Person("29:a", ANN, "b0b")), Denial.PERSON),
        (BOB_ONLY, replace(FACTS, person=Person("b0b", ANN, "Bob")), Denial.PERSON),
    ],
)
def test_access_is_decided_by_ids_alone(policy: AccessPolicy, facts: Facts, expected: Denial | None) -> None:
    assert denial(policy, facts) is expected


def test_guests_are_left_to_the_roster() -> None:
    """An activity does not tell whether its sender is a guest."""
    assert not hasattr(FACTS, "guest")
    assert not hasattr(OPEN, "guests")


@pytest.mark.parametrize("reason", list(Denial))
def test_every_refused_person_reads_the_reason(reason: Denial) -> None:
    assert len(say(reason, aad_id=ANN)) > 20


def test_a_person_without_access_reads_the_id_that_an_admin_needs() -> None:
    assert ANN in say(Denial.PERSON, aad_id=ANN)
