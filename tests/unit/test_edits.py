"""Edits of messages: the question text by now, and the offer to the asker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.core.edits import FRESH_SECONDS, Offer, emptied, offer, reworded
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.texts import say
from bridge.core.turn import Edit, Kind, Lane, LaneStatus, Outcome, Payload, Person, Reference, Scope, State, Turn

REFERENCE = Reference("https://smba.example/", "chat", Scope.PERSONAL, "tenant", "28:bot", "29:ann")
PAYLOAD = Payload(REFERENCE, Person("29:ann", "aad-ann", "Ann"), text="old")
TURN = Turn(7, "id", Kind.ASK, Lane("lane"), State.CLOSED, PAYLOAD, 0.0, outcome=Outcome.DELIVERED, closed=100.0)
IDLE = LaneStatus(last="T-7")


def turn(text: str, now: str | None = None, stamp: float = 1.0) -> Turn:
    edit = None if now is None else Edit(now, stamp)
    return replace(TURN, payload=replace(PAYLOAD, text=text), edit=edit)


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ([turn("old")], "old"),
        ([turn("old", "new")], "new"),
        ([turn("a"), turn("a\n\nb", "b", 0.0)], "a\n\nb"),
        ([turn("a", "A"), turn("a\n\nb", "b", 0.0)], "A\n\nb"),
        ([turn("a", ""), turn("a\n\nb", "b", 0.0)], "b"),
        # the first text is no longer kept, but no message was edited
        ([turn(""), turn("a\n\nb", "b", 0.0)], "a\n\nb"),
    ],
)
def test_merged_messages_are_asked_with_each_messages_text_by_now(group: list[Turn], text: str) -> None:
    assert reworded(group) == text


FILE = SharedFile("a.txt", "https://files.example/a", FileKind.DOWNLOAD)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (None, ("b", 0.0), "a\n\nb|A|B"),
        (None, ("", 1.0), "a|A"),
        (("", 1.0), ("b", 0.0), "b|B"),
        (("new", 1.0), ("b", 0.0), "new\n\nb|B"),
        (("", 1.0), ("", 1.0), ""),
    ],
)
def test_file_contents_stay_with_their_message_and_are_dropped_with_it(
    first: tuple[str, float] | None, second: tuple[str, float], text: str
) -> None:
    first_turn = replace(TURN, payload=replace(PAYLOAD, text="a", files=(FILE,)), edit=Edit(*first) if first else None)
    asked = replace(PAYLOAD, text="a\n\nb|A|B", inlined=("|A", "|B"))
    assert reworded([first_turn, replace(TURN, payload=asked, edit=Edit(*second))]) == text


def test_file_contents_read_before_a_merge_are_asked_once() -> None:
    first_turn = replace(TURN, payload=replace(PAYLOAD, text="a|A", inlined=("|A",)))
    asked = replace(PAYLOAD, text="a|A\n\nb|B", inlined=("|A", "|B"))
    assert reworded([first_turn, replace(TURN, payload=asked, edit=Edit("", 1.0))]) == "a|A"


def test_a_file_sent_without_text_is_asked_alone_after_all_other_messages_were_deleted() -> None:
    words = replace(TURN, payload=replace(PAYLOAD, text="a"), edit=Edit("", 1.0))
    asked = replace(PAYLOAD, text="a|B", inlined=("|B",), reference=replace(REFERENCE, scope=Scope.GROUP))
    alone = f"[From: Ann] {say('files_alone')}|B"
    file = replace(TURN, payload=asked, edit=Edit("", 0.0))
    assert (reworded([words, file]), emptied([words, file])) == (alone, False)
    gone = replace(file, edit=Edit("", 2.0))
    assert (reworded([words, gone]), emptied([words, gone])) == ("", True)


@pytest.mark.parametrize(
    ("changed", "lane", "expected"),
    [
        ({"state": State.RUNNING, "closed": None}, LaneStatus(running="T-7"), Offer.INSTEAD),
        ({"state": State.RUNNING, "closed": None}, LaneStatus(running="T-7", waiting=3), Offer.INSTEAD),
        ({"state": State.ANSWERED, "closed": None}, LaneStatus(running="T-7"), Offer.AGAIN),
        ({"state": State.ANSWERED, "closed": None}, LaneStatus(running="T-7", waiting=1), None),
        ({}, IDLE, Offer.AGAIN),
        ({}, LaneStatus(last="T-8"), None),
        ({}, LaneStatus(last="T-7", running="T-8"), None),
        ({}, LaneStatus(last="T-7", waiting=1), None),
        ({"closed": 101.0 - FRESH_SECONDS}, IDLE, Offer.AGAIN),
        ({"closed": 99.0 - FRESH_SECONDS}, IDLE, None),
        ({"outcome": Outcome.FAILED}, IDLE, Offer.AGAIN),
        ({"outcome": Outcome.DROPPED}, IDLE, None),
        ({"outcome": Outcome.WITHDRAWN}, IDLE, None),
    ],
)
def test_a_late_edit_brings_an_offer_while_the_question_is_the_newest_of_its_lane(
    changed: dict[str, object], lane: LaneStatus, expected: Offer | None
) -> None:
    assert offer(replace(TURN, **changed), lane, 100.0) is expected  # type: ignore[arg-type]
