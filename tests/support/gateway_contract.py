"""Helpers of the gateway contract suite: the gateway under test, HTTP answers, sockets, a maker of stand-ins."""

from __future__ import annotations

import io
import json as jsonlib
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from aiohttp import web

from bridge.simulator.gateway.app import GatewayOptions, build_app


@dataclass(slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Gateway:
    """A gateway under test, with the calls of the suite."""

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
    """A WebSocket to the gateway; events between answers are kept in ``events``."""

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
        """The next ``agent`` event of the given type, received already or still to come."""
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
