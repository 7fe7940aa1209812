"""The checker over histories written by hand: each violation is found, each window explains its own exception only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.checker import check
from chaos.records import BotMessage, GatewayRun, History, PersonMessage, Trouble

NOTES = ("I was restarted",)
Q1 = PersonMessage("m1", "ann", "t1", 0.0, 0.1)
Q2 = PersonMessage("m2", "ann", "t2", 1.0, 1.1)
A1 = BotMessage(2.0, "ann", "re [t1]", "m1")
A2 = BotMessage(3.0, "ann", "re [t2]", "m2")
R1 = GatewayRun("ann", ("t1",), 0.2, 1.9, "answered")
R2 = GatewayRun("ann", ("t2",), 2.1, 2.9, "answered")
NOTE = BotMessage(2.0, "ann", "I was restarted while …", "m1")


def kinds(history: History) -> list[str]:
    return [violation.kind for violation in check(replace(history, outcome_notes=NOTES)).violations]


def test_a_good_history_has_no_violations() -> None:
    assert kinds(History([Q1, Q2], [A1, A2], [R1, R2])) == []


def test_a_message_without_a_200_may_have_no_outcome() -> None:
    assert kinds(History([replace(Q1, acked=None)], [], [])) == []


@pytest.mark.parametrize(
    ("history", "kind"),
    [
        (History([Q1, Q2], [A2], [R1, R2]), "lost"),
        (History([Q1], [A1, replace(A1, at=2.5)], [R1]), "doubled"),
        (History([Q1], [NOTE, replace(A1, at=4.0)], [R1]), "two outcomes"),
        (History([Q1, Q2], [replace(A1, at=5.0), A2], []), "out of order"),
        (History([Q1, Q2], [A1, A2], [R1, replace(R2, began=1.0)]), "two at once"),
        (History([Q1, Q2], [A1, A2], [R1, replace(R1, began=2.0, ended=2.1), R2]), "asked twice"),
    ],
)
def test_each_violation_is_found(history: History, kind: str) -> None:
    assert kinds(history) == [kind] * len(kinds(history))
    assert kind in kinds(history)


def test_messages_that_were_asked_together_share_an_outcome() -> None:
    together = replace(R2, tokens=("t1", "t2"))
    both = BotMessage(3.0, "ann", "re [t1] [t2]", "m2")
    assert kinds(History([Q1, Q2], [both], [together])) == []
    note = BotMessage(3.0, "ann", "I was restarted while …", "m2")
    assert kinds(History([Q1, Q2], [note], [together])) == ["lost"]
    assert kinds(History([Q1, Q2], [note], [together], merged={"m1": "m2"})) == []


def test_a_doubled_answer_is_explained_by_a_fault_in_its_first_send_or_a_kill_right_after_it() -> None:
    again = replace(A1, at=9.0)
    assert kinds(History([Q1], [replace(A1, fault="502"), again], [R1])) == []
    assert kinds(History([Q1], [A1, again], [R1], [Trouble("kill", 2.1, 4.0)])) == []
    assert kinds(History([Q1], [A1, again], [R1], [Trouble("kill", 8.0, 9.0)])) == ["doubled"]
    assert kinds(History([Q1], [A1, replace(again, fault="502")], [R1])) == ["doubled"]


def test_an_overlap_is_explained_by_a_frozen_owner_only() -> None:
    overlap = [R1, replace(R2, began=1.5)]
    assert kinds(History([Q1, Q2], [A1, A2], overlap, [Trouble("freeze", 1.0, 30.0)])) == []
    assert kinds(History([Q1, Q2], [A1, A2], overlap, [Trouble("freeze", 10.0, 30.0)])) == ["two at once"]
    assert kinds(History([Q1, Q2], [A1, A2], overlap, [Trouble("kill", 1.0, 2.0)])) == ["two at once"]


def test_a_run_refused_by_the_rate_limit_is_not_counted() -> None:
    refused = replace(R1, began=0.15, ended=0.16, result="refused")
    assert kinds(History([Q1, Q2], [A1, A2], [refused, R1, R2])) == []
