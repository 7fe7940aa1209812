"""A gateway whose every answer is malformed: checks, sessions, events and questions fail as the bridge's own errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from support.gateway_world import ALICE, DONE, TOKEN, Scripted, edge, event, piece, serving, until
from support.wire_shapes import damaged, json_values

from bridge.core.errors import BridgeError, FileFailure, SessionNotDeleted
from bridge.core.ports.agent import Question
from bridge.gateway.chat import GatewayAgent
from bridge.gateway.connection import gateway_connector
from bridge.gateway.files import GatewayFiles
from bridge.gateway.frames import RpcError
from bridge.gateway.probe import GatewayProbe
from bridge.gateway.sessions import GatewaySessions
from bridge.gateway.watch import GatewayWatch

STEP = 0.1  # seconds; a socket that does not answer costs so long

CONNECT = {"ok": True, "payload": {"user_id": ALICE, "role": "admin"}}
SESSIONS = {"ok": True, "payload": {"sessions": [{"key": f"agent:sales:http:direct:{ALICE}", "userID": ALICE}]}}
DELETED = {"ok": True, "payload": {"ok": True}}
PREVIEW = {"ok": True, "payload": {"messages": None}}
REFUSAL = {"ok": False, "error": {"code": "NOT_FOUND", "message": "session not found"}}
CALLS = (CONNECT, SESSIONS, DELETED, PREVIEW, REFUSAL)
REPLY = {"id": "chatcmpl-b742eb2f", "choices": [{"message": {"role": "assistant", "content": "hi"}}]}
BODIES = (REPLY, {"status": "ok", "protocol": 3}, {"error": {"message": "messages is required"}})
STATUSES = (200, 204, 302, 400, 401, 403, 404, 429, 500, 503)
TYPES = ("application/json", "text/plain", "text/event-stream", "text/html; charset=nonsense", "no type", "")


@dataclass(slots=True)
class Hostile:
    """A gateway that answers calls on the socket by `calls` in turn, and requests with status, type and body."""

    calls: list[Any] = field(default_factory=list)
    status: int = 200
    type: str = "application/json"
    body: bytes = b""

    def build(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, _: web.Request) -> web.Response:
        return web.Response(status=self.status, body=self.body, headers={"Content-Type": self.type})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket, count = web.WebSocketResponse(), 0
        await socket.prepare(request)
        async for message in socket:
            asked, said = message.json(), self.calls[count % len(self.calls)]
            count += 1
            frame = {"type": "res", "id": asked["id"], **said} if isinstance(said, dict) else said
            await socket.send_str(orjson.dumps(frame).decode())
        return socket


@asynccontextmanager
async def calls_of(gateway: Hostile) -> AsyncIterator[dict[str, Callable[[], Awaitable[object]]]]:
    """Each use of the gateway by the bridge, against the hostile gateway."""
    async with (
        serving(gateway.build) as server,
        aiohttp.ClientSession(connector=gateway_connector(), cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        sessions = GatewaySessions(http=http, base_url=server.url, token=TOKEN, step=STEP)
        probe = GatewayProbe(http=http, base_url=server.url, token=TOKEN, agent="sales", sessions=sessions, step=STEP)
        agent = GatewayAgent(
            http=http, base_url=server.url, token=TOKEN, refusal=lambda: None, sessions=sessions, verdict=0.01
        )
        files = GatewayFiles(http=http, base_url=server.url, seconds=1.0)
        yield {
            "check": GatewayWatch(probe=probe).check,
            "events": probe.events,
            "keys": lambda: sessions.keys("sales", ALICE),
            "role": sessions.role,
            "delete": lambda: sessions.delete_session("sales", ALICE),
            "ask": lambda: agent.ask(Question("sales", ALICE, "hi")),
            "file": lambda: files.fetch(f"/v1/files/a.txt?ft={'a' * 43}.1"),
        }


def test_a_gateway_of_any_answers_causes_errors_of_the_bridge_only() -> None:
    gateway = Hostile()

    with asyncio.Runner() as runner:
        context = calls_of(gateway)
        calls = runner.run(context.__aenter__())

        @settings(max_examples=150)
        @given(
            st.sampled_from(sorted(calls)),
            st.lists(st.sampled_from(CALLS).flatmap(damaged) | json_values(), min_size=1, max_size=4),
            st.sampled_from(STATUSES),
            st.sampled_from(TYPES),
            st.sampled_from(BODIES).flatmap(damaged).map(orjson.dumps) | st.binary(max_size=50),
        )
        def any_answers(name: str, said: list[Any], status: int, type_: str, body: bytes) -> None:
            gateway.calls, gateway.status, gateway.type, gateway.body = said, status, type_, body
            runner.run(within_the_tree(calls[name]))

        try:
            any_answers()
        finally:
            runner.run(context.__aexit__(None, None, None))


async def within_the_tree(call: Callable[[], Awaitable[object]]) -> None:
    """The call ends with a value or with an error that the bridge raises on purpose."""
    try:
        async with asyncio.timeout(10):
            await call()
    except (BridgeError, FileFailure, RpcError):
        return


@pytest.mark.parametrize("code", [["x"], {"x": "y"}, 7, None])
async def test_a_code_of_a_wrong_type_leaves_the_check_unmade(code: object) -> None:
    gateway = Hostile(calls=[{"ok": False, "error": {"code": code}}], body=b'{"status":"ok"}')
    async with calls_of(gateway) as calls:
        await calls["check"]()
        with pytest.raises(RpcError, match="other"):
            await calls["keys"]()


@pytest.mark.parametrize("rows", ["gone", 0, {"sessions": []}, ["gone"]])
async def test_a_malformed_list_after_a_deletion_is_no_deletion(rows: object) -> None:
    listed = {"ok": True, "payload": {"sessions": rows}}
    async with calls_of(Hostile(calls=[CONNECT, SESSIONS, DELETED, PREVIEW, listed])) as calls:
        with pytest.raises(SessionNotDeleted):
            await calls["delete"]()


async def test_frames_of_any_shape_do_not_end_the_events_of_a_run() -> None:
    """The observer reads malformed frames between the events of a run, and passes the run's events on."""
    odd: list[str | bytes] = [
        "[]",
        "null",
        '"text"',
        "{",
        '{"type":["event"],"event":{"agent":1},"payload":[]}',
        '{"type":"event","event":"agent","payload":{"channel":"http","type":["chunk"],"agentId":{},"userId":[]}}',
        '{"type":"res","id":["1"],"ok":"yes","error":{"code":["x"]}}',
        event("chunk", content=["text"]),
        event("tool.call", name={"a": 1}, arguments=["x"]),
        event("tool.result", name=[], is_error="yes"),
        b"\xff\xfe",
    ]
    frames = [*odd, event("run.started", message={"x": 1}), *odd, event("chunk", content="seen")]
    gateway = Scripted(frames_of_a_run=frames, stream=[piece(""), None, piece("seen", "stop"), DONE])
    async with serving(gateway.build) as server, edge(server.url, verdict=0.1) as client:
        asking = asyncio.create_task(client.says("hello"))
        await until(lambda: client.pieces)
        gateway.go_on.set()
        assert (await asking).text == "seen"
        assert client.observer.live
        assert client.observer.connection == 1
    assert client.pieces == ["seen"]
