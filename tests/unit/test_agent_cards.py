"""Harmless cards of an agent are shown as cards; the source of refused cards stays a block of code."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.markdown.agent_cards import AgentCard, card_in
from bridge.core.markdown.partial import visible_prefix
from bridge.core.markdown.split import units
from bridge.core.outbound.answers_and_notes import answer
from bridge.core.teams_limits import CARD_BYTES, PART_UNITS

GOOD: dict[str, Any] = {
    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
    "type": "AdaptiveCard",
    "version": "1.5",
    "msteams": {"width": "Full"},
    "body": [
        {"type": "TextBlock", "text": "Order 4711", "weight": "Bolder", "wrap": True},
        {"type": "FactSet", "facts": [{"title": "State", "value": "shipped"}]},
        {
            "type": "ColumnSet",
            "columns": [{"type": "Column", "width": 1, "items": [{"type": "TextBlock", "text": "a"}]}],
        },
        {"type": "RichTextBlock", "inlines": ["plain", {"type": "TextRun", "text": "run"}]},
    ],
    "actions": [{"type": "Action.OpenUrl", "title": "Track", "url": "https://example.com/track?id=4711"}],
}


def block(card: Any) -> str:
    return f"```adaptive-card\n{card if isinstance(card, str) else orjson.dumps(card).decode()}\n```"


def test_a_harmless_card_is_found_with_its_text() -> None:
    found = card_in(block(GOOD))

    assert found == AgentCard(
        {**GOOD, "fallbackText": "Order 4711\nState: shipped\na\nrun"}, "Order 4711\nState: shipped\na\nrun"
    )


def text(**more: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": "words", **more}


def action(**more: Any) -> dict[str, Any]:
    return {"type": "Action.OpenUrl", "title": "Go", "url": "https://example.com", **more}


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = text()
    for _ in range(levels):
        inner = {"type": "Container", "items": [inner]}
    return inner


@pytest.mark.parametrize(
    "change",
    [
        {"type": "HeroCard"},
        {"version": "1.6"},
        {"version": 1.5},
        {"version": "1.5\n"},
        {"version": None},
        {"body": []},
        {"body": "words"},
        {"body": [text(text="")]},
        {"body": [text(), "words"]},
        {"body": [text(), {"text": "of no type"}]},
        {"body": [text(), {"type": "FactSet", "facts": [None]}]},
        {"actions": ["Action.Submit"]},
        {"body": [{"type": "Image", "url": "https://evil.example/?q=secret"}]},
        {"body": [{"type": "Media", "sources": [{"url": "https://evil.example/x.mp4", "mimeType": "video/mp4"}]}]},
        {"body": [text(), {"type": "Input.Text", "id": "password"}]},
        {"body": [text(), {"type": "Whatever"}]},
        {"body": [text(), {"type": ["TextBlock"]}]},
        {"body": [text(), {"type": "AdaptiveCard", "body": []}]},
        {"body": [text(text="[click](javascript:alert(1))")]},
        {"body": [text(text="[click]( sandbox:/x)")]},
        {"body": [text(text="[click]\n\n[click]: javascript:x")]},
        {"body": [text(text="<at>Everyone</at>")]},
        {"body": [text(text="a\u0000b")]},
        {"body": [text(__proto__=1)]},
        {"body": [text(selectAction={"type": "Action.Submit", "data": {}})]},
        {"body": [text(fallback={"type": "Image", "url": "https://evil.example"})]},
        {"body": [{"type": "Container", "backgroundImage": "https://evil.example/x.png", "items": [text()]}]},
        {"body": [nested(20)]},
        {"actions": [{"type": "Action.Submit", "title": "Go", "data": {"msteams": {"type": "messageBack"}}}]},
        {"actions": [{"type": "Action.Execute", "title": "Ask again", "verb": "askAgain", "data": {"turn": 1}}]},
        {"actions": [{"type": "Action.ShowCard", "title": "More", "card": {"type": "AdaptiveCard"}}]},
        {"actions": [action(url="http://example.com")]},
        {"actions": [action(url="javascript:alert(1)")]},
        {"actions": [action(url="https://user@example.com/")]},
        {"actions": [action(url="https://example.com\\@evil.example/")]},
        {"actions": [action(url="https://example.com/ x")]},
        {"actions": [action(url=None)]},
        {"actions": [action(iconUrl="https://evil.example/x.png")]},
        {"actions": [text()]},
        {"actions": {"type": "Action.Submit"}},
        {"refresh": {"action": {"type": "Action.Execute", "verb": "x"}}},
        {"authentication": {"connectionName": "x"}},
        {"selectAction": {"type": "Action.Submit"}},
        {
            "msteams": {
                "entities": [{"type": "mention", "text": "<at>x</at>", "mentioned": {"id": "29:x", "name": "x"}}]
            }
        },
        {"msteams": {"width": "Full", "entities": []}},
    ],
    ids=str,
)
def test_a_card_that_could_do_more_than_show_words_and_open_pages_is_refused(change: dict[str, Any]) -> None:
    assert card_in(block({**GOOD, **change})) is None


@pytest.mark.parametrize(
    "source",
    [
        *("", "{", "[]", "null", '"AdaptiveCard"', "[" * 20_000, '{"type":' * 3_000, '{"type":"AdaptiveCard"}', "NaN"),
        orjson.dumps({**GOOD, "body": [text(text="x" * CARD_BYTES)]}).decode(),
    ],
)
def test_invalid_or_oversized_cards_are_refused(source: str) -> None:
    assert card_in(block(source)) is None


def test_a_card_outside_an_adaptive_card_fence_is_not_found() -> None:
    source = orjson.dumps(GOOD).decode()

    assert card_in(f"```json\n{source}\n```") is None
    assert card_in(source) is None
    assert card_in(f"```adaptive-card\n{source}") is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["TextBlock", "Action.OpenUrl", "https://x.y", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "url", "items", "actions", "msteams", "text", "selectAction", "facts", "title"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["body", "actions", "msteams", "selectAction", "fallbackText"]), JSON))
def test_no_card_raises_or_passes_an_action_besides_opening_a_page(change: dict[str, Any]) -> None:
    found = card_in(block({**GOOD, **change}))

    if found:
        source = orjson.dumps(found.content).decode()
        assert "Action." not in source.replace("Action.OpenUrl", "")
        assert found.words


def test_a_card_is_code_unless_the_operator_opted_in() -> None:
    (message,) = answer(f"Here:\n\n{block(GOOD)}")

    assert "attachments" not in message
    assert "```adaptive-card" in message["text"]


def test_a_card_is_attached_to_the_part_in_which_it_stands() -> None:
    (message,) = answer(f"Before.\n\n{block(GOOD)}\n\nAfter.", cards=True)

    assert message["text"] == "Before.\n\nAfter."
    assert message["summary"] == "Before.\n\nAfter."
    assert [item["content"]["body"] for item in message["attachments"]] == [GOOD["body"]]


def test_an_answer_with_a_card_begins_with_the_streamed_text() -> None:
    source = f"First some words that are long enough to be shown.\n\n{block(GOOD)}\n\nAfter it, more words.\n\nEnd."

    for cards in (True, False):
        (message, *_) = answer(source, cards=cards)
        assert all(message["text"].startswith(visible_prefix(source[:end])) for end in range(len(source)))


def test_a_refused_card_stays_code() -> None:
    (message,) = answer(block({**GOOD, "version": "2.0"}), cards=True)

    assert message["text"].startswith("```adaptive-card\n")
    assert "attachments" not in message


def test_an_answer_of_a_card_alone_is_a_message_without_text() -> None:
    (message,) = answer(block(GOOD), cards=True)

    assert "text" not in message
    assert message["summary"].startswith("Order 4711")


def test_a_card_in_a_long_answer_stands_with_its_words_or_follows_them() -> None:
    words = "Some words of an answer. " * 1500
    big = block({**GOOD, "body": [text(text="x" * 20_000)]})

    parts = answer(f"{words}\n\n{big}\n\n{words}\n\n{block(GOOD)}\n\nEnd.", cards=True)

    assert [len(part.get("attachments", ())) for part in parts] == [0, 1, 1]
    assert [part.get("text", "")[-5:] for part in parts] == ["(1/2)", "", "(2/2)"]
    assert all(
        units(part.get("text", "")) + len(orjson.dumps(part.get("attachments", ""))) <= PART_UNITS for part in parts
    )
