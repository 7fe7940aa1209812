"""The WebSocket ``/ws``: connect, sessions, health, and the outgoing `agent` events.

docs/reference/goclaw.md, "WebSocket" and "Agent events". Left out, and answered like an unknown method:
``chat.send``, ``chat.abort``, ``chat.inject`` and ``sessions.compact``.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import WSMsgType, web

from bridge.simulator.gateway import go_json
from bridge.simulator.gateway.access import OWNER_ID, Caller
from bridge.simulator.gateway.events import Subscriber
from bridge.simulator.gateway.replies import text_error
from bridge.simulator.gateway.sessions import Session
from bridge.simulator.gateway.state import GATEWAY, Gateway

_LARGEST_FRAME = 512 * 1024  # bytes of a frame to the gateway; a larger frame closes the socket with 1009
_PING = 30.0  # seconds
_CLOSE_SECONDS = 1.0  # a client that does not answer the close must not hold up the shutdown
_SERVER = {"name": "goclaw", "version": "dev"}
_TENANT = "0193a5b0-7000-7000-8000-000000000001"  # the master tenant of every gateway
_PENDING_PAIRINGS = 3  # then further sockets without token are refused
_PAIRING_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LIST_LIMIT = 20


class RpcError(Exception):
    """A refused call, with the code and message of the answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True, eq=False)
class Sockets:
    """The open sockets, and the sockets without a token, which wait for a pairing (never granted here)."""

    open: set[web.WebSocketResponse] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)


SOCKETS = web.AppKey("sockets", Sockets)


async def websocket(request: web.Request) -> web.StreamResponse:
    """Serves a socket until the socket closes; calls are answered in order, events are sent between."""
    socket = web.WebSocketResponse(timeout=_CLOSE_SECONDS, heartbeat=_PING, max_msg_size=_LARGEST_FRAME, compress=False)
    if not socket.can_prepare(request).ok:
        return text_error(400, "Bad Request")
    await socket.prepare(request)
    gateway = request.app[GATEWAY]
    peer = _Peer(gateway, Subscriber(), request.app[SOCKETS])
    gateway.events.subscribers.add(peer.subscriber)
    peer.sockets.open.add(socket)
    sender = asyncio.create_task(_send_events(socket, peer.subscriber), name="gateway-events")
    try:
        async for frame in socket:
            if frame.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                data = frame.data if isinstance(frame.data, bytes) else frame.data.encode("utf-8", "replace")
                await socket.send_str(go_json.encode(peer.answer(data)).decode())
    finally:
        gateway.events.subscribers.discard(peer.subscriber)
        peer.sockets.open.discard(socket)
        peer.sockets.pending.discard(id(peer))
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
    return socket


async def _send_events(socket: web.WebSocketResponse, subscriber: Subscriber) -> None:
    """Sends the subscriber's frames until the socket is closed."""
    while not socket.closed:
        frame = await subscriber.frames.get()
        try:
            await socket.send_str(go_json.encode(frame).decode())
        except ConnectionError:
            return


async def close_sockets(app: web.Application) -> None:
    """For ``on_shutdown``: sends each socket the event ``shutdown``, then closes the socket."""
    for socket in tuple(app[SOCKETS].open):
        with suppress(ConnectionError):  # closed meanwhile
            await socket.send_str('{"type":"event","event":"shutdown"}')
            await socket.close(code=1001)


