"""The gateway's WebSocket RPC (docs/reference/goclaw.md, "WebSocket"): a socket connected as a given user.

A socket is opened for a purpose and closed afterwards. Calls skip the events before the answer.
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
from bridge.gateway.frames import RpcError, answer_in, identity_in, payload_in

ADMINS = frozenset({"admin", "owner"})
"""The roles that receive the events of all users (docs/reference/goclaw.md, "Agent events")."""

_MAX_FRAME = 8 * 1024 * 1024  # a preview holds a whole history
_CLOSE_SECONDS = 1.0


class Rpc:
    """A connected socket. `user` and `role` come from the gateway; the user may differ from the wanted user."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, within: float) -> None:
        self._socket = socket
        self._within = within
        self._ids = count(1)
        self.user = ""
        self.role = ""

    async def connect(self, token: str, user: str) -> None:
        """Connect the socket as `user`.

        Raises: GatewayTokenRejected (wrong token, or a pairing is offered instead of a role), RpcError.
        """
        try:
            identity = identity_in(await self.call("connect", token=token, user_id=user))
        except RpcError as error:
            if error.code == "UNAUTHORIZED":
                raise GatewayTokenRejected("WebSocket connect") from None
            raise
        self.user, self.role = identity.user, identity.role
        if not self.role:
            raise GatewayTokenRejected("WebSocket connect gave no role")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return the payload, within the step's time limit. Raises: RpcError."""
        id_ = str(next(self._ids))  # a string; the gateway refuses a number
        frame = orjson.dumps({"type": "req", "id": id_, "method": method, "params": params}).decode()
        try:
            async with asyncio.timeout(self._within):
                await self._socket.send_str(frame)
                answer = await self._answer_to(id_)
        except TimeoutError:
            raise RpcError("timeout") from None
        except (aiohttp.ClientError, ConnectionError):
            raise RpcError("closed") from None
        return payload_in(answer)

    async def frames(self) -> AsyncIterator[str]:
        """The text of each frame, until the socket is closed."""
        while True:
            try:
                message = await self._socket.receive()
            except (aiohttp.ClientError, ConnectionError):  # closed while a ping was being answered
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
            if (frame := answer_in(message.data, id_)) is not None:
                return frame


@asynccontextmanager
async def connected(
    http: aiohttp.ClientSession, base_url: str, *, token: str, user: str, within: float, heartbeat: float | None = None
) -> AsyncIterator[Rpc]:
    """A socket connected as `user`, closed at the end of the context; each step gets `within` seconds.

    `heartbeat`: seconds between pings, for a socket that stays open.
    Raises: GatewayDown, GatewayTokenRejected, RpcError.
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
    # `ws_connect` follows redirects without a switch: to internal addresses, and the token is sent next. A session on
    # the same connections refuses the first redirect; a socket needs its session only until the socket is open.
    opening = aiohttp.ClientSession(
        connector=http.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_no_redirect,),
    )
    try:
        async with asyncio.timeout(within), opening:
            return await opening.ws_connect(
                base_url.rstrip("/") + "/ws",
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                max_msg_size=_MAX_FRAME,
                heartbeat=heartbeat,
            )
    except aiohttp.WSServerHandshakeError:
        raise RpcError("handshake") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise GatewayDown(type(error).__name__) from error


async def _no_redirect(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    response = await send(request)
    if 300 <= response.status < 400:
        response.close()
        raise RpcError("handshake")
    return response
