"""The world outside the bridge: Teams, Entra ID and the gateway, which record all requests and fail on request.

Identity and the gateway's WebSocket are the simulator's; the connector's requests and the runs are answered here, since
thousands of turns need no chat page.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from support.process_world import AGENT, TOKEN, free_port
from support.servers import stop_server
from support.simulator_world import Bot, Stage

from bridge.simulator.gateway.app import GatewayOptions
from bridge.simulator.gateway.app import build_app as gateway_app
from bridge.simulator.gateway.events import Events
from bridge.simulator.gateway.sessions import Session
from bridge.simulator.gateway.state import GATEWAY
from bridge.simulator.teams import TeamsOptions, build_app
from bridge.simulator.teams.activities import Envelope
from bridge.simulator.teams.json_http import error_answer
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.stream_rules import is_streamed
from bridge.simulator.teams.typed_text import Mention
from bridge.simulator.teams.world import BOT_NAME, PEOPLE, Conversation, teams_bot_id
from chaos.gateway_port import GatewayPort
from chaos.records import (
    LINE,
    BotMessage,
    GatewayRun,
    History,
    PersonAction,
    PersonMessage,
    ProcessorWait,
    SessionDeleted,
    Trouble,
    beginning,
)
from chaos.runs import Run
from chaos.scopes import chat_of, conversation_of, is_personal, lane_of_conversation, lane_of_user, sender_of
from chaos.screen import Screen, card_turn

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Seconds for which the gateway still works on a tool after the caller hung up (docs/reference/goclaw.md, "Sessions").
TAIL_SECONDS = 0.8
_TOKEN = re.compile(r"\[(t\d+)\]")
_EDITED = re.compile(r"\[(t\d+)\] edited")
_SOURCE = re.compile(r"\(run \d+\)|\*T-\d+\*")
_IN_FILE = re.compile(r"\(the file of (t\d+)\)")


@dataclass
class Faults:
    """Probabilities (0 to 1) of injected faults. Each text is hit at most once, so that every turn comes to an end."""

    connector: float = 0.0
    gateway: float = 0.0
    files: float = 0.0
    slowest_run: float = 0.0
    """The longest run in seconds."""
    identity: float = 0.0
    """Probability of a token request that takes 3 to 10 seconds."""
    slow_seconds: float = 1.5
    """How long Teams takes to show a message under the fault "slow"."""
    bucket: tuple[float, int] | None = None
    """The gateway's rate limit: seconds per question, and questions at once; None: no limit."""
    identity_down: bool = False


