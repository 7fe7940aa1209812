"""`/new` against a WebSocket with the gateway's answers: for admins, for operators, and with faults."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.servers import stop_server

from bridge.core.errors import (
    GatewayDown,
    GatewayForbidden,
    GatewayMergesUsers,
    GatewayTokenRejected,
    SessionNotDeleted,
    TurnFailure,
)
from bridge.gateway.frames import RpcError
from bridge.gateway.sessions import GatewaySessions, session_key

OWN = session_key("sales", "u1")
OTHER = session_key("sales", "u10")
ONCE = "agent:sales:http-u1-0123abcd"

Session = tuple[str, list[dict[str, Any]]]
HISTORY = [{"id": "1", "role": "user", "content": "hello"}]


class Refused(Exception):
    """(code, message) of an error answer."""


@dataclass(slots=True)
class RpcGateway:
    """The session methods of the gateway (docs/reference/goclaw.md, "WebSocket").

    `faults` overrides a method by an error code or a fault of the socket.
    """

    role: str = "operator"
    owner: str = ""
    sessions: dict[str, Session] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    deletes_really: bool = True
    calls: list[str] = field(default_factory=list)
    open_sockets: int = 0

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        self.open_sockets += 1
        user = ""
        try:
            async for message in socket_:
                frame = message.json()
                method, params = frame["method"], frame["params"]
                self.calls.append(method)
                await socket_.send_json({"type": "event", "event": "trace.status", "payload": {}})
                await socket_.send_json({"type": "res", "id": "of another call", "ok": True, "payload": {}})
                if method == "connect":
                    user = self.owner or params["user_id"]
                if await self._befalls(socket_, method):
                    continue
                await socket_.send_json({"type": "res", "id": frame["id"], **self._answer(user, method, params)})
        finally:
            self.open_sockets -= 1
        return socket_

    async def _befalls(self, socket_: web.WebSocketResponse, method: str) -> bool:
        match self.faults.get(method):
            case "close":
                await socket_.close()
            case "nonsense":
                await socket_.send_str("{")
            case "silence":
                pass
            case _:
                return False
        return True

    def _answer(self, user: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if code := self.faults.get(method):
            words = "words about agent:sales:http:direct:secret"
            return {"ok": False, "error": {"code": code, "message": words}}
        try:
            payload = self._payload(user, method, params)
        except Refused as refused:
            return {"ok": False, "error": dict(zip(("code", "message"), refused.args, strict=True))}
        return {"ok": True, "payload": payload}

    def _payload(self, user: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "connect":
            if params["token"] != "t0ken":
                raise Refused("UNAUTHORIZED", "permission denied: valid token or active pairing required")
            return {"protocol": 3, "role": self.role, "user_id": user}
        if method == "sessions.list":
            rows = [
                {"key": key, "userID": of, "channel": "http"}
                for key, (of, _) in self.sessions.items()
                if self.role == "admin" or of == user
            ]
            return {"sessions": rows or None, "total": len(rows)}
        key = params["key"]
        of, messages = self.sessions.get(key, ("", None))
        if self.role != "admin" and messages is None:
            raise Refused("NOT_FOUND", f"session not found: {key}")
        if self.role != "admin" and of != user:
            raise Refused("UNAUTHORIZED", "permission denied: session")
        if method == "sessions.preview":
            return {"key": key, "messages": messages, "summary": ""}
        if self.deletes_really:
            self.sessions.pop(key, None)
        return {"ok": True}


@asynccontextmanager
async def using(gateway: RpcGateway, bearer: str = "t0ken") -> AsyncIterator[GatewaySessions]:
    app = web.Application()
    app.router.add_get("/ws", gateway.handle)
    async with running(app) as url, aiohttp.ClientSession() as session, asyncio.timeout(10):
        yield GatewaySessions(http=session, base_url=url, token=bearer, step=0.5)


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await stop_server(runner)


@pytest.mark.parametrize("role", ["operator", "admin"])
async def test_only_the_users_own_session_is_deleted(role: str) -> None:
    gateway = RpcGateway(role=role, sessions={OWN: ("u1", HISTORY), OTHER: ("u10", HISTORY)})
    async with using(gateway) as sessions:
        await sessions.delete_session("sales", "u1")
        assert set(gateway.sessions) == {OTHER}
        while gateway.open_sockets:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("role", ["operator", "admin"])
async def test_deleting_a_missing_session_succeeds(role: str) -> None:
    async with using(RpcGateway(role=role)) as sessions:
        await sessions.delete_session("sales", "u1")


async def test_all_sessions_of_the_user_on_a_forgetful_gateway_are_deleted() -> None:
    others = {"agent:sales:http-u1-x-0123abcd": ("u1-x", HISTORY), "agent:hr:http:direct:u1": ("u1", HISTORY)}
    gateway = RpcGateway(role="admin", sessions={ONCE: ("u1", HISTORY), **others})
    async with using(gateway) as sessions:
        await sessions.delete_session("sales", "u1")
    assert set(gateway.sessions) == set(others)


@pytest.mark.parametrize("role", ["operator", "admin"])
@pytest.mark.parametrize("key", [OWN, ONCE])
async def test_an_ok_without_a_deletion_is_noticed(role: str, key: str) -> None:
    gateway = RpcGateway(role=role, sessions={key: ("u1", HISTORY)}, deletes_really=False)
    async with using(gateway) as sessions:
        with pytest.raises(SessionNotDeleted):
            await sessions.delete_session("sales", "u1")


async def test_a_session_without_owner_is_not_reported_as_deleted() -> None:
    """The end of a turn creates a deleted session anew, without owner (docs/reference/goclaw.md, "Sessions")."""
    async with using(RpcGateway(sessions={OWN: ("", HISTORY)})) as sessions:
        with pytest.raises(SessionNotDeleted):
            await sessions.delete_session("sales", "u1")


@pytest.mark.parametrize("method", ["sessions.list", "sessions.delete", "sessions.preview"])
@pytest.mark.parametrize("fault", ["close", "nonsense", "silence", "INVALID_REQUEST", "UNAUTHORIZED", "SURPRISE"])
async def test_a_failed_or_slow_step_is_reported_without_the_gateways_words(method: str, fault: str) -> None:
    gateway = RpcGateway(sessions={OWN: ("u1", HISTORY)}, faults={method: fault})
    async with using(gateway) as sessions:
        with pytest.raises(SessionNotDeleted) as caught:
            await sessions.delete_session("sales", "u1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("gateway", "token", "leaf"),
    [
        (RpcGateway(), "wrong", GatewayTokenRejected),
        (RpcGateway(role=""), "t0ken", GatewayTokenRejected),  # only a pairing offered
        (RpcGateway(role="viewer"), "t0ken", GatewayForbidden),
        (RpcGateway(owner="boss"), "t0ken", GatewayMergesUsers),
    ],
)
async def test_no_session_is_touched_without_the_right_to_act_as_the_user(
    gateway: RpcGateway, token: str, leaf: type[TurnFailure]
) -> None:
    async with using(gateway, token) as sessions:
        with pytest.raises(leaf):
            await sessions.delete_session("sales", "u1")
    assert gateway.calls == ["connect"]


async def test_only_keys_of_the_user_and_the_agent_are_listed() -> None:
    gateway = RpcGateway(
        role="admin",
        sessions={
            key: (user, HISTORY)
            for key, user in [
                (OWN, "u1"),
                (OTHER, "u10"),
                ("agent:hr:http:direct:u1", "u1"),
                ("agent:sales:ws:x", "u1"),
            ]
        },
    )
    async with using(gateway) as sessions:
        assert await sessions.keys("sales", "u1") == {OWN}


async def test_deleting_at_a_gateway_that_is_down_raises_gateway_down() -> None:
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{refusing.getsockname()[1]}"
            with pytest.raises(GatewayDown):
                await GatewaySessions(http=session, base_url=url, token="t").delete_session("sales", "u1")


async def test_a_proxy_without_websocket_is_named() -> None:
    async with running(web.Application()) as url, aiohttp.ClientSession() as session:
        sessions = GatewaySessions(http=session, base_url=url, token="t0ken")
        with pytest.raises(SessionNotDeleted, match="handshake"):
            await sessions.delete_session("sales", "u1")
        with pytest.raises(RpcError, match="handshake"):
            await sessions.effective_user("u1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_to_another_host(status: int) -> None:
    received: list[str] = []

    async def elsewhere(request: web.Request) -> web.WebSocketResponse:
        received.append("a request")
        taken = web.WebSocketResponse()
        await taken.prepare(request)
        received.extend([str(message.data) async for message in taken])
        return taken

    other = web.Application()
    other.router.add_get("/ws", elsewhere)
    async with running(other) as there:

        async def away(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"{there}/ws"})

        app = web.Application()
        app.router.add_get("/ws", away)
        async with running(app) as url, aiohttp.ClientSession() as session:
            sessions = GatewaySessions(http=session, base_url=url, token="t0ken")
            with pytest.raises(SessionNotDeleted, match="handshake"):
                await sessions.delete_session("sales", "u1")
    assert received == []
