"""The gateway contract suite's gateway: the stand-in, or a real GoClaw given by environment variables.

    GOCLAW_CONTRACT_URL    base address, such as http://127.0.0.1:18790
    GOCLAW_CONTRACT_TOKEN  the gateway token (admin: the suite makes and revokes API keys and deletes its sessions)
    GOCLAW_CONTRACT_AGENT  key of an agent that may be talked to; each chat costs a model call

Without the variables each test runs against a stand-in of its own on a free port. Against a real gateway, tests of the
stand-in's phrases, restart or options are skipped with a reason, and the rate limit should be off.
"""

from __future__ import annotations

import json as jsonlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.gateway_contract import Gateway, Socket, StandIn
from support.turn_stores import a_store

from bridge.core.ports.store import TurnStore


def _real() -> tuple[str, str, str] | None:
    names = ("GOCLAW_CONTRACT_URL", "GOCLAW_CONTRACT_TOKEN", "GOCLAW_CONTRACT_AGENT")
    url, token, agent = (os.environ.get(name, "") for name in names)
    return (url.rstrip("/"), token, agent) if url and token and agent else None


def _skip_against_a_real_gateway() -> None:
    if _real():
        pytest.skip("needs the stand-in: its phrases, its options or its restart")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def http(stack: AsyncExitStack) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=120)
    return await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, auto_decompress=False))


@pytest.fixture
async def stand_in(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> StandIn:
    """A maker of stand-ins; skipped against a real gateway."""
    _skip_against_a_real_gateway()
    return StandIn(stack, http, tmp_path)


@pytest.fixture
async def gateway(stack: AsyncExitStack, http: aiohttp.ClientSession, tmp_path: Path) -> Gateway:
    """The gateway under test, with a fresh user."""
    if real := _real():
        return Gateway(http, *real)
    return (await StandIn(stack, http, tmp_path).start())[0]


@pytest.fixture
def scripted(gateway: Gateway) -> Gateway:
    """The stand-in under test, with the stand-in agent's phrases; skipped against a real gateway."""
    _skip_against_a_real_gateway()
    return gateway


@pytest.fixture
def open_socket(stack: AsyncExitStack, http: aiohttp.ClientSession) -> Callable[..., Any]:
    """Opens a WebSocket to a gateway; with ``user`` connects with the gateway token (or ``token``)."""

    async def opened(gateway: Gateway, user: str | None = None, token: str | None = None) -> Socket:
        socket = Socket(await stack.enter_async_context(http.ws_connect(gateway.url + "/ws")))
        if user is not None:
            answer = await socket.call("connect", token=token or gateway.token, user_id=user)
            assert answer["ok"], answer
        return socket

    return opened


@pytest.fixture
def api_key(stack: AsyncExitStack) -> Callable[..., Any]:
    """Makes an API key on a gateway and revokes the key in the end.

    ``owner_id`` binds the key on the stand-in only (docs/reference/goclaw.md, "Where the stand-in differs").
    """

    async def made(gateway: Gateway, scope: str, **more: str) -> str:
        asked = {"name": "contract", "scopes": [scope], **more}
        answer = await gateway.call("POST", "/v1/api-keys", json=asked)
        assert answer.status == 201, answer.body
        created = jsonlib.loads(answer.body)
        stack.push_async_callback(gateway.call, "POST", f"/v1/api-keys/{created['id']}/revoke")
        return str(created["key"])

    return made


@pytest.fixture(params=["sqlite", "postgres", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TurnStore]:
    store = a_store(request.param, tmp_path)
    await store.open()
    yield store
    await store.close()