@dataclass
class OutsideWorld:
    """The records of a storm, and the faults to inject.

    `fault_counts`: injected faults by kind. `running`: runs at work by lane. `last_request_at`: the bridge's last
    request to Teams. `run_seconds`: how long the run of a token's question takes. `forced`: the fault of the next
    request to a place ("connector", "gateway", "files"). Times are monotonic seconds.
    """

    dice: random.Random
    faults: Faults = field(default_factory=Faults)
    person_messages: dict[str, PersonMessage] = field(default_factory=dict)
    screen: Screen = field(default_factory=Screen)
    actions: list[PersonAction] = field(default_factory=list)
    unfetched: set[str] = field(default_factory=set)
    runs: list[GatewayRun] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    fault_counts: Counter[str] = field(default_factory=Counter)
    running: Counter[str] = field(default_factory=Counter)
    last_request_at: float = 0.0
    page: str = ""
    gateway: str = ""
    data: Path = Path()
    run_seconds: dict[str, float] = field(default_factory=dict)
    forced: dict[str, str] = field(default_factory=dict)
    deleted_sessions: list[SessionDeleted] = field(default_factory=list)
    processor_waits: list[ProcessorWait] = field(default_factory=list)
    observer_lags: list[ProcessorWait] = field(default_factory=list)
    stage: Stage | None = None
    gateway_port: GatewayPort | None = None
    events: Events = field(default_factory=Events)
    _run_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _hit: set[str] = field(default_factory=set)
    _bucket_full_at: float = 0.0

    @property
    def http(self) -> aiohttp.ClientSession:
        assert self.stage is not None
        return self.stage.session

    def history(self) -> History:
        """The records so far, without the facts from the turn table."""
        return History(
            list(self.person_messages.values()),
            self.screen.bot_messages,
            self.runs,
            self.troubles,
            actions=self.actions,
            live_messages=list(self.screen.live_messages.values()),
            refusals=self.screen.refusals,
            visible=list(self.screen.visible),
            deleted_sessions=self.deleted_sessions,
            processor_waits=self.processor_waits,
            observer_lags=self.observer_lags,
            unfetched=frozenset(self.unfetched),
        )

    @property
    def bot_messages(self) -> list[BotMessage]:
        return self.screen.bot_messages

    def activity(self, lane: str, about: str, make: Callable[[Envelope], dict[str, Any]]) -> dict[str, Any]:
        """Make an activity in the lane's conversation, of the person who wrote the message `about`."""
        assert self.stage is not None
        identity, who = self.stage.identity, PEOPLE["alice"]
        conversation = Conversation(self.stage.tenant.chats[chat_of(lane)])
        app = identity.app
        made = make(Envelope(app.app_id, app.tenant_id, identity.service_url, who, conversation, datetime.now(UTC)))
        name, aad_id = sender_of(lane, about)
        made["from"] = {"id": f"29:{name.replace(' ', '-')}", "name": name, "aadObjectId": aad_id}
        made["conversation"]["id"] = conversation_of(lane)
        return made

    def mention_of_bot(self) -> Mention:
        assert self.stage is not None
        return Mention(teams_bot_id(self.stage.identity.app.app_id), BOT_NAME)

    def bearer(self) -> str:
        assert self.stage is not None
        return self.stage.identity.channel_token()

    def connector_middleware(self) -> Any:
        """Answers the bridge's requests to Teams and Entra ID, with a fault where the dice say so."""

        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.endswith("/oauth2/v2.0/token"):
                if self.dice.random() < self.faults.identity:
                    self.fault_counts["entra slow"] += 1
                    await request.read()  # now, since the asking replica may be gone afterwards
                    await asyncio.sleep(self.dice.uniform(3.0, 10.0))
                if self.faults.identity_down:
                    self.fault_counts["entra 503"] += 1
                    await asyncio.sleep(0.2)
                    return web.Response(status=503)
            if request.path.startswith("/files/"):
                return await self._file(request)
            if "/members/" in request.path:
                return self._member(request)
            if "/v3/conversations/" not in request.path or request.method == "GET":
                return await handler(request)
            try:
                return await self._take(request, orjson.loads(await request.read() or b"{}"))
            finally:
                self.last_request_at = time.monotonic()

        return answer

    def _member(self, request: web.Request) -> web.Response:
        """Each person asked for is a member of the organisation."""
        assert self.stage is not None
        id_ = request.path.rpartition("/")[2]
        tenant = self.stage.identity.app.tenant_id
        return web.json_response({"id": id_, "tenantId": tenant, "userRole": "user", "userPrincipalName": f"{id_}@x"})

    async def _take(self, request: web.Request, activity: dict[str, Any]) -> web.Response:
        if "/reactions/" in request.path:
            return web.json_response({})
        part = is_streamed(activity)
        if activity["type"] == "typing" and not part:
            return web.json_response({"id": self.screen.new_id()}, status=201)
        lane, arrived = lane_of_conversation(activity["conversation"]["id"]), time.monotonic()
        text = LINE.join(filter(None, (activity.get("text"), activity.get("summary"))))
        fault = self._draw("connector", f"{lane} {text} {activity.get('replyToId')}", _CONNECTOR_FAULTS)
        if fault in ("429", "412", "503"):
            return web.Response(status=int(fault), headers={"Retry-After": "1"} if fault == "429" else {})
        if fault == "slow":
            await asyncio.sleep(self.faults.slow_seconds)
        unknown = fault if fault in ("502", "504", "closed") else ""
        source = found[0] if (found := _SOURCE.search(text)) else card_turn(activity)
        # Activities in channels name no message: the only question of the thread is its first message.
        about = activity.get("replyToId", "") or (lane.removeprefix("thread-") if not is_personal(lane) else "")
        shown = BotMessage(time.monotonic(), lane, text, about, unknown, arrived, source)
        message = request.path.rpartition("/")[2] if request.method == "PUT" else ""
        try:
            id_ = self.screen.take(activity, message, shown)
        except Refused as refused:
            self.fault_counts[f"teams refuses: {refused.message}"] += 1
            headers = {"Retry-After": refused.retry_after} if refused.retry_after else {}
            return error_answer(refused.status, refused.code, refused.message, headers)
        if fault == "closed":
            assert request.transport is not None
            request.transport.abort()
        if unknown:
            return web.Response(status=502 if fault == "closed" else int(fault))
        return web.json_response({"id": id_} if id_ else {}, status=201 if id_ else 202)

    def gateway_middleware(self) -> Any:
        """Answers questions to the gateway, with a fault where the dice say so."""

        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path != "/v1/chat/completions":
                return await handler(request)
            body = orjson.loads(await request.read())
            user = request.headers.get("X-GoClaw-User-Id", "")
            text = body["messages"][-1]["content"] if body.get("messages") else ""
            if not _TOKEN.search(text):
                return await handler(request)
            return await self._run(request, user, text, streamed=body.get("stream") is True)

        return answer

    async def _run(self, request: web.Request, user: str, text: str, *, streamed: bool) -> web.StreamResponse:
        tokens = tuple(dict.fromkeys(_TOKEN.findall(text)))
        run = Run(self.events, user, streamed=streamed)
        began, result = time.monotonic(), "answered"
        fault = self._draw("gateway", " ".join(tokens), _GATEWAY_FAULTS)
        self.running[lane_of_user(user)] += 1
        try:
            if fault == "429" or self._over_the_limit(began):
                result = "refused"
                return web.Response(status=429, text='{"error":{"message":"rate limit exceeded"}}')
            wanted = max((self.run_seconds.get(token, 0.0) for token in tokens), default=0.0)
            # Three in ten may be slow enough for people to see progress.
            slowest = 6 * self.faults.slowest_run if self.dice.random() < 0.3 else self.faults.slowest_run
            answer = f"{beginning(tokens)} (run {next(self._run_numbers)})"
            said = await run.work(wanted or self.dice.uniform(0, slowest), answer)
            if fault == "500":
                result = "failed"
                return web.Response(status=500, text='{"error":{"message":"internal error: x"}}')
            if fault == "closed":
                result = "broken"
                assert request.transport is not None
                request.transport.abort()
            return run.answer(said)
        except asyncio.CancelledError:
            result = "closed"
            asyncio.get_running_loop().call_later(TAIL_SECONDS, run.cancelled)
            raise
        finally:
            self.running[lane_of_user(user)] -= 1
            tail = TAIL_SECONDS if result == "closed" else 0.0
            edited, files = tuple(_EDITED.findall(text)), tuple(_IN_FILE.findall(text))
            ended = time.monotonic() + tail
            self.runs.append(GatewayRun(lane_of_user(user), tokens, began, ended, result, edited, files))

    def record_deletion(self, key: str) -> None:
        """Record the deletion of the session with this key, under the session's lane."""
        lane = lane_of_user(key.removeprefix(f"agent:{AGENT}:http:direct:"))
        self.deleted_sessions.append(SessionDeleted(lane, time.monotonic()))

    async def _file(self, request: web.Request) -> web.Response:
        """Give out a person's file, or a fault where the dice say so."""
        token = request.path.rpartition("/")[2]
        if self._draw("files", token, _FILE_FAULTS):
            self.unfetched.add(token)
            return web.Response(status=503)
        return web.Response(text=f"(the file of {token})")

    def _over_the_limit(self, now: float) -> bool:
        if self.faults.bucket is None:
            return False
        interval, burst = self.faults.bucket
        after = max(self._bucket_full_at, now) + interval
        if after - now > burst * interval + 0.002:
            self.fault_counts["over the limit"] += 1
            return True
        self._bucket_full_at = after
        return False

    def _draw(self, place: str, text: str, kinds: tuple[str, ...]) -> str:
        """A fault for the request about `text`, "" for none; `place` names the probability in `Faults`."""
        forced = self.forced.pop(place, "")
        if not forced and (text in self._hit or self.dice.random() >= getattr(self.faults, place)):
            return ""
        self._hit.add(text)
        fault = forced or self.dice.choice(kinds)
        self.fault_counts[f"{place} {fault}"] += 1
        return fault


