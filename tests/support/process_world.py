"""The real bridge as a process between a simulated Teams and gateway, with access to all shown and asked texts.

Teams and the gateway run in the test's process, so that a test can hold back their responses; the bridge runs as
`python -m bridge run`, like in production, and can be killed at any moment.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from bridge.core.texts import ENGLISH, SHIPPED
from bridge.simulator.gateway.agent import reply
from bridge.simulator.gateway.app import GatewayOptions
from bridge.simulator.gateway.app import build_app as gateway_app
from bridge.simulator.gateway.events import Subscriber
from bridge.simulator.gateway.script import Script
from bridge.simulator.gateway.sessions import Message
from bridge.simulator.gateway.state import GATEWAY
from bridge.simulator.serve_alone import bot_settings
from bridge.simulator.teams import TeamsOptions, build_app
from bridge.simulator.teams.activities import Envelope, message
from bridge.simulator.teams.world import PEOPLE, Conversation
from support.servers import stop_server
from support.simulator_world import Bot, Stage

TOKEN = "the gateway's token"
AGENT = "demo"
READY_SECONDS = 40.0
_OURS = ("BRIDGE_", "TEAMS_", "GOCLAW_", "GATEWAY_", "MicrosoftApp")


_dice = random.Random()  # seeded by the system, not by a test: two tests in a row must not want the same ports
_given: set[int] = set()


def free_port() -> int:
    """A free port below the range of outgoing connections, so that the port stays free while a bridge is down.

    Each test process of pytest-xdist draws from ports of its own.
    """
    beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = _dice.randrange(20_000 + own, 32_000, beside)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port


async def eventually(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until the condition holds. After `seconds` seconds fail with the message that `what` did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in {seconds:.0f} s: {what}"
        await asyncio.sleep(0.01)


async def eventually_async(condition: Callable[[], Awaitable[object]], what: str, seconds: float = 30.0) -> None:
    """As `eventually`, for a condition to be awaited."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"did not happen in {seconds:.0f} s: {what}"
        await asyncio.sleep(0.02)


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment of the test process with `settings` as the only settings of the bridge."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OURS) and k != "PORT"}
    return {**inherited, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", **settings}


class Process:
    """A process `python -m bridge …`; may be started again and again.

    Standard output and standard error go to the file `log`, unless `output_to` names a different descriptor for both.
    """

    def __init__(self, environment: dict[str, str], log: Path, *arguments: str) -> None:
        self.environment = environment
        self.log = log
        self.output_to: int | None = None
        self._command = ["-m", "bridge", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the process without waiting."""
        assert not self.alive, "the process runs already"
        with self.log.open("ab") as log:
            output = log if self.output_to is None else self.output_to
            self._process = subprocess.Popen(
                [sys.executable, *self._command], env=self.environment, stdout=output, stderr=output
            )

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End the process by `kill -9`, without a chance to save state; returns after the process has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, seconds: float = 20.0) -> int:
        """Wait at most `seconds` seconds for the process to end by itself; give the exit code."""
        await eventually(lambda: not self.alive, f"the process ends; its log:\n{self.output()}", seconds)
        assert self._process is not None
        return int(self._process.returncode)


class BridgeProcess(Process):
    """A replica: the process `teams-bridge run`."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        super().__init__(environment, log, "run")
        self.base = f"http://127.0.0.1:{environment['BRIDGE_PORT']}"
        self.admin = f"http://127.0.0.1:{environment['BRIDGE_ADMIN_PORT']}"

    async def start(self, http: aiohttp.ClientSession) -> None:
        """Start the bridge and wait until `/readyz` answers 200."""
        self.begin()
        await self.answers(http, 200)

    async def answers(self, http: aiohttp.ClientSession, status: int, seconds: float = READY_SECONDS) -> None:
        """Wait at most `seconds` seconds until `/readyz` answers with `status`."""

        async def asked() -> bool:
            assert self.alive, f"the bridge has ended; its log:\n{self.output()}"
            return await self.readiness(http) == status

        await eventually_async(asked, f"/readyz answers {status}; log:\n{self.output()}", seconds)

    async def readiness(self, http: aiohttp.ClientSession) -> int | None:
        """The status of `/readyz`, None while the port is closed."""
        try:
            async with http.get(f"{self.base}/readyz") as response:
                return response.status
        except aiohttp.ClientError:
            return None

    async def metric(self, http: aiohttp.ClientSession, name: str) -> dict[str, float]:
        """A metric's values at the admin listener, by label text as in `/metrics`."""
        async with http.get(f"{self.admin}/metrics") as response:
            text = await response.text()
        found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
        return {labels: float(value) for labels, value in found}


class GatewayStandIn:
    """The stand-in gateway on a port of its own; may be started late and stopped."""

    def __init__(self, data: Path, *, persistent: bool = True) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.scripts: Mapping[str, Script] = {}  # the agent's steps by the question's text
        self._options = GatewayOptions(token=TOKEN, agent=AGENT, data=data, persistent=persistent)
        self._runner: web.AppRunner | None = None
        self._listener = Subscriber(frames=asyncio.Queue())
        self._asked: list[str] = []

    @property
    def asked(self) -> list[str]:
        """The texts of all runs begun so far, in order."""
        while not self._listener.frames.empty():
            payload = self._listener.frames.get_nowait().get("payload", {})
            if payload.get("type") == "run.started":
                self._asked.append(payload["payload"]["message"])
        return self._asked

    def times_asked(self, text: str) -> int:
        """How often `text` was asked, by any person."""
        return sum(asked.rpartition("] ")[2] == text for asked in self.asked)

    async def start(self) -> None:
        app = gateway_app(self._options)
        app[GATEWAY].runs.answer = self._answer
        self._listener.caller = app[GATEWAY].keyring.caller(TOKEN)
        app[GATEWAY].events.subscribers.add(self._listener)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await stop_server(self._runner)
            self._runner = None

    def _answer(self, text: str, history: Iterable[Message], now: datetime) -> Script:
        said = text.rpartition("] ")[2]  # a group's text begins with the sender's name
        return self.scripts.get(said) or reply(text, history, now)


@dataclass
class World:
    """A tenant, a gateway and a bridge."""

    teams: Stage
    gateway: GatewayStandIn
    bridge: BridgeProcess
    store: Path
    arrived: list[dict[str, Any]] = field(default_factory=list)
    """All activities posted to Teams by the bridge, recorded at arrival, before the response."""

    @property
    def http(self) -> aiohttp.ClientSession:
        return self.teams.session

    async def start(self) -> None:
        await self.bridge.start(self.http)

    async def restart(self, **settings: str) -> None:
        """Start the bridge again, with `settings` added to its environment for good."""
        self.bridge.environment.update(settings)
        await self.bridge.start(self.http)

    async def kill_and_restart(self) -> None:
        self.bridge.kill()
        await self.start()

    def listen(self, chat: str, after: str = "") -> list[str]:
        """The bot's texts in a chat since the message `after` (all for ""); a card counts by its first line."""
        said = self.teams.tenant.messages(chat)
        ids = [entry.id for entry in said]
        since = ids.index(after) + 1 if after else 0
        return [entry.text or first_line(entry.card) for entry in said[since:] if entry.from_bot]

    def listen_in_thread(self, root: str) -> list[str]:
        """The bot's texts in the thread `root` of the channel `general`."""
        said = self.teams.tenant.messages("general")
        return [entry.text or first_line(entry.card) for entry in said if entry.from_bot and entry.thread == root]

    def delivery(self, chat: str, id_: str) -> str | None:
        """Teams' delivery state of a person's message ("delivered" after a 200); None if the message is unknown."""
        found = self.teams.tenant.message(chat, id_)
        return found.delivery if found else None

    async def say(self, chat: str, who: str, text: str, **more: Any) -> str:
        """Send a person's message; give its id after the bridge's 200."""
        id_ = await self.teams.say(chat, who, text, **more)
        await eventually(lambda: self.delivery(chat, id_) == "delivered", f"the bridge takes {text!r}")
        return id_

    async def meet(self, who: str) -> str:
        """Open a person's personal chat and wait for the welcome; give the chat's id."""
        chat = f"personal-{who}"
        await self.teams.call("POST", f"/api/chats/{chat}/open", {"as": who})
        await eventually(lambda: self.listen(chat), f"{who} is welcomed")
        return chat

    async def bot_texts(self, chat: str, count: int, after: str = "", seconds: float = 30.0) -> list[str]:
        """Wait for `count` messages of the bot since the message `after`; give their texts."""
        await eventually(lambda: len(self.listen(chat, after)) >= count, f"{count} messages in {chat}", seconds)
        return self.listen(chat, after)

    async def idle(self) -> None:
        """Wait until no lane runs, so that a kill from now on hits no turn about to be closed."""

        async def quiet() -> bool:
            return await self.bridge.metric(self.http, "bridge_lanes_running") == {"": 0.0}

        await eventually_async(quiet, "all lanes come to rest")

    def last_card(self, chat: str) -> str:
        """The id of the chat's newest message with a card."""
        return [entry.id for entry in self.teams.tenant.messages(chat) if entry.card][-1]

    async def press(self, chat: str, who: str, card: str) -> tuple[int, Any]:
        """Press a card's first button."""
        return await self.teams.call("POST", f"/api/chats/{chat}/messages/{card}/actions", {"as": who, "action": 0})

    def envelope(self, who: str, chat: str) -> Envelope:
        identity = self.teams.identity
        app, conversation = identity.app, Conversation(self.teams.tenant.chats[chat])
        return Envelope(app.app_id, app.tenant_id, identity.service_url, PEOPLE[who], conversation, datetime.now(UTC))

    def activity(self, who: str, text: str, id_: str) -> dict[str, Any]:
        """A message activity from a person's personal chat, for `post`."""
        return message(self.envelope(who, f"personal-{who}"), id_, text)

    async def post(self, activity: object, *, bearer: str | None = None) -> tuple[int, bytes]:
        """Post JSON to the bridge with `bearer`, by default a valid token of Teams; give status and body."""
        token = self.teams.identity.channel_token() if bearer is None else bearer
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        url = f"{self.bridge.base}/api/messages"
        async with self.http.post(url, data=orjson.dumps(activity), headers=headers) as response:
            return response.status, await response.read()

    def rows(self) -> list[sqlite3.Row]:
        """All rows of the turn table; call after the bridge has ended."""
        assert not self.bridge.alive, "the bridge holds its store alone"
        connection = sqlite3.connect(self.store)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute("SELECT * FROM turns ORDER BY n").fetchall()
        finally:
            connection.close()


def told(who: str, key: str) -> str:
    """The bridge's sentence `key` up to its first field, in the person's language (Bob Vietnamese, Chen Chinese)."""
    return SHIPPED.get(PEOPLE[who].locale.partition("-")[0], ENGLISH)[key].partition("{")[0]


def first_line(card: dict[str, Any] | None) -> str:
    """The text of a card's first element, "" without a card."""
    return str(card["body"][0]["text"]) if card else ""


def bridge_environment(data: Path, page: str, gateway: str, port: int, **settings: str) -> dict[str, str]:
    """A process environment with production settings for the simulated Teams (`page`) and gateway."""
    own = {
        **bot_settings(data / "teams", page),
        "GOCLAW_URL": gateway,
        "GOCLAW_TOKEN": TOKEN,
        "GOCLAW_AGENT": AGENT,
        "BRIDGE_HOST": "127.0.0.1",
        "BRIDGE_PORT": str(port),
        "BRIDGE_ADMIN_PORT": str(free_port()),
        "BRIDGE_STORE": str(data / "bridge.db"),
        "BRIDGE_SHUTDOWN_GRACE": "5",
        # each message gets its own answer; merging has tests of its own
        "BRIDGE_MERGE": "false",
    }
    return clean_environment(**{**own, **settings})


def _record_arrivals(arrived: list[dict[str, Any]]) -> Any:
    @web.middleware
    async def note(request: web.Request, handler: Callable[[web.Request], Awaitable[web.Response]]) -> web.Response:
        if request.method == "POST" and "/v3/conversations/" in request.path:
            arrived.append(orjson.loads(await request.read()))
        return await handler(request)

    return note


@asynccontextmanager
async def world(data: Path, *, gateway_up: bool = True, **settings: str) -> AsyncIterator[World]:
    """A world with Teams and (if `gateway_up`) the gateway running, the bridge not started; all end after the block."""
    (data / "teams").mkdir(parents=True)
    page_port, bot = free_port(), Bot()
    bot.port = free_port()
    page = f"http://127.0.0.1:{page_port}"
    options = TeamsOptions(
        data=data / "teams",
        bot_endpoint=bot.endpoint,
        public_base=page,
        phrases=[],
        agent_label="stand-in agent (no model)",
        agent_kind="stand-in",
        send_limits=False,
    )
    app = await asyncio.to_thread(build_app, options)
    arrived: list[dict[str, Any]] = []
    app.middlewares.append(_record_arrivals(arrived))
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", page_port).start()
    gateway = GatewayStandIn(data / "gateway")
    if gateway_up:
        await gateway.start()
    environment = bridge_environment(data, page, gateway.base, bot.port, **settings)
    bridge = BridgeProcess(environment, data / "bridge.log")
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            stage = Stage(app, page, session, bot)
            yield World(stage, gateway, bridge, Path(environment["BRIDGE_STORE"]), arrived)
    finally:
        bridge.kill()
        await gateway.stop()
        await stop_server(runner)
