"""A simulated tenant on a free port with a small bot, for tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from bridge.simulator.teams import (
    CONNECTOR_LOG,
    COURIER,
    FAULTS,
    IDENTITY,
    PEOPLE,
    TENANT,
    BridgeControl,
    TeamsOptions,
    build_app,
)
from bridge.simulator.teams.identity import Identity
from support.servers import stop_server

CONNECTOR_SCOPE = "https://api.botframework.com/.default"


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait at most `seconds` until the condition holds. Raises: TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def free_socket() -> socket.socket:
    """A socket bound to a free port of 127.0.0.1."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


class Bot:
    """A bot: keeps the received activities and bearers, and answers by `answer`, which a test may replace."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.bearers: list[str] = []
        self.answer: Callable[[dict[str, Any]], Awaitable[web.Response]] = self._accept
        self._runner: web.AppRunner | None = None
        first = free_socket()
        self.port = int(first.getsockname()[1])
        first.close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/messages"

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [activity for activity in self.received if activity["type"] == kind]

    async def start(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/api/messages", self._hear)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await stop_server(self._runner)
            self._runner = None

    async def _hear(self, request: web.Request) -> web.Response:
        activity = orjson.loads(await request.read())
        self.received.append(activity)
        self.bearers.append(request.headers["Authorization"].removeprefix("Bearer "))
        return await self.answer(activity)

    @staticmethod
    async def _accept(_activity: dict[str, Any]) -> web.Response:
        return web.Response()


async def news(response: aiohttp.ClientResponse, count: int, *, kind: str = "") -> list[dict[str, Any]]:
    """The next `count` events of an open event stream: of type `kind`, or of all types but `traffic`."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while len(events) < count:
            line = await response.content.readline()
            assert line, "the stream has ended"
            if not line.startswith(b"data: "):
                continue
            event = orjson.loads(line.removeprefix(b"data: "))
            if event["type"] == kind or (not kind and event["type"] != "traffic"):
                events.append(event)
    return events


class Stage:
    """A running tenant: over HTTP as the page (`call`) and as the bot (`as_bot`), and the tenant's objects."""

    def __init__(self, app: web.Application, base: str, session: aiohttp.ClientSession, bot: Bot) -> None:
        self.app = app
        self.base = base
        self.session = session
        self.bot = bot
        self.tenant = app[TENANT]
        self.people = app[PEOPLE]
        self.identity = app[IDENTITY]
        self.faults = app[FAULTS]
        self.log = app[CONNECTOR_LOG]
        self.courier = app[COURIER]
        self._token = ""

    def conversation(self, chat: str) -> str:
        """The conversation id of a chat."""
        return self.tenant.chats[chat].conversation_id

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """A request to the page API: status and JSON."""
        async with self.session.request(
            method, self.base + path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
        ) as response:
            read = await response.read()
            return response.status, orjson.loads(read) if read else None

    async def say(self, chat: str, who: str, text: str, **more: object) -> str:
        """A person writes a message; gives the message's id."""
        status, body = await self.call("POST", f"/api/chats/{chat}/messages", {"as": who, "text": text, **more})
        assert status == 201, body
        return str(body["id"])

    async def messages(self, chat: str) -> list[dict[str, Any]]:
        """The chat's messages in the page API's form."""
        _, body = await self.call("GET", f"/api/chats/{chat}/messages")
        listed: list[dict[str, Any]] = body["messages"]
        return listed

    async def ask_token(self, tenant: str | None = None, **changes: str) -> tuple[int, dict[str, Any]]:
        """The client credentials grant; `changes` replace fields of the form."""
        app = self.identity.app
        form = {
            "grant_type": "client_credentials",
            "client_id": app.app_id,
            "client_secret": app.app_password,
            "scope": CONNECTOR_SCOPE,
            **changes,
        }
        path = f"{self.base}/{tenant or app.tenant_id}/oauth2/v2.0/token"
        async with self.session.post(path, data=form) as response:
            body: dict[str, Any] = await response.json()
            return response.status, body

    async def as_bot(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        bearer: str | None = None,
        data: bytes | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, Any, Mapping[str, str]]:
        """A request to the Bot Connector: status, JSON, headers. `path` is below `v3/conversations`."""
        if not self._token:
            self._token = (await self.ask_token())[1]["access_token"]
        payload = orjson.dumps(body) if body is not None else data
        headers = {"Authorization": f"Bearer {self._token if bearer is None else bearer}"}
        if payload is not None:
            headers["Content-Type"] = content_type
        async with self.session.request(
            method,
            f"{self.identity.service_url}v3/conversations{path}",
            data=None if payload is None else BytesIO(payload),
            headers=headers,
        ) as response:
            return response.status, await response.json(), response.headers

    async def send(self, chat: str, text: str = "hello", **more: object) -> tuple[int, dict[str, Any]]:
        """The bot posts a message."""
        status, body, _ = await self.as_bot(
            "POST", f"/{self.conversation(chat)}/activities", {"type": "message", "text": text, **more}
        )
        return status, body


@cache
def _registration() -> dict[str, bytes]:
    """The files of an app registration with keys, made once for all tests: making keys takes long."""
    with TemporaryDirectory() as made:
        Identity(Path(made), "http://127.0.0.1")
        return {path.name: path.read_bytes() for path in Path(made).iterdir()}


@asynccontextmanager
async def stage(
    data: Path, *, control: BridgeControl | None = None, listening: bool = True, **options: Any
) -> AsyncIterator[Stage]:
    """A running tenant with its data in the folder `data`, and a bot, which listens unless `listening` is false."""
    for name, content in _registration().items():
        if not (data / name).exists():
            (data / name).write_bytes(content)
            (data / name).chmod(0o600)
    bound = free_socket()
    base = f"http://127.0.0.1:{bound.getsockname()[1]}"
    bot = Bot()
    settings = TeamsOptions(
        data=data,
        bot_endpoint=bot.endpoint,
        public_base=base,
        phrases=[{"say": "hi", "shows": "a greeting"}],
        agent_label="stand-in agent (no model)",
        agent_kind="stand-in",
        **options,
    )
    runner = web.AppRunner(build_app(settings, bridge_control=control), shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    if listening:
        await bot.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            yield Stage(runner.app, base, session, bot)
    finally:
        await stop_server(runner)  # first, since the tenant may be connecting to the bot
        await bot.stop()
