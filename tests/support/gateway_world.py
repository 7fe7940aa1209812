"""For tests of the gateway edge: the stand-in or a scripted gateway, and the edge connected to the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from bridge.core.ports.agent import AgentEvent, Answer, Question, TextCame
from bridge.gateway.chat import GatewayAgent
from bridge.gateway.connection import gateway_connector
from bridge.gateway.observer import GatewayObserver
from bridge.gateway.sessions import GatewaySessions
from bridge.simulator.gateway.agent import counted
from bridge.simulator.gateway.app import GatewayOptions, build_app
from bridge.tasks import Tasks
from support.servers import stop_server

TOKEN = "t0ken"
ALICE = "1f0c0f3e-0000-4000-8000-000000000001"
BOB = "1f0c0f3e-0000-4000-8000-000000000002"
RUN = "b742eb2f-0000-4000-8000-000000000001"


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until the condition holds. Raises: TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Serving:
    """An application on a fixed port, which can be stopped and started again."""

    def __init__(self, build: Callable[[], web.Application]) -> None:
        self._build = build
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._runner = web.AppRunner(self._build(), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await stop_server(self._runner)
            self._runner = None


@asynccontextmanager
async def serving(build: Callable[[], web.Application]) -> AsyncIterator[Serving]:
    server = Serving(build)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def stand_in(options: GatewayOptions) -> Callable[[], web.Application]:
    return lambda: build_app(options)


def piece(content: str, finish: str | None = None) -> bytes:
    """An event of a stream, as the gateway writes events."""
    delta = {"role": "", "content": content}
    choices = [{"delta": delta, "finish_reason": finish, "index": 0}]
    return b"data: " + orjson.dumps({"choices": choices, "id": f"chatcmpl-{RUN[:8]}"}) + b"\n\n"


DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Scripted:
    """A gateway that writes `stream` for a streamed question, `plain` for a plain question, and `frames` on the socket.

    `None` in a stream is a pause until `go_on`. `frames_of_a_run` are sent before each stream.
    """

    role: str = "admin"
    stream: Sequence[bytes | None] = field(default_factory=lambda: [piece(""), piece("hi", "stop"), DONE])
    plain: str = "plainly"
    status: int = 200
    type: str = "text/event-stream"
    frames: list[str | bytes] = field(default_factory=list)
    frames_of_a_run: list[str | bytes] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[dict[str, Any]] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    connects: list[dict[str, Any]] = field(default_factory=list)
    cancelled: int = 0
    sockets: set[web.WebSocketResponse] = field(default_factory=set)

    def build(self) -> web.Application:
        app = web.Application(handler_args={"handler_cancellation": True})
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def say(self, frame: str | bytes) -> None:
        for socket in self.sockets:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            frame = message.json()
            self.connects.append(frame["params"])
            payload = {"role": self.role, "user_id": frame["params"]["user_id"]}
            await socket.send_json({"type": "res", "id": frame["id"], "ok": True, "payload": payload})
            self.sockets.add(socket)
            for text in self.frames:
                await (socket.send_str(text) if isinstance(text, str) else socket.send_bytes(text))
        self.sockets.discard(socket)
        return socket

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.asked.append(asked)
        self.peers.append(str(request.transport and request.transport.get_extra_info("peername")))
        if self.status != 200:
            return web.Response(status=self.status, text="account acct-42")
        if not asked["stream"] or self.type != "text/event-stream":
            return web.json_response({"choices": [{"message": {"content": self.plain}}]})
        for frame in self.frames_of_a_run:
            await self.say(frame)
        response = web.StreamResponse(headers={"Content-Type": self.type})
        try:
            await response.prepare(request)
            for part in self.stream:
                if part is None:
                    await self.go_on.wait()
                else:
                    await response.write(part)
            await response.write_eof()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return response


def event(kind: str, user: str = ALICE, run: str = RUN, **payload: object) -> str:
    """An `agent` event's frame."""
    agent_event = {
        "type": kind,
        "agentId": "sales",
        "runId": run,
        "payload": payload,
        "userId": user,
        "channel": "http",
    }
    return orjson.dumps({"type": "event", "event": "agent", "payload": agent_event}).decode()


@dataclass(slots=True)
class Edge:
    """The gateway edge with an observer, built as in the app, and the events of runs."""

    agent: GatewayAgent
    observer: GatewayObserver
    events: list[AgentEvent] = field(default_factory=list)

    async def says(self, text: str, user: str = ALICE) -> Answer:
        """The answer to a question whose events are recorded."""
        return await self.agent.ask(Question("sales", user, text), self.events.append)

    async def plainly(self, text: str, user: str = ALICE) -> Answer:
        return await self.agent.ask(Question("sales", user, text))

    @property
    def pieces(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, TextCame)]


@asynccontextmanager
async def edge(
    url: str,
    *,
    token: str = TOKEN,
    admits: Callable[[], bool] = lambda: True,
    live: bool = True,
    live_text: bool = True,
    verdict: float = 5.0,
    longest: float = 0.1,
    refused: float = 600.0,
) -> AsyncIterator[Edge]:
    """An edge with a running observer; with `live` the observer is connected."""
    tasks = Tasks()
    async with aiohttp.ClientSession(connector=gateway_connector(), cookie_jar=aiohttp.DummyCookieJar()) as http:
        observer = GatewayObserver(
            http=http,
            base_url=url,
            token=token,
            admits=admits,
            first=0.01,
            longest=longest,
            refused=refused,
            step=2.0,
        )
        agent = GatewayAgent(
            http=http,
            base_url=url,
            token=token,
            refusal=lambda: None,
            sessions=GatewaySessions(http=http, base_url=url, token=token, step=2.0),
            observer=observer,
            live_text=live_text,
            verdict=verdict,
        )
        tasks.start(observer.run(), "events")
        try:
            async with asyncio.timeout(30):
                if live:
                    await until(lambda: observer.live)
                yield Edge(agent, observer)
        finally:
            await tasks.cancel()


def count(last: int, reached: int | None = None) -> str:
    """The stand-in's answer to "count to …", as far as the number `reached`."""
    return "\n".join(counted(n, last) for n in range(1, (reached or last) + 1))