@dataclass(slots=True, eq=False)
class _Peer:
    """The client of a socket: answers request frames in order, each at once."""

    gateway: Gateway
    subscriber: Subscriber
    sockets: Sockets
    socket_id: str = field(default_factory=lambda: str(uuid4()))

    def answer(self, data: bytes) -> dict[str, Any]:
        """The answer to a request frame."""
        request_id = ""
        try:
            frame = _frame(data)
            request_id = frame["id"]
            payload = self._dispatch(frame["method"], frame["params"])
        except RpcError as error:
            refusal = {"code": error.code, "message": str(error)}
            return {"type": "res", "id": request_id, "ok": False, "error": refusal}
        return {"type": "res", "id": request_id, "ok": True, "payload": payload}

    def _dispatch(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "connect":
            return self._connect(params)
        caller = self.subscriber.caller
        if caller is None:
            raise RpcError("UNAUTHORIZED", "first request must be 'connect'")
        methods: dict[str, tuple[str, Callable[[Caller, dict[str, Any]], dict[str, Any]]]] = {
            "health": ("viewer", self._health),
            "sessions.list": ("viewer", self._list),
            "sessions.preview": ("viewer", self._preview),
            "sessions.delete": ("operator", self._delete),
            "sessions.reset": ("operator", self._reset),
            "chat.session.status": ("viewer", self._status),
        }
        if method not in methods:
            raise RpcError("INVALID_REQUEST", f"unknown method: {method}")
        role, handler = methods[method]
        if role == "operator" and not caller.may("operator"):
            raise RpcError("UNAUTHORIZED", f"permission denied: {method} requires operator role")
        return handler(caller, params)

    def _connect(self, params: dict[str, Any]) -> dict[str, Any]:
        """Connect the socket (again) as a user; after a failure the socket is unauthenticated."""
        gateway, token, user = self.gateway, _text(params, "token"), _text(params, "user_id")
        self.subscriber.caller, self.subscriber.user = None, ""
        if not token and gateway.options.token:
            return self._pair()
        caller = gateway.keyring.caller(token)
        if caller is None:
            raise RpcError("UNAUTHORIZED", "permission denied: valid token or active pairing required")
        if gateway.options.token:
            user = caller.owner_id or user  # a gateway without token echoes the user id here, though not over HTTP
        if caller.role == "admin" and user == OWNER_ID:
            caller = Caller("owner")
        self.sockets.pending.discard(id(self))
        self.subscriber.caller, self.subscriber.user = caller, user
        return {
            "edition": "standard",
            "is_master_scope": True,
            "is_owner": caller.role == "owner",
            "protocol": 3,
            "role": caller.role,
            "server": _SERVER,
            "tenant_id": _TENANT,
            "user_id": user,
        }

    def _pair(self) -> dict[str, Any]:
        if id(self) not in self.sockets.pending and len(self.sockets.pending) >= _PENDING_PAIRINGS:
            raise RpcError("UNAUTHORIZED", "permission denied: valid token or active pairing required")
        self.sockets.pending.add(id(self))
        code = "".join(secrets.choice(_PAIRING_LETTERS) for _ in range(8))
        return {
            "pairing_code": code,
            "protocol": 3,
            "sender_id": str(uuid4()),
            "server": _SERVER,
            "status": "pending_pairing",
        }

    def _health(self, _: Caller, __: dict[str, Any]) -> dict[str, Any]:
        return {
            "clients": [{"id": self.socket_id}],
            "currentId": self.socket_id,
            "database": "ok",
            "mode": "managed",
            "status": "ok",
            "tools": 2,
            "uptime": int((time.monotonic() - self.gateway.started) * 1000),
            "version": "dev",
        }

    def _list(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        return self.gateway.sessions.listing(
            agent=_text(params, "agentId"),
            channel=_text(params, "channel"),
            user=None if caller.may("admin") else self.subscriber.user,
            limit=_count(params, "limit") or _LIST_LIMIT,
            offset=_count(params, "offset"),
        )

    def _preview(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        key = _text(params, "key")
        session = self._touch(caller, key)
        return {"key": key, "messages": list(session.messages) if session else None, "summary": ""}

    def _delete(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        key = _text(params, "key")
        self._touch(caller, key)
        self.gateway.sessions.delete(key)
        return {"ok": True}

    def _reset(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        key = _text(params, "key")
        self._touch(caller, key)
        self.gateway.sessions.reset(key)
        return {"ok": True}

    def _status(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """Always idle, as for HTTP and wake runs (docs/reference/goclaw.md, "chat.send and chat.abort")."""
        self._touch(caller, _text(params, "sessionKey"))
        return {"activity": None, "isRunning": False, "runId": ""}

    def _touch(self, caller: Caller, key: str) -> Session | None:
        """The session with this key, if the caller may use the session; None for an admin if no session has the key.

        Raises: RpcError.
        """
        session = self.gateway.sessions.get(key)
        if caller.may("admin"):
            return session
        if session is None:
            raise RpcError("NOT_FOUND", f"session not found: {key}")
        if not session.user or session.user != self.subscriber.user:
            raise RpcError("UNAUTHORIZED", "permission denied: session")
        return session


def _frame(data: bytes) -> dict[str, Any]:
    """The checked frame: ``id`` and ``method`` are strings, ``params`` an object.

    Raises: RpcError.
    """
    try:
        frame = go_json.decode(data)
    except go_json.NotJsonError as error:
        raise RpcError("INVALID_REQUEST", "invalid frame: no JSON") from error
    if not isinstance(frame, dict):
        raise RpcError("INVALID_REQUEST", "malformed request: no object")
    checked = {name: _frame_text(frame, name) for name in ("type", "id", "method")}
    params = frame.get("params")
    return {**checked, "params": params if isinstance(params, dict) else {}}


def _frame_text(frame: dict[str, Any], name: str) -> str:
    value = frame.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise RpcError("INVALID_REQUEST", f"malformed request: wrong type in {name}")


def _text(params: dict[str, Any], name: str) -> str:
    value = params.get(name)
    return value if isinstance(value, str) else ""


def _count(params: dict[str, Any], name: str) -> int:
    value = params.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
