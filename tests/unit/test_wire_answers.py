"""HTTP answers of the gateway and the connector in every shape: a value, or an error of the bridge's own tree."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wire_shapes import damaged, json_values

from bridge.core.errors import DeliveryFailure, TurnFailure
from bridge.core.files.answer_links import fetchable, linked_files, name_of
from bridge.core.ports.agent import Answer
from bridge.gateway.sse import SseDecoder
from bridge.gateway.wire import StreamedAnswer, answer_from, failure_of
from bridge.teams.connector_answers import error_code, error_message, id_in, retry_after
from bridge.teams.connector_answers import failure_of as connector_failure
from bridge.teams.streams import stream_failure

REPLY = {"id": "chatcmpl-b742eb2f", "choices": [{"message": {"role": "assistant", "content": "hi"}}], "usage": {}}
CHUNK = {"id": "chatcmpl-b742eb2f", "choices": [{"delta": {"content": "hi"}, "finish_reason": "stop", "index": 0}]}
REFUSAL = {"error": {"code": "ContentStreamNotAllowed", "message": "Content stream was canceled by user."}}
DATE = "Sat, 28 Nov 2026 10:00:00 GMT"
STATUSES = st.integers(0, 999)


@given(damaged(REPLY).map(orjson.dumps) | st.binary() | json_values().map(orjson.dumps))
def test_a_reply_of_any_shape_is_an_answer_or_a_failure_of_the_turn(body: bytes) -> None:
    with suppress(TurnFailure):
        assert isinstance(answer_from(body), Answer)


@given(st.lists(damaged(CHUNK).map(orjson.dumps) | st.binary() | st.just(b"[DONE]"), max_size=5), st.binary())
def test_a_stream_of_any_events_is_an_answer_or_a_failure_of_the_turn(events: list[bytes], noise: bytes) -> None:
    said, decoder = StreamedAnswer(), SseDecoder()
    wire = b"".join(b"data: " + event.replace(b"\n", b"") + b"\n\n" for event in events) + noise
    with suppress(TurnFailure):
        for data in decoder.feed(wire):
            said.take(data)
            assert isinstance(said.run, str)
        assert isinstance(said.worded_as_failure, bool)
        assert isinstance(said.answer(), Answer)


@given(STATUSES, st.text(), st.binary())
def test_every_status_of_the_gateway_is_a_failure_of_the_turn(status: int, content_type: str, body: bytes) -> None:
    assert isinstance(failure_of(status, content_type, body), TurnFailure)


@given(STATUSES, damaged(REFUSAL).map(orjson.dumps) | st.binary(), st.none() | st.floats(0, 1e9))
def test_every_refusal_of_the_connector_is_a_failure_of_the_delivery(
    status: int, body: bytes, wait: float | None
) -> None:
    code, words = error_code(body), error_message(body)
    assert code == "" or (code.isascii() and code.isalnum())
    assert isinstance(connector_failure(status, code, wait), DeliveryFailure)
    assert isinstance(stream_failure(status, code, words), DeliveryFailure | None)


@given(damaged({"id": "1:abc"}))
def test_the_id_in_an_answer_of_the_connector_is_a_text(answer: Any) -> None:
    id_ = id_in(answer if isinstance(answer, dict) else {})
    assert isinstance(id_, str)
    assert id_.isprintable()


@pytest.mark.parametrize("id_", ["1\0", "a\nb", "x" * 5000, 5, ["1"], None])
def test_an_id_that_cannot_be_stored_is_none(id_: object) -> None:
    assert id_in({"id": id_}) == ""


_LARGE = st.integers(0, 10**25).map(str)
_DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "", "Xxx"]),
    _LARGE | st.just("28"),
    st.sampled_from(["Nov", "Foo", "11"]),
    _LARGE | st.just("2026"),
    _LARGE | st.just("10"),
    _LARGE | st.just("0"),
    _LARGE | st.just("0"),
    st.sampled_from(["GMT", "-0000", "", "XYZ"]) | st.builds("{}{}".format, st.sampled_from("+-"), _LARGE),
)
_VALUES = st.text(max_size=40) | _DATES | _LARGE | st.just(DATE)


@given(_VALUES, _VALUES)
def test_any_retry_after_is_a_wait_in_seconds_or_none(value: str, date: str) -> None:
    wait = retry_after({"Retry-After": value, "Date": date})
    assert wait is None or (wait >= 0 and math.isfinite(wait))


@pytest.mark.parametrize(
    "value",
    [
        "Sat, 28 Nov 99999999999999999999 10:00:00 GMT",
        "Sat, 28 Nov 2026 10:00:00 +99999999999999999999",
        "Sat, 28 Nov 2026 99999999999999999999:00:00 GMT",
    ],
)
def test_a_date_with_twenty_digits_is_no_wait(value: str) -> None:
    assert retry_after({"Retry-After": value, "Date": DATE}) is None


@given(st.text() | st.text().map(lambda tail: f"/v1/files/{tail}"))
def test_any_path_of_a_delivered_file_is_fetchable_or_not(path: str) -> None:
    parts = fetchable(path)
    assert parts is None or parts[0] in path
    assert isinstance(name_of(path), str)
    assert isinstance(linked_files(f"[x]({path})", "http://gateway"), tuple)
