"""The page API's reading side: state, messages, recorded traffic, and live events (Server-Sent Events)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import orjson
from aiohttp import web

from bridge.simulator.teams.actions_api import json_refusals
from bridge.simulator.teams.delivery import Courier
from bridge.simulator.teams.json_http import json_answer
from bridge.simulator.teams.membership import NotPossible
from bridge.simulator.teams.messages import page_form
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.traffic import Traffic
from bridge.simulator.teams.world import BOT_NAME, PEOPLE, TENANT_NAME

PING_EVERY = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class BridgeState:
    """The state of the bridge's process for the page. `restarts` counts since the start of the demo."""

    state: Literal["running", "down", "starting"]
    restarts: int
    controllable: bool


class BridgeControl(Protocol):
    """Control of the bridge's process, implemented by the demo."""

    def state(self) -> BridgeState:
        """The present state of the process."""

    async def kill(self) -> None:
        """End the process at once, as `kill -9` does. Returns when the process has ended; a restart follows."""

    def subscribe(self, listener: Callable[[BridgeState], None]) -> None:
        """Call `listener`, on the event loop, with every new state."""


class ChatApi:
    """Handlers below `/api`. `agent` is `{"kind", "label"}` and `phrases` a list of `{"say", "shows"}`.

    - `GET /api/state`; its chats have `"app": "none" | "added" | "removed"`
    - `GET /api/chats/{chat}/messages` -> `{"messages": […]}`, oldest first, as `messages.page_form` gives them
    - `GET /api/traffic` -> `{"entries": […]}`, oldest first, with the fields of `traffic.Entry`
    - `GET /api/events`: events `message`, `typing`, `bridge`, `chat` (a chat of the state has changed) and `traffic`
    - `POST /api/bridge/kill`

    Requests by which a person acts are in `actions_api`.
    """

    def __init__(
        self,
        tenant: Tenant,
        courier: Courier,
        traffic: Traffic,
        *,
        agent: dict[str, str],
        phrases: list[dict[str, str]],
        control: BridgeControl | None,
    ) -> None:
        self._tenant = tenant
        self._traffic = traffic
        self._agent = agent
        self._phrases = phrases
        self._control = control
        self._courier = courier
        if control is None:
            courier.subscribe(self._announce_bridge)
        else:
            control.subscribe(lambda _state: self._announce_bridge())

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/state", self._state),
            web.get("/api/events", self._events),
            web.get("/api/traffic", self._traffic_entries),
            web.post("/api/bridge/kill", json_refusals(self._kill)),
            web.get("/api/chats/{chat}/messages", json_refusals(self._messages)),
        ]

    async def _traffic_entries(self, _request: web.Request) -> web.Response:
        return json_answer({"entries": self._traffic.entries()})

    def _bridge(self) -> BridgeState:
        if self._control is not None:
            return self._control.state()
        # without control of the process, only the bot's last answer tells whether the bridge runs
        return BridgeState("running" if self._courier.reachable else "down", restarts=0, controllable=False)

    def _announce_bridge(self) -> None:
        self._tenant.news.announce({"type": "bridge", "bridge": asdict(self._bridge())})

    async def _state(self, _request: web.Request) -> web.Response:
        people = [
            {
                "id": person.id,
                "name": person.name,
                "initials": person.initials,
                "guest": person.guest,
                "locale": person.locale,
            }
            for person in PEOPLE.values()
        ]
        return json_answer(
            {
                "bot": {"name": BOT_NAME},
                "tenant": {"name": TENANT_NAME},
                "people": people,
                "chats": [self._tenant.chat_form(chat) for chat in self._tenant.chats],
                "phrases": self._phrases,
                "agent": self._agent,
                "bridge": asdict(self._bridge()),
            }
        )

    async def _messages(self, request: web.Request) -> web.Response:
        chat = request.match_info["chat"]
        if chat not in self._tenant.chats:
            raise NotPossible("There is no such chat.", 404)
        return json_answer({"messages": [page_form(message) for message in self._tenant.messages(chat)]})

    async def _kill(self, _request: web.Request) -> web.Response:
        if self._control is None:
            return json_answer({"error": "There is no bridge process to control here."}, 409)
        await self._control.kill()
        return json_answer({}, 202)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        with self._tenant.news.listen() as listener:
            await response.prepare(request)
            await response.write(b": connected\n\n")
            try:
                while True:
                    event = await listener.next(PING_EVERY)
                    line = b": ping\n\n" if event is None else b"data: " + orjson.dumps(event) + b"\n\n"
                    # a page too slow to read is disconnected, too
                    async with asyncio.timeout(PING_EVERY):
                        await response.write(line)
            except (ConnectionError, TimeoutError):
                pass  # the page is gone or too slow, or the server stops; the browser reconnects
        return response
