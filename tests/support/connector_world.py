"""A local Bot Connector with Entra ID whose answers a test scripts, and a TeamsChannel connected to both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from bridge.core.turn import Reference, Scope
from bridge.teams.channel import TeamsChannel
from bridge.teams.clouds import custom
from bridge.teams.credentials import OutboundToken
from support.servers import serving_on_test_port


@dataclass
class SeenRequest:
    """A request that the connector received."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A scripted answer of the connector: the text if given, else an error body, or below 300 a body with an id."""

    status: int = 201
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    message: str = ""

    def response(self, n: int) -> web.Response:
        if self.text is None:
            body: dict[str, Any] = {"error": self._error()} if self.status >= 300 else {"id": f"m{n}"}
            return web.json_response(body, status=self.status, headers=self.headers)
        return web.Response(status=self.status, text=self.text, headers=self.headers)

    def _error(self) -> dict[str, str]:
        return {"code": self.code} | ({"message": self.message} if self.message else {})


HANG_UP, NO_ANSWER = Answer(0), Answer(-1)


@dataclass
class Connector:
    """The Bot Connector and Entra ID on the same port; answers with `script`, then with 201. Counts token requests."""

    script: list[Answer] = field(default_factory=list)
    seen: list[SeenRequest] = field(default_factory=list)
    tokens: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def activity(self, request: web.Request) -> web.StreamResponse:
        raw_path = request.raw_path
        body = await request.read()
        self.seen.append(SeenRequest(request.method, raw_path, dict(request.headers), json.loads(body) if body else {}))
        answer = self.script.pop(0) if self.script else Answer()
        if answer is HANG_UP:
            assert request.transport is not None
            request.transport.close()
        if answer is NO_ANSWER:
            await self.stop.wait()
        if answer.status <= 0:
            return web.Response()
        return answer.response(len(self.seen))

    async def discovery(self, _request: web.Request) -> web.Response:
        endpoints = {"token_endpoint": f"{self.url}/t/token", "authorization_endpoint": f"{self.url}/t/a"}
        return web.json_response(endpoints)

    async def token(self, _request: web.Request) -> web.Response:
        self.tokens += 1
        return web.json_response({"token_type": "Bearer", "expires_in": 3600, "access_token": f"token.{self.tokens}"})


@dataclass
class Bench:
    """The channel under test with the connector, the recorded pauses in seconds, and a clock that tests set."""

    connector: Connector
    channel: TeamsChannel
    to: Reference
    sleeps: list[float]
    doubled: list[None]
    clock: list[float]
    token: OutboundToken

    @property
    def sent(self) -> int:
        return len(self.connector.seen)


@asynccontextmanager
async def bench(*script: Answer, call_limit: float = 5.0) -> AsyncIterator[Bench]:
    """A running connector with the scripted answers; the channel's pauses end at once."""
    connector = Connector(list(script))
    app = web.Application()
    app.router.add_get("/t/v2.0/.well-known/openid-configuration", connector.discovery)
    app.router.add_post("/t/token", connector.token)
    app.router.add_route("*", "/emea/{tail:.*}", connector.activity)
    sleeps: list[float] = []
    doubled: list[None] = []
    clock = [1000.0]

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        await asyncio.sleep(0)

    async with serving_on_test_port(app) as server, aiohttp.ClientSession() as session:
        connector.url = f"http://127.0.0.1:{server.port}"
        cloud = custom(f"{connector.url}/openid", connector.url, [f"127.0.0.1:{server.port}"])
        token = OutboundToken(cloud, "app", "secret", "t", monotonic=lambda: clock[0])
        channel = TeamsChannel(session, token, cloud, lambda: doubled.append(None), call_limit=call_limit, sleep=sleep)
        to = Reference(
            service_url=f"{connector.url}/emea/",
            conversation="a:1x-y_z",
            scope=Scope.PERSONAL,
            tenant="tenant",
            bot="28:app",
            user="29:alice",
            activity="170000",
            locale="de-DE",
        )
        yield Bench(connector, channel, to, sleeps, doubled, clock, token)
        connector.stop.set()
