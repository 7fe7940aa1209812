"""The gateway contract suite's gateway: the stand-in, or a real GoClaw given by environment variables.

    GOCLAW_CONTRACT_URL    base address, such as http://127.0.0.1:18790
    GOCLAW_CONTRACT_TOKEN  the gateway token (admin: the suite makes and revokes API keys and deletes its sessions)
    GOCLAW_CONTRACT_AGENT  key of an agent that may be talked to; each chat costs a model call

Without them every test runs against a stand-in of its own on a free port. Against a real gateway the tests that need
the stand-in's phrases, its restart or its options are skipped with that reason, and the rate limit should be off.
"""

from __future__ import annotations

import io
import json as jsonlib
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from support.turn_stores import a_store

from bridge.simulator.gateway.app import GatewayOptions, build_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from bridge.core.ports.store import TurnStore


@dataclass(slots=True)
class Answer:
    """One HTTP answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Gateway:
    """A gateway under test, with the few calls that the suite makes of it."""

    http: aiohttp.ClientSession
    url: str
    token: str
    agent: str
    user: str = field(default_factory=lambda: f"teams-contract-{uuid4().hex}")

    def headers(self, **others: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "X-GoClaw-User-Id": self.user, **others}

    def key(self, user: str | None = None) -> str:
        return f"agent:{self.agent}:http:direct:{user or self.user}"

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, data: bytes = b"", json: object = None
    ) -> Answer:
        sent = {"json": json} if json is not None else {"data": io.BytesIO(data)}
        kept = self.headers() if headers is None else headers
        async with self.http.request(method, self.url + path, headers=kept, **sent) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    def question(self, text: object, *, stream: bool = False, model: str | None = None) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {"model": model or f"goclaw:{self.agent}", "stream": stream, "messages": messages}

    async def chat(self, text: str, *, headers: dict[str, str] | None = None, **options: Any) -> Answer:
        asked = self.question(text, **options)
        return await self.call("POST", "/v1/chat/completions", headers=headers, json=asked)


@dataclass(slots=True)
class Socket:
    """One WebSocket to the gateway; events that come between answers are kept in ``events``."""

    ws: aiohttp.ClientWebSocketResponse
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0

    async def frame(self) -> dict[str, Any]:
        return dict(await self.ws.receive_json(timeout=20))

    async def send(self, text: str) -> dict[str, Any]:
        await self.ws.send_str(text)
        while (frame := await self.frame())["type"] == "event":
            self.events.append(frame)
        return frame

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.calls += 1
        asked = {"type": "req", "id": str(self.calls), "method": method, "params": params}
        return await self.send(jsonlib.dumps(asked))

    async def agent_event(self, kind: str) -> dict[str, Any]:
        """The next ``agent`` event of this type, seen already or still to come."""
        while True:
            for frame in self.events:
                if frame["event"] == "agent" and frame["payload"]["type"] == kind:
                    return dict(frame["payload"])
            self.events.append(await self.frame())


@dataclass(slots=True)
class StandIn:
    """Starts stand-ins with any options, and again on the same folder."""

    stack: AsyncExitStack
    http: aiohttp.ClientSession
    data: Path

    async def start(self, **options: Any) -> tuple[Gateway, web.AppRunner]:
        chosen: dict[str, Any] = {"token": "contract-token", "agent": "sales", "data": self.data, **options}
        runner = web.AppRunner(build_app(GatewayOptions(**chosen)), shutdown_timeout=1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return Gateway(self.http, url, chosen["token"], chosen["agent"]), runner


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
    """A maker of stand-ins; skipped against a real gateway, which has neither its phrases nor its options."""
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
    """The gateway under test where it has the stand-in agent's phrases."""
    _skip_against_a_real_gateway()
    return gateway


@pytest.fixture
def open_socket(stack: AsyncExitStack, http: aiohttp.ClientSession) -> Callable[..., Any]:
    """Opens a WebSocket to a gateway; with ``user`` it is connected with the gateway token (or ``token``)."""

    async def opened(gateway: Gateway, user: str | None = None, token: str | None = None) -> Socket:
        socket = Socket(await stack.enter_async_context(http.ws_connect(gateway.url + "/ws")))
        if user is not None:
            answer = await socket.call("connect", token=token or gateway.token, user_id=user)
            assert answer["ok"], answer
        return socket

    return opened


@pytest.fixture
def api_key(stack: AsyncExitStack) -> Callable[..., Any]:
    """Makes an API key on a gateway and revokes it in the end."""

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
