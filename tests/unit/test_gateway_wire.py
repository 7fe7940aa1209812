"""Reading the gateway's statuses and bodies, and questions refused before sending."""

from __future__ import annotations

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import (
    AgentUnknown,
    AnswerEmpty,
    AnswerUnreadable,
    GatewayBusy,
    GatewayForbidden,
    GatewayTokenRejected,
    GatewayUnavailable,
    ProviderFailed,
    QuestionRejected,
    QuestionTooLong,
    TurnFailure,
)
from bridge.core.ports.agent import Answer, Question
from bridge.gateway.probe import Check, persistence_by
from bridge.gateway.watch import WatchState
from bridge.gateway.wire import StreamedAnswer, answer_from, failure_of, request_body

USER = "teams-1f0c"


def reply(content: object) -> bytes:
    return orjson.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]})


@pytest.mark.parametrize(
    ("status", "content_type", "body", "leaf"),
    [
        (400, "text/plain", b'{"error":{"message":"X-GoClaw-User-Id header is required"}}', QuestionRejected),
        (400, "application/json", b'{"error":{"code":"INVALID_REQUEST"}}', QuestionRejected),
        (401, "text/plain", b'{"error":{"message":"invalid authentication"}}', GatewayTokenRejected),
        (403, "text/plain", b'{"error":{"message":"permission denied"}}', GatewayForbidden),
        (404, "text/plain", b'{"error":{"message":"agent not found: ghost"}}', AgentUnknown),
        (404, "application/json", b'{"error":{"message":"API route not found: /x"}}', GatewayUnavailable),
        (404, "text/html", b"<h1>Not here</h1>", GatewayUnavailable),
        (405, "text/plain", b"method not allowed", GatewayUnavailable),
        (413, "text/html", b"", QuestionTooLong),
        (418, "text/plain", b"", QuestionRejected),
        (429, "text/plain", b'{"error":{"type":"rate_limit_error"}}', GatewayBusy),
        (431, "text/plain", b"", QuestionRejected),
        (500, "text/plain", b'{"error":{"message":"internal error: iter 0"}}', ProviderFailed),
        (500, "text/html", b"<h1>nginx</h1>", GatewayUnavailable),
        (502, "text/html", b"", GatewayUnavailable),
        (503, "text/html", b"", GatewayUnavailable),
        (504, "text/html", b"", GatewayUnavailable),
        (520, "text/html", b"", GatewayUnavailable),
        (302, "text/html", b"", GatewayUnavailable),
        (204, "", b"", AnswerUnreadable),
    ],
)
def test_each_status_has_its_failure(status: int, content_type: str, body: bytes, leaf: type[TurnFailure]) -> None:
    failure = failure_of(status, content_type, body)
    assert type(failure) is leaf
    assert failure.detail.startswith(f"HTTP {status}")


@given(st.integers(100, 599), st.sampled_from(["text/html", "text/plain", ""]))
def test_no_word_of_a_body_gets_into_an_error(status: int, content_type: str) -> None:
    failure = failure_of(status, content_type, b"secret-account agent not found")
    assert "secret" not in str(failure)
    assert failure.label


def test_the_text_of_a_reply_is_the_answer_unchanged() -> None:
    assert answer_from(reply("**hi**\n <b>")) == Answer("**hi**\n <b>")


def test_an_empty_content_is_chosen_silence() -> None:
    assert answer_from(reply("")) == Answer("", silent=True)


@pytest.mark.parametrize("content", ["...", "... ", " \n"])
def test_a_model_that_said_nothing_is_an_empty_answer(content: str) -> None:
    with pytest.raises(AnswerEmpty):
        answer_from(reply(content))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":[]}', reply(None), reply([]), reply("x")[:-2]])
def test_a_200_with_a_foreign_body_is_unreadable(body: bytes) -> None:
    with pytest.raises(AnswerUnreadable):
        answer_from(body)


@given(st.binary())
def test_no_bytes_break_the_reader_of_answers(body: bytes) -> None:
    with pytest.raises(TurnFailure):
        answer_from(body)


def test_the_request_names_the_agent_and_holds_only_the_new_text() -> None:
    assert orjson.loads(request_body(Question("sales", USER, 'Hi "you"'))) == {
        "model": "goclaw:sales",
        "stream": False,
        "messages": [{"role": "user", "content": 'Hi "you"'}],
    }


def test_a_text_is_measured_in_bytes_and_refused_above_32000() -> None:
    fits, too_long = "ä" * 16_000, "ä" * 16_000 + "x"
    assert orjson.loads(request_body(Question("a", USER, fits)))["messages"][0]["content"] == fits
    with pytest.raises(QuestionTooLong):
        request_body(Question("a", USER, too_long))


@given(st.text(st.characters(), max_size=50))
def test_every_text_can_be_sent_even_with_half_a_surrogate_pair(text: str) -> None:
    sent = orjson.loads(request_body(Question("a", USER, text)))["messages"][0]["content"]
    assert sent == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("user", ["", "a b", "a\r\nX: y", "ü", "x" * 256, "system", "group:1", "guild:1"])
def test_a_user_id_that_the_gateway_changes_or_gives_rights_is_refused(user: str) -> None:
    with pytest.raises(QuestionRejected):
        request_body(Question("a", user, "hi"))


