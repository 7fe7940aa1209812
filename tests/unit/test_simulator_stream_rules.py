"""The rules of streamed messages, with the time given by the test."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.teams.rules import MESSAGE_BYTES, Refused, check_form
from bridge.simulator.teams.stream_rules import Part, Streams, is_streamed, part_of

LABEL = {"type": "https://schema.org/Message", "additionalType": ["AIGeneratedContent"]}
CLAIM = {"@type": "Claim", "position": 1, "appearance": {"@type": "DigitalDocument", "name": "a"}}
CITED = {"type": "https://schema.org/Message", "citation": [CLAIM]}
CARD = {"contentType": "application/vnd.microsoft.card.adaptive", "content": {"type": "AdaptiveCard"}}


def typing(text: object = "a", **info: object) -> dict[str, Any]:
    return {"type": "typing", "text": text, "entities": [{"type": "streaminfo", "streamSequence": 1, **info}]}


def final(text: object = "a", **info: object) -> dict[str, Any]:
    named = {"type": "streaminfo", "streamType": "final", "streamId": "17", **info}
    return {"type": "message", "text": text, "entities": [named]}


def content(text: str, number: int = 1) -> Part:
    return Part("streaming", "17" if number > 1 else None, number, text)


def informative(text: str, number: int = 1) -> Part:
    return Part("informative", "17" if number > 1 else None, number, text)


def end(text: str) -> Part:
    return Part("final", "17", None, text)


def start(streams: Streams, new_id: str, part: Part, now: float, chat: str = "chat") -> None:
    assert streams.judge(chat, part, now) == "started"
    streams.start(chat, new_id, part, now)


def started(first: Part | None = None, *, limited: bool = True) -> Streams:
    streams = Streams(limited=limited)
    start(streams, "17", first or content("One"), 100.0)
    return streams


def go_on(streams: Streams, part: Part, now: float) -> str:
    verdict = streams.judge("chat", part, now)
    streams.take("chat", part, verdict, now)
    return verdict


def refusal_of(activity: dict[str, Any]) -> tuple[int, str, str]:
    with pytest.raises(Refused) as caught:
        part_of(activity)
    return caught.value.status, caught.value.code, caught.value.message


def refused(streams: Streams, part: Part, now: float, *, chat: str = "chat") -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        streams.judge(chat, part, now)
    assert caught.value.status == 429 or caught.value.code == "ContentStreamNotAllowed"
    return caught.value.status, caught.value.message


@pytest.mark.parametrize(
    ("activity", "part"),
    [
        (typing("a"), Part("streaming", None, 1, "a")),
        (typing("a", streamType="informative"), Part("informative", None, 1, "a")),
        (typing("ab", streamId="17", streamSequence=4), Part("streaming", "17", 4, "ab")),
        (typing("a", type="streamInfo"), Part("streaming", None, 1, "a")),
        (final("ab"), Part("final", "17", None, "ab")),
        ({**final("ab"), "attachments": [CARD]}, Part("final", "17", None, "ab")),
        ({**typing("a [1]"), "entities": [*typing()["entities"], CITED]}, Part("streaming", None, 1, "a [1]")),
    ],
)
def test_the_parts_of_a_stream_are_read(activity: dict[str, Any], part: Part) -> None:
    assert is_streamed(activity)
    assert part_of(activity) == part


@pytest.mark.parametrize(
    "activity",
    [
        typing(""),
        typing(None),
        typing("", streamId="17", streamSequence=2),
        final(""),
        {**final(""), "attachments": [CARD]},
        typing("a", streamSequence=None),
        typing("a", streamSequence="1"),
        typing("a", streamSequence=True),
        typing("a", streamSequence=0, streamId="17"),
        typing("a", streamSequence=2),
        typing("a", streamType="final"),
        typing("a", streamType="Streaming"),
        typing("a", streamId=17),
        typing("a", streamId=""),
        final("a", streamSequence=3),
        final("a", streamId=None),
        final("a", streamType=None),
        final("a", streamType="streaming"),
        {**typing("a"), "attachments": [CARD]},
        {**typing("a"), "entities": [*typing()["entities"], LABEL]},
        {
            **typing("a"),
            "entities": [*typing()["entities"], {"type": "https://schema.org/Message", "usageInfo": {"a": 1}}],
        },
        {**typing("a"), "entities": typing()["entities"] * 2},
        {**typing("a"), "channelData": {"feedbackLoop": {"type": "default"}}},
        {**typing("a"), "channelData": {"feedbackLoopEnabled": True}},
    ],
)
def test_a_malformed_part_of_a_stream_is_a_bad_request(activity: dict[str, Any]) -> None:
    assert refusal_of(activity)[:2] == (400, "BadRequest")


def test_a_start_without_text_is_refused_in_the_words_of_teams() -> None:
    assert refusal_of(typing(""))[2] == "Start streaming activities should include text"


@pytest.mark.parametrize(
    "activity",
    [
        typing("x" * (MESSAGE_BYTES // 2 + 1)),
        final("x" * (MESSAGE_BYTES // 2 + 1)),
        typing("x" * 1001, streamType="informative"),
    ],
)
def test_a_part_that_is_too_large_is_403(activity: dict[str, Any]) -> None:
    assert refusal_of(activity) == (403, "ContentStreamNotAllowed", "Message size too large")


def test_a_stream_goes_from_informative_texts_over_content_to_its_final() -> None:
    streams = started(informative("Reading"))
    assert streams.open_in("chat") == "17"
    assert go_on(streams, informative("Thinking", 2), 101.0) == "shown"
    assert go_on(streams, content("One", 3), 102.0) == "shown"
    assert go_on(streams, content("One two", 7), 103.0) == "shown"
    assert go_on(streams, end("One two three"), 104.0) == "final"
    assert streams.open_in("chat") is None


def test_an_informative_text_after_the_first_content_is_not_shown() -> None:
    assert go_on(started(), informative("Reading", 2), 101.0) == "hidden"


def test_the_content_need_not_begin_with_the_informative_text() -> None:
    assert go_on(started(informative("Reading")), end("One"), 101.0) == "final"


@pytest.mark.parametrize("number", [2, 3])
def test_a_part_out_of_order_is_dropped_without_an_error(number: int) -> None:
    streams = started()
    go_on(streams, content("One two", 3), 101.0)
    assert go_on(streams, content("One", number), 102.0) == "dropped"
    assert go_on(streams, content("One two three", 4), 103.0) == "shown"


@pytest.mark.parametrize("part", [content("Two", 2), content("On", 2), end("Two"), end("")])
def test_a_part_that_does_not_begin_with_the_streamed_text_is_refused_and_the_stream_stays_open(part: Part) -> None:
    streams = started()
    status, message = refused(streams, part, 101.0)
    assert (status, "should contain the previously streamed content" in message) == (403, True)
    assert go_on(streams, end("One two"), 102.0) == "final"


def test_a_stream_takes_one_request_a_second() -> None:
    streams = started()
    assert refused(streams, content("One two", 2), 100.9) == (429, "API calls quota exceeded!")
    assert go_on(streams, content("One two", 2), 100.96) == "shown"
    assert refused(streams, end("One two"), 101.5)[0] == 429
    assert go_on(streams, end("One two"), 101.96) == "final"


def test_without_limits_a_stream_takes_any_pace() -> None:
    assert go_on(started(limited=False), content("One two", 2), 100.0) == "shown"


@pytest.mark.parametrize("part", [content("One two", 2), end("One two")])
def test_after_two_minutes_every_part_is_refused_and_the_stream_has_ended(part: Part) -> None:
    streams = started()
    assert go_on(streams, content("One", 2), 220.0) == "shown"
    for now in (220.5, 221.5):
        status, message = refused(streams, part, now)
        assert (status, "exceeded streaming time" in message) == (403, True)
    assert streams.open_in("chat") is None


def test_after_the_final_part_every_part_is_refused() -> None:
    streams = started()
    go_on(streams, end("One"), 101.0)
    for part in (content("One two", 2), end("One")):
        assert "already completed streamed message" in refused(streams, part, 102.0)[1]


def test_after_stop_every_part_is_refused_as_canceled() -> None:
    streams = started()
    streams.end("chat", "stopped")
    assert streams.was_stopped("17")
    assert "canceled by user" in refused(streams, end("One"), 101.0)[1]


def test_a_chat_has_one_open_stream() -> None:
    streams = started()
    with pytest.raises(Refused, match="Content stream is not allowed"):
        streams.judge("chat", content("Two"), 101.0)
    start(streams, "19", content("Two"), 101.0, "other chat")
    go_on(streams, end("One"), 102.0)
    start(streams, "18", content("Two"), 102.0)
    assert streams.open_in("chat") == "18"


def test_a_stream_left_open_blocks_no_new_stream_after_two_minutes() -> None:
    streams = started()
    start(streams, "18", content("Two"), 220.1)
    assert "exceeded streaming time" in refused(streams, content("One two", 2), 222.0)[1]


@pytest.mark.parametrize(("chat", "stream"), [("chat", "4711"), ("other chat", "17")])
def test_a_stream_that_the_chat_does_not_know_is_not_allowed(chat: str, stream: str) -> None:
    part = Part("streaming", stream, 2, "One")
    assert refused(started(), part, 101.0, chat=chat) == (403, "Content stream is not allowed")


def test_a_part_that_is_judged_but_not_taken_changes_nothing() -> None:
    streams = started()
    assert streams.judge("chat", content("One two", 2), 101.0) == "shown"
    assert go_on(streams, content("One three", 2), 101.0) == "shown"


ANYTHING = st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "a", "17", "final", "informative"])
INFO = st.dictionaries(st.sampled_from(["streamId", "streamType", "streamSequence"]), ANYTHING, max_size=3)


@given(
    kind=st.sampled_from(["message", "typing"]),
    text=st.none() | st.text(max_size=5),
    infos=st.lists(INFO, min_size=1, max_size=2),
    more=st.lists(st.dictionaries(st.sampled_from(["type", "additionalType"]), ANYTHING), max_size=2),
)
def test_a_part_of_any_shape_is_read_or_refused(kind: str, text: str | None, infos: list[Any], more: list[Any]) -> None:
    activity = {"type": kind, "text": text, "entities": [*({**info, "type": "streaminfo"} for info in infos), *more]}
    check_form(activity)
    with suppress(Refused):
        assert part_of(activity).text
