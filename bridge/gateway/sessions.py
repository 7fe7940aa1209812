"""The users' sessions in the gateway: keys of sessions, and deletion for `/new`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from bridge.core.errors import GatewayForbidden, GatewayMergesUsers, SessionNotDeleted
from bridge.gateway.frames import RpcError, has_messages, session_keys_in
from bridge.gateway.rpc import Rpc, connected

_NEWEST = 100
"""Number of sessions that are listed, newest first. An admin's list holds all users' sessions; ours was used last."""


def session_key(agent: str, user: str) -> str:
    """The key of the user's only session on a gateway that remembers (docs/reference/goclaw.md, "Sessions")."""
    return f"agent:{agent}:http:direct:{user}"


class GatewaySessions:
    """Sessions over the WebSocket RPC. `step`: time limit of each step, in seconds."""

    def __init__(self, *, http: aiohttp.ClientSession, base_url: str, token: str, step: float = 5.0) -> None:
        self._http = http
        self._base_url = base_url
        self._token = token
        self._step = step

    async def delete_session(self, agent: str, user: str) -> None:
        """Delete the user's session with the agent, and check the deletion. No session is no error.

        All listed HTTP sessions of the user with the agent are deleted, since a gateway that forgets leaves a session
        for each request.
        Raises: SessionNotDeleted, GatewayDown, GatewayTokenRejected, GatewayForbidden (the key may only read),
        GatewayMergesUsers.
        """
        try:
            async with asyncio.timeout(6 * self._step), self.connected_as(user) as rpc:
                await _delete_all(rpc, agent, user)
        except RpcError as error:
            raise SessionNotDeleted(f"WebSocket: {error.code}") from None
        except TimeoutError:
            raise SessionNotDeleted("WebSocket: too slow") from None

    async def keys(self, agent: str, user: str) -> frozenset[str]:
        """The keys of the user's HTTP sessions with the agent, among the newest 100 visible to the token.

        Raises: GatewayDown, GatewayTokenRejected, GatewayForbidden, GatewayMergesUsers, RpcError.
        """
        async with self.connected_as(user) as rpc:
            return await _keys(rpc, agent, user)

    async def effective_user(self, user: str) -> str:
        """The user id given by the gateway to a socket connected as `user`: the owner's id if the key has an owner.

        Raises: GatewayDown, GatewayTokenRejected, RpcError.
        """
        async with connected(self._http, self._base_url, token=self._token, user=user, within=self._step) as rpc:
            return rpc.user

    async def role(self) -> str:
        """The token's role, by a socket without a user id. Raises: GatewayDown, GatewayTokenRejected, RpcError."""
        async with connected(self._http, self._base_url, token=self._token, user="", within=self._step) as rpc:
            return rpc.role

    @asynccontextmanager
    async def connected_as(self, user: str) -> AsyncIterator[Rpc]:
        """A socket that acts as `user`.

        Raises: GatewayDown, GatewayTokenRejected, GatewayForbidden, GatewayMergesUsers, RpcError.
        """
        async with connected(self._http, self._base_url, token=self._token, user=user, within=self._step) as rpc:
            if rpc.user != user:
                raise GatewayMergesUsers("WebSocket connect became another user")
            if rpc.role == "viewer":
                raise GatewayForbidden("the key may only read")
            yield rpc


async def _delete_all(rpc: Rpc, agent: str, user: str) -> None:
    expected = session_key(agent, user)
    doomed = {expected} | await _keys(rpc, agent, user)
    for key in doomed:
        await _delete(rpc, key)
    # an admin gets `ok` for any key, so the answer proves no deletion (docs/reference/goclaw.md, "WebSocket")
    if await _remembers(rpc, expected) or doomed & await _keys(rpc, agent, user):
        raise SessionNotDeleted("still there after the delete")


async def _delete(rpc: Rpc, key: str) -> None:
    try:
        await rpc.call("sessions.delete", key=key)
    except RpcError as error:
        if error.code != "NOT_FOUND":
            raise


async def _remembers(rpc: Rpc, key: str) -> bool:
    try:
        preview = await rpc.call("sessions.preview", key=key)
    except RpcError as error:
        if error.code == "NOT_FOUND":
            return False
        raise
    return has_messages(preview)


async def _keys(rpc: Rpc, agent: str, user: str) -> frozenset[str]:
    payload = await rpc.call("sessions.list", agentId=agent, limit=_NEWEST)
    return frozenset(key for key in session_keys_in(payload, user) if key.startswith(f"agent:{agent}:http"))
