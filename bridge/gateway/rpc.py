"""The gateway's WebSocket RPC: one socket, connected as one user, opened for a purpose and closed after it.

docs/reference/goclaw.md, "WebSocket". Calls skip the events that come between: nothing here depends on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp
import orjson

from bridge.core.errors import GatewayDown, GatewayTokenRejected

ADMINS = frozenset({"admin", "owner"})
"""The roles that are sent everybody's events (docs/reference/goclaw.md, "Agent events")."""

_MAX_FRAME = 8 * 1024 * 1024  # a preview holds a whole history
_CLOSE_WITHIN = 1.0
_CODES = frozenset({"NOT_FOUND", "UNAUTHORIZED", "INVALID_REQUEST", "INTERNAL"})


class RpcError(Exception):
    """A call that got no payload.

    `code` is the gateway's, or one of ours: `handshake`, `closed`, `timeout`, `frame`, `other`.
    Never holds words of the gateway, which name sessions and so users.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Rpc:
    """A connected socket. `user` and `role` are what the gateway made of us, not what was asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, within: float) -> None:
        self._socket = socket
        self._within = within
        self._ids = count(1)
        self.user = ""
        self.role = ""

    async def connect(self, token: str, user: str) -> None:
        """Say who we are. Raises GatewayTokenRejected: wrong token, or a pairing offered and no role."""
        try:
            payload = await self.call("connect", token=token, user_id=user)
        except RpcError as error:
            if error.code == "UNAUTHORIZED":
                raise GatewayTokenRejected("WebSocket connect") from None
            raise
        self.user, self.role = str(payload.get("user_id", "")), str(payload.get("role", ""))
        if not self.role:
            raise GatewayTokenRejected("WebSocket connect gave no role")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One call; gives the payload. Raises RpcError, at the latest after the step's time limit."""
        id_ = str(next(self._ids))  # a number would be malformed
        frame = orjson.dumps({"type": "req", "id": id_, "method": method, "params": params}).decode()
        try:
            async with asyncio.timeout(self._within):
                await self._socket.send_str(frame)
                answer = await self._answer_to(id_)
        except TimeoutError:
            raise RpcError("timeout") from None
        except (aiohttp.ClientError, ConnectionError):
            raise RpcError("closed") from None
        return _payload(answer)

    async def frames(self) -> AsyncIterator[str]:
        """The text of whatever comes from now on, until the socket is closed."""
        while True:
            try:
                message = await self._socket.receive()
            except (aiohttp.ClientError, ConnectionError):  # closed under the answer to a ping
                return
            if message.type is aiohttp.WSMsgType.TEXT:
                yield message.data
            elif message.type is not aiohttp.WSMsgType.BINARY:
                return

    async def _answer_to(self, id_: str) -> dict[str, Any]:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise RpcError("closed")
            try:
                frame = orjson.loads(message.data)
            except orjson.JSONDecodeError:
                raise RpcError("frame") from None
            if isinstance(frame, dict) and frame.get("type") == "res" and frame.get("id") == id_:
                return frame


def _payload(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("ok") is True:
        payload = answer.get("payload")
        return payload if isinstance(payload, dict) else {}
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    raise RpcError(code if code in _CODES else "other")


@asynccontextmanager
async def connected(
    http: aiohttp.ClientSession, base_url: str, *, token: str, user: str, within: float, heartbeat: float | None = None
) -> AsyncIterator[Rpc]:
    """A socket connected as `user`, closed at the end; every step gets `within` seconds.

    `heartbeat`: seconds between pings, where the socket stays open for long. Raises GatewayDown,
    GatewayTokenRejected, RpcError.
    """
    socket = await _open(http, base_url, within, heartbeat)
    try:
        rpc = Rpc(socket, within)
        await rpc.connect(token, user)
        yield rpc
    finally:
        await socket.close()


async def _open(
    http: aiohttp.ClientSession, base_url: str, within: float, heartbeat: float | None
) -> aiohttp.ClientWebSocketResponse:
    try:
        async with asyncio.timeout(within):
            socket = await http.ws_connect(
                base_url.rstrip("/") + "/ws",
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_WITHIN),
                max_msg_size=_MAX_FRAME,
                heartbeat=heartbeat,
            )
            # aiohttp has no switch for it here: a redirect would carry the token, sent next, to another host
            if socket._response.history:  # noqa: SLF001  no public way to the handshake's response
                await socket.close()
                raise RpcError("handshake")
            return socket
    except aiohttp.WSServerHandshakeError:
        raise RpcError("handshake") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise GatewayDown(type(error).__name__) from error
