"""Limits and hidden parts of the gateway: final answers, streamed previews and people's sentences agree about both."""

from __future__ import annotations

import re
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.gateway_facts import HIDDEN_TAGS, MERGED_BYTES, QUESTION_BYTES
from bridge.core.markdown.partial import visible_prefix
from bridge.core.markdown.render import render_whole
from bridge.core.texts import say
from bridge.gateway.wire import StreamedAnswer

SECRET = "secret plans"
WORDS = "Visible words, enough of them to be shown, and a second sentence behind.\n\n"


def any_case(tag: str) -> st.SearchStrategy[str]:
    """The tag with each letter in upper or lower case."""
    return st.tuples(*(st.sampled_from([letter.lower(), letter.upper()]) for letter in tag)).map("".join)


TAGS = st.sampled_from(HIDDEN_TAGS).flatmap(any_case)
ATTRIBUTES = st.sampled_from(["", ' kind="plan"', "\n id=1 "])
BLANKS = st.sampled_from(["", " ", "\n", "\n\n"])


@st.composite
def thoughts(draw: st.DrawFn) -> str:
    """A hidden thought as models write thoughts; the case of the closing tag is free too."""
    tag = draw(TAGS)
    closing = draw(any_case(tag))
    return f"<{tag}{draw(ATTRIBUTES)}>{draw(BLANKS)}{SECRET}{draw(BLANKS)}</{closing}{draw(BLANKS)}>{draw(BLANKS)}"


def final_answer(raw: str) -> str:
    """The bridge's answer for a stream of raw pieces."""
    answer = StreamedAnswer()
    for content, finish in ((raw, None), ("", "stop")):
        choice = {"delta": {"content": content}, "finish_reason": finish, "index": 0}
        answer.take(orjson.dumps({"choices": [choice], "id": "chatcmpl-b742eb2f"}))
    return answer.answer().text


@pytest.mark.parametrize("tag", [*HIDDEN_TAGS, *map(str.upper, HIDDEN_TAGS), *map(str.lower, HIDDEN_TAGS)])
def test_each_hidden_tag_is_hidden_in_the_final_answer_and_in_the_preview(tag: str) -> None:
    raw = f"<{tag}>{SECRET}</{tag}>{WORDS}"

    assert final_answer(raw) == WORDS.strip()
    assert visible_prefix(raw) == visible_prefix(WORDS) != ""


@given(st.lists(st.one_of(thoughts(), st.just(WORDS)), min_size=1, max_size=5))
def test_previews_begin_the_final_answer_and_hold_no_thought(pieces: list[str]) -> None:
    raw = "".join([*pieces, WORDS])
    whole = render_whole(final_answer(raw))

    assert SECRET not in whole
    before = ""
    for length in range(len(raw) + 1):
        preview = visible_prefix(raw[:length])
        assert whole.startswith(preview)
        assert preview.startswith(before)
        before = preview


@given(TAGS, ATTRIBUTES)
def test_a_thought_without_its_end_is_in_no_preview_and_no_answer(tag: str, attributes: str) -> None:
    raw = f"{WORDS}<{tag}{attributes}>{SECRET}"

    assert SECRET not in final_answer(raw)
    assert SECRET not in visible_prefix(raw)


@pytest.mark.parametrize("tag", ["thinker", "b", "though", "answer"])
def test_a_tag_of_another_name_stays_in_the_final_answer(tag: str) -> None:
    assert final_answer(f"<{tag}>words</{tag}>") == f"<{tag}>words</{tag}>"


@pytest.mark.parametrize("piece", ["<think ", "<think>", "</think ", "<think></think", "<think>" + " " * 50])
def test_hostile_tags_are_searched_in_linear_time(piece: str) -> None:
    raw = "x" + piece * (400_000 // len(piece))
    began = time.perf_counter()
    final_answer(raw)
    visible_prefix(raw)
    assert time.perf_counter() - began < 2.0


def test_merged_questions_stay_below_the_gateways_limit() -> None:
    assert MERGED_BYTES < QUESTION_BYTES


@pytest.mark.parametrize("key", ["question_too_long", "file_no_room"])
def test_the_sentences_for_people_name_the_gateways_limit(key: str) -> None:
    assert f"{QUESTION_BYTES:,}" in re.sub(r"\s", " ", say(key))
