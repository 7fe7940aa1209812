"""Cards and notes of the bridge, in the form Teams accepts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.core.edits import Offer
from bridge.core.outbound import cards
from bridge.core.outbound.answers_and_notes import AI_LABEL, LONGEST_ANSWER, answer, note, plain
from bridge.core.texts import say
from bridge.core.turn import Activity

CARDS = {
    "interrupted": cards.interrupted(42, "T-42", ""),
    "confirm_new": cards.confirm_new(""),
}


def content(activity: Activity) -> dict[str, Any]:
    (attachment,) = activity["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card: dict[str, Any] = attachment["content"]
    return card


@pytest.mark.parametrize("name", CARDS)
def test_a_card_of_the_bridge_is_a_small_adaptive_card_with_one_button(name: str) -> None:
    card = content(CARDS[name])
    (action,) = card["actions"]

    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.5")
    assert action["type"] == "Action.Execute"
    assert action["title"]
    assert len(orjson.dumps(CARDS[name])) < 28_000


@pytest.mark.parametrize("name", CARDS)
def test_a_card_has_a_summary_for_notification_and_screen_reader(name: str) -> None:
    assert CARDS[name]["summary"] == content(CARDS[name])["body"][0]["text"]


def test_the_ask_again_button_carries_the_turn_only() -> None:
    card = content(CARDS["interrupted"])
    (action,) = card["actions"]

    assert (action["verb"], action["data"]) == (cards.ASK_AGAIN, {"turn": 42})
    assert card["body"][1]["text"] == "T-42"


def test_a_used_card_is_replaced_by_words_without_a_button() -> None:
    card = cards.done("Done.")

    assert [block["text"] for block in card["body"]] == ["Done."]
    assert "actions" not in card


def test_the_agents_words_have_the_ai_label_and_notes_have_none() -> None:
    (answered,) = answer("hello")

    assert answered["entities"] == [AI_LABEL]
    assert "entities" not in note("hello")


def test_every_part_of_a_long_answer_has_the_ai_label_once() -> None:
    parts = answer("word " * 40_000)

    assert len(parts) > 1
    assert all(part["entities"] == [AI_LABEL] for part in parts)


@pytest.mark.parametrize("activity", [note("words"), *answer("words")])
def test_the_plain_form_keeps_the_words(activity: Activity) -> None:
    assert plain(activity) == {"type": "message", "textFormat": "plain", "text": "words"}


def test_the_plain_form_of_a_card_is_its_summary() -> None:
    assert plain(CARDS["interrupted"])["text"] == say("interrupted")


def test_an_overlong_answer_is_cut_with_a_note() -> None:
    parts = answer("word " * (LONGEST_ANSWER // 5 + 1))

    assert say("answer_cut") in parts[-1]["text"]
    assert sum(len(part["text"]) for part in parts) < LONGEST_ANSWER * 1.01
    assert say("answer_cut") not in answer("word " * 1000)[0]["text"]


def test_feedback_buttons_stand_below_the_last_part_only_and_can_be_switched_off() -> None:
    parts = answer("word " * 40_000, feedback=True)

    assert [part.get("channelData") for part in parts[:-1]] == [None] * (len(parts) - 1)
    assert parts[-1]["channelData"] == {"feedbackLoop": {"type": "default"}}
    assert "channelData" not in answer("hello")[0]


@pytest.mark.parametrize(("offer", "verb"), [(Offer.INSTEAD, "askInstead"), (Offer.AGAIN, "askAgain")])
def test_the_offer_for_an_edited_question_carries_the_turn(offer: Offer, verb: str) -> None:
    card = cards.edited(offer, 7, "T-7", "en")["attachments"][0]["content"]

    assert [(action["verb"], action["data"]) for action in card["actions"]] == [(verb, {"turn": 7})]
    assert card["body"][-1]["text"] == "T-7"
