"""Frames of the gateway's socket in every shape: a value of the right type, or the error of a malformed frame."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wire_shapes import damaged, json_values

from bridge.core.ports.agent import AgentEvent
from bridge.gateway.frames import RpcError, answer_in, has_messages, identity_in, payload_in, session_keys_in
from bridge.gateway.run_events import FollowedRun, run_event

USER = "1f0c"
CONNECT = {"type": "res", "id": "1", "ok": True, "payload": {"user_id": USER, "role": "admin"}}
LIST = {
    "type": "res",
    "id": "1",
    "ok": True,
    "payload": {"sessions": [{"key": "agent:a:http:direct:1f0c", "userID": USER}]},
}
PREVIEW = {"type": "res", "id": "1", "ok": True, "payload": {"messages": [{"role": "user", "content": "hi"}]}}
REFUSAL = {"type": "res", "id": "1", "ok": False, "error": {"code": "NOT_FOUND", "message": "session not found"}}
EVENT = {
    "type": "event",
    "event": "agent",
    "payload": {"type": "chunk", "agentId": "a", "runId": "r", "userId": USER, "channel": "http", "payload": {}},
}
FRAMES = (CONNECT, LIST, PREVIEW, REFUSAL, EVENT)
PAYLOADS = {
    "run.started": {"message": "hi"},
    "thinking": {"content": "hm"},
    "chunk": {"content": "text"},
    "block.reply": {"content": "text", "source": "tool_announcement"},
    "tool.call": {
        "arguments": {"query": "penguins", "path": "/a/b", "url": "https://example.com"},
        "id": "1",
        "name": "x",
    },
    "tool.result": {"arguments": {}, "id": "1", "is_error": False, "name": "x", "result": "y"},
    "run.completed": {"content": "text", "media": [{"path": "/v1/files/a.txt?ft=x", "content_type": "text/plain"}]},
    "run.failed": {"error": "words"},
    "run.cancelled": None,
}


def payload_of(frame: object) -> dict[str, Any] | None:
    """The payload of the frame as the answer to the call "1", None if the frame answers no call."""
    answer = answer_in(orjson.dumps(frame).decode(), "1")
    return None if answer is None else payload_in(answer)


@given(st.sampled_from(FRAMES).flatmap(damaged) | json_values())
def test_an_answer_of_any_shape_gives_typed_values_or_the_error_of_a_call(frame: object) -> None:
    with suppress(RpcError):
        payload = payload_of(frame)
        if payload is not None:
            assert isinstance(payload, dict)
            assert {type(identity_in(payload).user), type(identity_in(payload).role)} == {str}
            assert {type(key) for key in session_keys_in(payload, USER)} <= {str}
            assert has_messages(payload) in (True, False)


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "replace")))
def test_a_frame_of_any_text_is_no_answer_or_an_error_of_the_call(text: str) -> None:
    with suppress(RpcError):
        assert answer_in(text, "1") is None


@given(st.sampled_from(sorted(PAYLOADS)).flatmap(lambda kind: damaged(_event(kind))))
def test_an_event_of_any_shape_gives_progress_or_nothing(frame: object) -> None:
    event = run_event(orjson.dumps(frame).decode())
    run = FollowedRun()
    run.identify("")
    if event is not None and run.owns(event):
        assert all(isinstance(progress, AgentEvent) for progress in run.progress_in(event))
        assert {type(text) for file in run.files for text in (file.path, file.name, file.type)} <= {str}


def _event(kind: str) -> dict[str, Any]:
    agent_event = {**EVENT["payload"], "type": kind, "payload": PAYLOADS[kind]}  # type: ignore[dict-item]
    return {**EVENT, "payload": agent_event}


@pytest.mark.parametrize("code", [["x"], {"x": 1}, 5, None, True, "MADE_UP", ""])
def test_a_code_that_the_gateway_does_not_document_is_another_error(code: object) -> None:
    with pytest.raises(RpcError, match="other"):
        payload_of({**REFUSAL, "error": {"code": code}})


@pytest.mark.parametrize("rows", ["none", 5, {"key": "x"}, ["x"], [{"key": 5, "userID": USER}]])
def test_a_malformed_list_of_sessions_is_no_proof_of_a_deletion(rows: object) -> None:
    with pytest.raises(RpcError, match="frame"):
        session_keys_in({"sessions": rows}, USER)


@pytest.mark.parametrize("messages", ["none", 5, {}, True])
def test_a_malformed_preview_is_no_proof_of_a_deletion(messages: object) -> None:
    with pytest.raises(RpcError, match="frame"):
        has_messages({"messages": messages})


@pytest.mark.parametrize("payload", [{}, {"sessions": None, "messages": None, "user_id": None, "role": None}])
def test_null_and_a_missing_field_mean_none(payload: dict[str, Any]) -> None:
    assert session_keys_in(payload, USER) == frozenset()
    assert not has_messages(payload)
    assert identity_in(payload).role == ""