@pytest.mark.parametrize("user", ["1f0c0f3e-0000-4000-8000-000000000001", "teams-g_1-2", "systems", "x" * 255])
def test_ids_of_people_and_conversations_are_accepted(user: str) -> None:
    assert request_body(Question("a", user, "hi"))


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ({"agent:a:http:direct:u-1"}, "ok"),
        ({"agent:a:http-u-1-0123abcd"}, "failed"),
        ({"agent:a:http-u-1-x-0123abcd", "agent:a:ws:direct:u-1"}, "not_checked"),
        (set(), "not_checked"),
    ],
)
def test_the_session_key_tells_whether_a_gateway_remembers(keys: set[str], verdict: str) -> None:
    check = persistence_by(frozenset(keys), "a", "u-1")
    assert check.verdict == verdict
    assert bool(check.fix) == (verdict == "failed")


def test_a_state_is_ok_only_when_every_check_was_made_and_passed() -> None:
    good, unknown = Check("a", "ok", ""), Check("b", "not_checked", "why")
    assert not WatchState().ok
    assert WatchState((good,), 1.0).ok
    assert not WatchState((good, unknown), 1.0).ok
    assert WatchState((good, unknown, Check("c", "failed", "")), 1.0).failing == ("c",)


def chunk(content: object, finish: str | None = None, id_: object = "chatcmpl-b742eb2f") -> bytes:
    delta = {"role": "", "content": content}
    return orjson.dumps({"choices": [{"delta": delta, "finish_reason": finish, "index": 0}], "id": id_})


def streamed(*events: bytes) -> StreamedAnswer:
    said = StreamedAnswer()
    for data in (chunk(""), *events, b"[DONE]"):
        said.take(data)
    assert said.done
    return said


def test_a_stream_of_present_gateways_holds_the_answer_in_its_last_chunk() -> None:
    said = streamed(chunk(" <think>a</think>NO_REPLY? ", "stop"))
    assert said.answer() == Answer(" <think>a</think>NO_REPLY? ")
    assert (said.raw, said.run) == (False, "b742eb2f")


def test_an_empty_last_chunk_is_chosen_silence() -> None:
    assert streamed(chunk("", "stop")).answer() == Answer("", silent=True)


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        (("one ", "two ", "three"), "one two three"),
        (("<thi", "nk>sec", "ret</think>Visi", "ble"), "Visible"),
        (("<think>no end",), None),
        (("Here\nMED", "IA:/workspace/foo.png\nend"), "Here\nend"),
        (("NO_", "REPLY"), ""),
        (("NO_REPLY, I think",), ""),
        (("Fine. ", "NO_REPLY"), "Fine. NO_REPLY"),
        (("...",), None),
        ((" \n",), None),
    ],
)
def test_the_raw_pieces_of_older_gateways_are_cleaned_as_a_plain_reply_is(
    pieces: tuple[str, ...], answer: str | None
) -> None:
    said = streamed(*map(chunk, pieces), chunk("", "stop"))
    assert said.raw
    if answer is None:
        with pytest.raises(AnswerEmpty):
            said.answer()
    else:
        assert said.answer() == Answer(answer, silent=answer == "")


@pytest.mark.parametrize(
    ("text", "suspect", "worded"),
    [
        ("Error: iter 0 think: llm call: HTTP 500: openai: {}", True, True),
        ("Error: iter 12 tool: out of turns", True, True),
        ("Error: run: iter 3 think again: llm call: timeout", True, True),
        ("Error: 42 is not a number", True, False),
        ("Error: 42\niter 0 think: llm call", True, False),
        ("An Error: iter 0 think: llm call", False, False),
    ],
)
def test_a_failed_run_is_recognised_by_its_wording(text: str, suspect: bool, worded: bool) -> None:
    for said in (streamed(chunk(text, "stop")), streamed(chunk("some text"), chunk(text, "stop"))):
        assert (said.suspect, said.worded_as_failure) == (suspect, worded)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"{}", b'{"choices":null}', b'{"choices":[null]}', b'{"choices":[{"delta":[]}]}'],
)
def test_a_foreign_event_in_a_stream_is_unreadable(data: bytes) -> None:
    with pytest.raises(AnswerUnreadable):
        StreamedAnswer().take(data)


def test_a_chunk_without_choices_says_nothing_and_a_stream_without_end_of_answer_is_unreadable() -> None:
    with pytest.raises(AnswerUnreadable):
        streamed(b'{"choices":[],"usage":{"total_tokens":7}}').answer()


@pytest.mark.parametrize("id_", [None, 7, "", "chatcmpl-", "chatcmpl-XYZ", "b742eb2f"])
def test_an_id_of_another_form_names_no_run(id_: object) -> None:
    said = StreamedAnswer()
    said.take(chunk("", None, id_))
    assert said.run == ""


@given(st.binary())
def test_no_bytes_break_the_reader_of_streams(data: bytes) -> None:
    said = StreamedAnswer()
    with suppress(AnswerUnreadable):
        said.take(data)
    with pytest.raises((AnswerUnreadable, AnswerEmpty)):
        said.answer()