_CONNECTOR_FAULTS = ("429", "412", "502", "504", "503", "slow", "closed")
_GATEWAY_FAULTS = ("429", "500", "closed")
_FILE_FAULTS = ("503",)


class _Watched(dict[str, Session]):
    """Sessions by key; calls `on_deletion` with the key of each deletion, also of a session that was not there."""

    def __init__(self, on_deletion: Callable[[str], None]) -> None:
        super().__init__()
        self._on_deletion = on_deletion

    def pop(self, key: str, *default: Any) -> Any:
        self._on_deletion(key)
        return super().pop(key, *default)


@asynccontextmanager
async def open_outside_world(data: Path, dice: random.Random) -> AsyncIterator[OutsideWorld]:
    """Serve Teams, Entra ID and the gateway on free ports, with records and faults from `dice`."""
    (data / "teams").mkdir(parents=True)
    page_port, port = free_port(), free_port()
    world = OutsideWorld(dice, page=f"http://127.0.0.1:{page_port}", gateway=f"http://127.0.0.1:{port}", data=data)
    options = TeamsOptions(
        data=data / "teams",
        bot_endpoint="http://127.0.0.1:9/",
        public_base=world.page,
        phrases=[],
        agent_label="",
        agent_kind="stand-in",
        send_limits=False,
    )
    teams = await asyncio.to_thread(build_app, options)
    teams.middlewares.append(world.connector_middleware())
    agent = gateway_app(GatewayOptions(token=TOKEN, agent=AGENT, data=data / "gateway", persistent=True))
    agent.middlewares.append(world.gateway_middleware())
    world.events = agent[GATEWAY].events
    # The stand-in's own table of sessions, whose class has no way to be told of a deletion.
    agent[GATEWAY].sessions._sessions = _Watched(world.record_deletion)  # noqa: SLF001
    runner, world.gateway_port = web.AppRunner(teams, shutdown_timeout=0.2), GatewayPort(agent, port)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", page_port, reuse_address=True).start()
        await world.gateway_port.open()
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=12)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            world.stage = Stage(teams, world.page, session, Bot())
            yield world
    finally:
        await stop_server(runner)
        await world.gateway_port.remove()
