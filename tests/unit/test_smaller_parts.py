"""A reply that Teams refused is cut smaller: no word is lost, and each refusal makes the refused part smaller."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.markdown.split import units
from bridge.core.outbound.answers_and_notes import AI_LABEL, FEEDBACK, answer, note
from bridge.core.outbound.quote_and_mention import continued, mentioning, quoting
from bridge.core.outbound.smaller_parts import SMALLEST_PART, smaller, within
from bridge.core.texts import say
from bridge.core.turn import Activity, Person, Reference, Scope

TO = Reference("https://smba.example/", "chat", Scope.GROUP, "tenant", "28:bot", "29:ann", "a1", "en-US")
ANN = Person("29:ann", "aad-ann", "Ann")
CARD: dict[str, Any] = {"contentType": "application/vnd.microsoft.card.adaptive", "content": {"type": "AdaptiveCard"}}


def reply_of(words: int, *, feedback: bool = True) -> list[Activity]:
    """An answer with that many words in a group: with quote, mention and a sentence of the bridge at the end."""
    text = "\n\n".join(f"Paragraph {n}. " + " ".join(f"w{n}x{m}" for m in range(100)) for n in range(words // 100 or 1))
    parts = list(answer(text, feedback=feedback))
    parts[0] = mentioning(quoting(parts[0], TO), ANN)
    parts[-1] = continued(parts[-1], "Write on here.")
    return parts


def next_form(activities: list[Activity], refused: int, *, too_large: bool) -> tuple[Activity, ...]:
    cut = smaller(activities, refused, too_large=too_large, locale="en")
    assert cut is not None
    return cut.activities


def words_in(activities: list[Activity]) -> list[str]:
    return [word for activity in activities for word in re.findall(r"w\d+x\d+", str(activity.get("text", "")))]


def numbers_in(activities: list[Activity]) -> list[str]:
    texts = [str(activity["text"]) for activity in activities if activity.get("text")]
    return [number for text in texts for number in re.findall(r"\((\d+/\d+)\)", text)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12_000), st.integers(1_000, 60_000), st.integers(0, 4))
def test_a_reply_cut_to_a_size_keeps_all_words_in_order(words: int, limit: int, delivered: int) -> None:
    parts = reply_of(words)
    delivered = min(delivered, len(parts) - 1)
    cut = list(within(parts, delivered, limit))

    assert words_in(cut) == words_in(parts)
    assert cut[:delivered] == parts[:delivered]
    assert all(units(part["text"]) <= limit for part in cut[delivered:])
    assert [part for part in cut if "channelData" in part] == cut[-1:]
    if len(cut) > len(parts):
        rest = range(delivered, len(cut))
        assert numbers_in(cut[delivered:]) == [f"{at + 1}/{len(cut)}" for at in rest]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9_000), st.integers(0, 3), st.booleans(), st.booleans())
def test_every_refusal_makes_the_part_smaller_until_plain_text_and_the_note(
    words: int, delivered: int, too_large: bool, card: bool
) -> None:
    activities = reply_of(words)
    delivered = min(delivered, len(activities) - 1)
    if card:
        activities[delivered] |= {"attachments": [CARD], "summary": "a card"}
    refused, sizes = 0, []
    while cut := smaller(activities, delivered, too_large=too_large, locale="en"):
        before, activities = activities, list(cut.activities)
        given_up = cut.given_up
        sizes.append(units(str(before[delivered].get("text"))))
        refused += 1
        assert activities != before
        assert activities[:delivered] == before[:delivered]
        if not cut.given_up:
            assert words_in(activities) == words_in(before)

    assert refused < 14
    assert sizes == sorted(sizes, reverse=True)
    assert given_up
    assert activities[delivered:] == [note(say("part_refused", "en"))]


def test_the_first_text_keeps_quote_and_mention_and_the_last_the_buttons() -> None:
    first, *_, last = within(reply_of(2_000), 0, 4_000)

    assert [entity["type"] for entity in first["entities"]] == [AI_LABEL["type"], "quotedReply", "mention"]
    assert first["text"].startswith("<at>Ann</at> <quoted")
    assert last["entities"] == [AI_LABEL]
    assert last["channelData"] == FEEDBACK["channelData"]


def test_cards_go_in_messages_of_their_own_before_a_text_is_cut() -> None:
    both: Activity = note("Words") | {"attachments": [CARD, CARD], "summary": "s", "entities": [AI_LABEL]}
    words, *cards = next_form([both], 0, too_large=True)

    assert words == {"type": "message", "textFormat": "markdown", "text": "Words", "entities": [AI_LABEL]}
    assert [card["attachments"] for card in cards] == [[CARD], [CARD]]


def test_a_card_refused_after_the_words_is_left_out() -> None:
    card: Activity = {"type": "message", "attachments": [CARD], "summary": "s"}

    assert next_form([note("a"), card, note("b")], 1, too_large=False) == (note("a"), note("b"))


def test_a_refused_card_alone_becomes_its_words() -> None:
    card: Activity = {"type": "message", "attachments": [CARD], "summary": "The card"}
    (words,) = next_form([card], 0, too_large=True)

    assert words == {"type": "message", "textFormat": "plain", "text": "The card"}


def test_a_text_refused_for_its_content_is_cut_alone() -> None:
    parts = reply_of(20_000)
    cut = next_form(parts, 1, too_large=False)

    assert len(cut) > len(parts)
    assert units(cut[-2]["text"]) > units(cut[1]["text"])
    assert words_in(list(cut)) == words_in(parts)


def test_code_stays_code_in_smaller_parts() -> None:
    parts = within([note("```py\n" + "x = 1\n" * 3_000 + "```")], 0, SMALLEST_PART * 4)

    assert len(parts) > 1
    assert all(part["text"].startswith("```py\n") for part in parts)


def test_a_text_that_ends_like_a_number_keeps_the_words() -> None:
    (one, two, *_) = within([note("w " * 600 + "\n\n(3/4)")], 0, 1_000)

    assert two["text"].endswith("(3/4)\n\n(2/2)")
    assert one["text"].endswith("(1/2)")
