"""The WebSocket: connect, sessions and rights, events, errors.

docs/reference/goclaw.md, "WebSocket" and "Agent events".
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from support.gateway_contract import Gateway, StandIn
from support.gateway_world import count
from support.servers import stop_server

from bridge.core.files.answer_links import AgentFile
from bridge.gateway.run_events import delivered


def error(code: str, message: str, request_id: str = "1") -> dict[str, Any]:
    return {"type": "res", "id": request_id, "ok": False, "error": {"code": code, "message": message}}


async def test_connect_tells_the_role_and_the_user(gateway: Gateway, open_socket: Callable[..., Any]) -> None:
    answer = await (await open_socket(gateway)).call("connect", token=gateway.token, user_id="teams-x")
    assert list(answer) == ["type", "id", "ok", "payload"]
    payload = answer["payload"]
    assert (payload["role"], payload["user_id"], payload["protocol"]) == ("admin", "teams-x", 3)
    assert list(payload) == sorted(payload)


@pytest.mark.parametrize(("scope", "role"), [("operator.read", "viewer"), ("operator.write", "operator")])
async def test_a_keys_scope_is_its_role(
    gateway: Gateway, open_socket: Callable[..., Any], api_key: Callable[..., Any], scope: str, role: str
) -> None:
    socket = await open_socket(gateway)
    answer = await socket.call("connect", token=await api_key(gateway, scope), user_id="teams-x")
    assert answer["payload"]["role"] == role


async def test_an_owner_bound_key_shows_its_owner(
    gateway: Gateway, open_socket: Callable[..., Any], api_key: Callable[..., Any]
) -> None:
    socket = await open_socket(gateway)
    key = await api_key(gateway, "operator.write", owner_id="owner-1")
    answer = await socket.call("connect", token=key, user_id="teams-x")
    assert answer["payload"]["user_id"] == "owner-1"


async def test_a_socket_may_connect_again_as_another_user_and_a_failed_connect_has_no_rights(
    gateway: Gateway, open_socket: Callable[..., Any]
) -> None:
    socket = await open_socket(gateway, "first")
    assert (await socket.call("connect", token=gateway.token, user_id="second"))["payload"]["user_id"] == "second"
    words = "permission denied: valid token or active pairing required"
    assert await socket.call("connect", token="wrong") == error("UNAUTHORIZED", words, "3")
    assert await socket.call("health") == error("UNAUTHORIZED", "first request must be 'connect'", "4")


async def test_without_token_three_sockets_may_wait_for_pairing_and_have_no_rights(
    stand_in: StandIn, open_socket: Callable[..., Any]
) -> None:
    gateway, _ = await stand_in.start()
    sockets = [await open_socket(gateway) for _ in range(4)]
    answers = [await socket.call("connect", user_id="x") for socket in sockets]
    assert [answer["ok"] for answer in answers] == [True, True, True, False]
    assert answers[0]["payload"]["status"] == "pending_pairing"
    assert "role" not in answers[0]["payload"]
    assert not (await sockets[0].call("sessions.list"))["ok"]


@pytest.mark.parametrize(
    ("frame", "prefix"),
    [('{"type":"req","id":7,"method":"health"}', "malformed request: "), ("nope", "invalid frame: ")],
)
async def test_a_malformed_frame_is_refused_and_the_socket_stays_open(
    gateway: Gateway, open_socket: Callable[..., Any], frame: str, prefix: str
) -> None:
    socket = await open_socket(gateway, "somebody")
    answer = await socket.send(frame)
    assert answer == error("INVALID_REQUEST", answer["error"]["message"], "")
    assert answer["error"]["message"].startswith(prefix)
    assert (await socket.call("health"))["payload"]["status"] == "ok"


async def test_an_unknown_method_is_named(gateway: Gateway, open_socket: Callable[..., Any]) -> None:
    socket = await open_socket(gateway, "somebody")
    assert await socket.call("nope.nope") == error("INVALID_REQUEST", "unknown method: nope.nope", "2")


async def test_a_request_without_upgrade_is_400(gateway: Gateway) -> None:
    answer = await gateway.call("GET", "/ws")
    assert (answer.status, answer.body) == (400, b"Bad Request\n")


async def test_deleting_the_session_is_a_fresh_start(scripted: Gateway, open_socket: Callable[..., Any]) -> None:
    await scripted.chat("I'm Alice")
    socket = await open_socket(scripted, scripted.user)
    assert (await socket.call("sessions.delete", key=scripted.key()))["payload"] == {"ok": True}
    assert b"I do not know your name" in (await scripted.chat("What's my name?")).body


async def test_a_users_rights_end_at_their_own_sessions(
    scripted: Gateway, open_socket: Callable[..., Any], api_key: Callable[..., Any]
) -> None:
    await scripted.chat("hello")
    token = await api_key(scripted, "operator.write")
    other = await open_socket(scripted, "somebody-else", token)
    assert await other.call("sessions.delete", key=scripted.key()) == error(
        "UNAUTHORIZED", "permission denied: session", "2"
    )
    missing = scripted.key("nobody")
    assert await other.call("sessions.preview", key=missing) == error("NOT_FOUND", f"session not found: {missing}", "3")
    assert (await other.call("sessions.list"))["payload"]["sessions"] == []
    mine = await open_socket(scripted, scripted.user, token)
    (row,) = (await mine.call("sessions.list", agentId=scripted.agent))["payload"]["sessions"]
    assert (row["key"], row["messageCount"], row["userID"]) == (scripted.key(), 2, scripted.user)
    assert (await mine.call("sessions.delete", key=scripted.key()))["ok"]


async def test_an_admin_may_delete_what_is_not_there_and_preview_it_as_null(
    gateway: Gateway, open_socket: Callable[..., Any]
) -> None:
    socket = await open_socket(gateway, "admin-of-contract")
    assert (await socket.call("sessions.delete", key=gateway.key("nobody")))["payload"] == {"ok": True}
    assert (await socket.call("sessions.preview", key=gateway.key("nobody")))["payload"]["messages"] is None


async def test_a_viewer_may_not_delete(
    gateway: Gateway, open_socket: Callable[..., Any], api_key: Callable[..., Any]
) -> None:
    socket = await open_socket(gateway, gateway.user, await api_key(gateway, "operator.read"))
    words = "permission denied: sessions.delete requires operator role"
    assert await socket.call("sessions.delete", key=gateway.key()) == error("UNAUTHORIZED", words, "2")


async def test_a_delete_during_a_turn_leaves_that_turn_without_an_owner(
    scripted: Gateway, open_socket: Callable[..., Any], api_key: Callable[..., Any]
) -> None:
    socket = await open_socket(scripted, scripted.user, await api_key(scripted, "operator.write"))
    asking = asyncio.create_task(scripted.chat("take 1 second"))
    await socket.agent_event("run.started")
    assert (await socket.call("sessions.delete", key=scripted.key()))["ok"]
    assert (await asking).status == 200
    refused = await socket.call("sessions.preview", key=scripted.key())
    assert refused["error"] == {"code": "UNAUTHORIZED", "message": "permission denied: session"}
    await scripted.chat("hello")
    assert len((await socket.call("sessions.preview", key=scripted.key()))["payload"]["messages"]) == 4


@pytest.mark.parametrize("turn_follows", [False, True])
async def test_a_reset_is_undone_by_a_restart_unless_a_turn_followed(
    stand_in: StandIn, open_socket: Callable[..., Any], turn_follows: bool
) -> None:
    first, runner = await stand_in.start()
    await first.chat("I'm Alice")
    await (await open_socket(first, first.user)).call("sessions.reset", key=first.key())
    if turn_follows:
        assert b"I do not know your name" in (await first.chat("What's my name?")).body
    await stop_server(runner)
    second, _ = await stand_in.start()
    second.user = first.user
    answer = await second.chat("What's my name?")
    assert (b"Your name is Alice." in answer.body) is not turn_follows


async def test_an_http_run_shows_as_idle_in_the_session_status(
    gateway: Gateway, open_socket: Callable[..., Any]
) -> None:
    socket = await open_socket(gateway, "admin-of-contract")
    status = await socket.call("chat.session.status", sessionKey=gateway.key())
    assert status["payload"] == {"activity": None, "isRunning": False, "runId": ""}


async def test_a_tool_turn_shows_its_events_in_order(scripted: Gateway, open_socket: Callable[..., Any]) -> None:
    socket = await open_socket(scripted, scripted.user)
    answer = await scripted.chat("what time is it?")
    last = await socket.agent_event("run.completed")
    events = [frame["payload"] for frame in socket.events if frame["event"] == "agent"]
    kinds = ["run.started", "chunk", "block.reply", "tool.call", "tool.result", "chunk", "run.completed"]
    assert [event["type"] for event in events] == kinds
    keys = ["type", "agentId", "runId", "payload", "userId", "channel", "chatId", "sessionKey"]
    assert all(list(event) == keys for event in events)
    assert json.loads(answer.body)["id"] == f"chatcmpl-{last['runId'][:8]}"


async def test_a_streamed_turn_shows_its_text_piece_by_piece(
    scripted: Gateway, open_socket: Callable[..., Any]
) -> None:
    socket = await open_socket(scripted, scripted.user)
    await scripted.chat("count to 2", stream=True)
    await socket.agent_event("run.completed")
    chunks = [f["payload"] for f in socket.events if f["event"] == "agent" and f["payload"]["type"] == "chunk"]
    assert "".join(chunk["payload"]["content"] for chunk in chunks) == count(2)
    assert len(chunks) > 1


async def test_a_failed_run_tells_the_raw_error(scripted: Gateway, open_socket: Callable[..., Any]) -> None:
    socket = await open_socket(scripted, scripted.user)
    await scripted.chat("let the provider fail with 400")
    failed = await socket.agent_event("run.failed")
    assert failed["payload"]["error"].startswith("iter 0 think: llm call: HTTP 400: openai: {")


async def test_other_users_see_no_event_of_a_users_run(
    scripted: Gateway, open_socket: Callable[..., Any], api_key: Callable[..., Any]
) -> None:
    token = await api_key(scripted, "operator.write")
    other = await open_socket(scripted, "somebody-else", token)
    await scripted.chat("hello")
    await other.call("health")
    assert [frame for frame in other.events if frame["event"] == "agent"] == []


async def test_an_admin_without_a_user_sees_everybodys_events(
    scripted: Gateway, open_socket: Callable[..., Any]
) -> None:
    observer = await open_socket(scripted)
    payload = (await observer.call("connect", token=scripted.token))["payload"]
    assert (payload["role"], payload["user_id"]) == ("admin", "")
    await scripted.chat("hello")
    started = await observer.agent_event("run.started")
    assert (started["userId"], started["channel"], started["chatId"]) == (scripted.user, "http", "api")
    assert started["payload"] == {"message": "hello"}


def agent_events(socket: Any) -> list[tuple[str, Any]]:
    """Type and payload of the agent events on a socket; consecutive pieces of text are joined."""
    events: list[tuple[str, Any]] = []
    for frame in socket.events:
        if frame["event"] != "agent":
            continue
        kind, payload = frame["payload"]["type"], frame["payload"].get("payload")
        if kind == "chunk" and events and events[-1][0] == "chunk":
            events[-1] = (kind, events[-1][1] + payload["content"])
        else:
            events.append((kind, payload["content"] if kind == "chunk" else payload))
    return events


@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_tools_and_their_failures_show_in_order(
    scripted: Gateway, open_socket: Callable[..., Any], stream: bool
) -> None:
    socket = await open_socket(scripted, scripted.user)
    await scripted.chat("research penguins", stream=stream)
    answer = (await socket.agent_event("run.completed"))["payload"]
    thought, search, fetch = "I should look up penguins first.", "Let me search.", "I open the first result."
    events = agent_events(socket)
    for _, payload in events[4:9]:
        if isinstance(payload, dict):
            payload.pop("id", None)
    page = {"url": "https://example.com/penguins?session=1234"}
    assert events[1:-1] == [
        ("thinking", {"content": thought}),
        ("chunk", search),
        ("block.reply", {"content": search, "source": "tool_announcement"}),
        ("tool.call", {"arguments": {"query": "penguins"}, "name": "web_search"}),
        (
            "tool.result",
            {"arguments": {"query": "penguins"}, "is_error": False, "name": "web_search", "result": "1 result"},
        ),
        ("chunk", fetch),
        ("block.reply", {"content": fetch, "source": "tool_announcement"}),
        ("tool.call", {"arguments": page, "name": "web_fetch"}),
        events[9],
        ("chunk", answer["content"]),
    ]
    kind, failed = events[9]
    assert (kind, failed["is_error"], failed["content"]) == ("tool.result", True, "HTTP 404")
    assert answer["thinking"] == thought
    assert list(answer) == sorted(answer)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_file_that_the_agent_hands_over_is_told_by_the_runs_last_event_and_not_by_the_reply(
    scripted: Gateway, open_socket: Callable[..., Any], stream: bool
) -> None:
    socket = await open_socket(scripted, scripted.user)
    answer = await scripted.chat("send me a file", stream=stream)
    completed = (await socket.agent_event("run.completed"))["payload"]
    (entry,) = completed["media"]
    assert sorted(entry) == ["content_type", "path", "size"]
    assert re.fullmatch(r"/v1/files/[^?]+\?ft=[\w-]{43}\.\d+", entry["path"])
    file = await scripted.call("GET", entry["path"], headers={})
    assert (file.status, entry["content_type"], entry["size"]) == (200, "text/plain", len(file.body))
    assert answer.status == 200
    assert b'"media"' not in answer.body
    name = entry["path"].partition("?")[0].rpartition("/")[2]
    assert delivered(completed["media"]) == (AgentFile(entry["path"], name, "text/plain"),)


async def test_a_run_asked_as_a_stream_fails_with_the_same_event(
    scripted: Gateway, open_socket: Callable[..., Any]
) -> None:
    socket = await open_socket(scripted, scripted.user)
    answer = await scripted.chat("let the provider fail with 400", stream=True)
    failed = (await socket.agent_event("run.failed"))["payload"]["error"]
    *_, last, done = answer.body.split(b"\n\n")[:-1]
    assert done == b"data: [DONE]"
    assert json.loads(last.removeprefix(b"data: "))["choices"][0]["delta"]["content"] == f"Error: {failed}"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_closed_request_is_a_cancelled_run_without_payload(
    scripted: Gateway, open_socket: Callable[..., Any], stream: bool
) -> None:
    socket = await open_socket(scripted, scripted.user)
    asking = asyncio.create_task(scripted.chat("take 60 seconds", stream=stream))
    started = await socket.agent_event("run.started")
    asking.cancel()
    cancelled = await socket.agent_event("run.cancelled")
    assert cancelled["runId"] == started["runId"]
    assert "payload" not in cancelled
