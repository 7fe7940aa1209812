"""The connector's refusals of activities."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.teams.bot_rendering import render_activity
from bridge.simulator.teams.rules import FILE_CONSENT, MESSAGE_BYTES, Refused, check

ROOT = {"type": "https://schema.org/Message", "@type": "Message", "additionalType": ["AIGeneratedContent"]}
CARD = {"contentType": "application/vnd.microsoft.card.adaptive", "content": {"type": "AdaptiveCard"}}


CITED = {"@type": "Claim", "position": 1, "appearance": {"@type": "DigitalDocument", "name": "a", "abstract": "b"}}


def cited(*citations: object) -> dict[str, Any]:
    return {"type": "message", "text": "a [1]", "entities": [{**ROOT, "citation": list(citations)}]}


def refusal(activity: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        check(activity)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize(
    "activity",
    [
        {"type": "message", "text": "hello"},
        {"type": "message", "attachments": [CARD]},
        {"type": "message", "text": "hello", "entities": [ROOT]},
        {"type": "typing"},
        cited(CITED, {**CITED, "position": 2}),
        cited(),
        {"type": "message", "text": "x" * (MESSAGE_BYTES // 2)},
    ],
)
def test_activities_accepted_by_teams_pass(activity: dict[str, Any]) -> None:
    check(activity)


@pytest.mark.parametrize(
    ("activity", "code"),
    [
        ({"type": "message"}, "BadSyntax"),
        ({"type": "message", "text": "", "attachments": []}, "BadSyntax"),
        ({"type": "message", "text": 7}, "BadSyntax"),
        ({"type": "message", "text": "a", "entities": {}}, "BadSyntax"),
        ({"type": "message", "text": "a", "attachments": [None]}, "BadSyntax"),
        ({"type": "trace", "text": "a"}, "BadArgument"),
        ({"text": "a"}, "BadArgument"),
        ({"type": "message", "text": "a", "entities": [ROOT, ROOT]}, "BadArgument"),
        ({"type": "message", "text": "a", "entities": [{**ROOT, "citation": [{}] * 21}]}, "BadArgument"),
        (cited({**CITED, "position": "1"}), "BadArgument"),
        (cited({**CITED, "position": True}), "BadArgument"),
        (cited(CITED, CITED), "BadArgument"),
        (cited({"position": 1, "appearance": {}}), "BadArgument"),
        (cited({"position": 1, "appearance": {"@type": "DigitalDocument"}}), "BadArgument"),
        (cited({"position": 1}), "BadArgument"),
        (cited(7), "BadArgument"),
        ({"type": "message", "text": "a", "entities": [{**ROOT, "citation": {}}]}, "BadArgument"),
        (
            {"type": "message", "text": "a", "entities": [{"type": "mention", "text": "<at>B</at>"}]},
            "BadArgument",
        ),
        ({"type": "message", "text": "a", "channelData": []}, "BadSyntax"),
    ],
)
def test_activities_refused_by_teams_are_400_with_teams_code(activity: dict[str, Any], code: str) -> None:
    assert refusal(activity) == (400, code)


def test_a_file_can_be_offered_in_a_personal_chat_only() -> None:
    offer = {"contentType": FILE_CONSENT, "name": "plan.txt", "content": {"sizeInBytes": 3}}
    check({"type": "message", "attachments": [offer]}, personal=True)
    with pytest.raises(Refused, match="personal chats only"):
        check({"type": "message", "attachments": [offer]}, personal=False)


@pytest.mark.parametrize("letter", ["a", "é", "漢", "🙂"])
def test_the_size_counts_as_utf_16_for_any_letters(letter: str) -> None:
    fits = MESSAGE_BYTES // len(letter.encode("utf-16-le"))
    check({"type": "message", "text": letter * fits})
    assert refusal({"type": "message", "text": letter * (fits + 1)}) == (413, "MessageSizeTooBig")


def test_cards_count_towards_the_size() -> None:
    big = {"contentType": CARD["contentType"], "content": {"text": "x" * (MESSAGE_BYTES // 2)}}
    assert refusal({"type": "message", "attachments": [big]}) == (413, "MessageSizeTooBig")


def test_a_card_nested_too_deeply_is_refused() -> None:
    content: dict[str, Any] = {}
    for _ in range(500):
        content = {"items": [content]}
    card = {"contentType": CARD["contentType"], "content": content}
    assert refusal({"type": "message", "attachments": [card]}) == (400, "BadArgument")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["message", "mention", "<at>a</at>", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "mentioned", "name", "content"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"type": st.just("message") | ANYTHING, "text": st.just("a") | ANYTHING},
        optional={"entities": ANYTHING, "attachments": ANYTHING, "textFormat": ANYTHING},
    )
)
def test_an_activity_of_any_shape_is_refused_or_rendered_without_an_error(activity: dict[str, Any]) -> None:
    with suppress(Refused):
        check(activity)
        assert isinstance(render_activity(activity).html, str)
