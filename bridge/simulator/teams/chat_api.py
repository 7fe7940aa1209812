"""The chat page's API: state, messages, what a person does, and live news as Server-Sent Events."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import orjson
from aiohttp import web

from bridge.simulator.teams.answers import json_answer, json_object
from bridge.simulator.teams.people import NotPossible, People
from bridge.simulator.teams.tenant import page_form
from bridge.simulator.teams.world import BOT_NAME, PEOPLE, TENANT_NAME, Chat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.simulator.teams.delivery import Courier
    from bridge.simulator.teams.tenant import Tenant

PING_EVERY = 15.0


@dataclass(frozen=True, slots=True)
class BridgeState:
    """The bridge's process as the page shows it. `restarts` counts since the demo was started."""

    state: Literal["running", "down", "starting"]
    restarts: int
    controllable: bool


class BridgeControl(Protocol):
    """Who runs the bridge's process."""

    def state(self) -> BridgeState: ...

    async def kill(self) -> None:
        """End the process at once, as `kill -9` does. Returns when that is done; a restart follows."""

    def subscribe(self, listener: Callable[[BridgeState], None]) -> None:
        """Call `listener`, on the event loop, with every new state."""


class ChatApi:
    """Handlers below `/api`. `agent` is `{"kind", "label"}` and `phrases` a list of `{"say", "shows"}`."""

    def __init__(
        self,
        tenant: Tenant,
        people: People,
        courier: Courier,
        *,
        agent: dict[str, str],
        phrases: list[dict[str, str]],
        control: BridgeControl | None,
    ) -> None:
        self._tenant = tenant
        self._people = people
        self._agent = agent
        self._phrases = phrases
        self._control = control
        self._courier = courier
        if control is None:
            courier.subscribe(self._announce_bridge)
        else:
            control.subscribe(lambda _state: self._announce_bridge())

    def routes(self) -> list[web.RouteDef]:
        chat = "/api/chats/{chat}"
        return [
            web.get("/api/state", self._state),
            web.get("/api/events", self._events),
            web.post("/api/bridge/kill", _explained(self._kill)),
            web.post(chat + "/open", _explained(self._open)),
            web.get(chat + "/messages", _explained(self._messages)),
            web.post(chat + "/messages", _explained(self._say)),
            web.post(chat + "/messages/{message}/actions", _explained(self._press)),
        ]

    def _bridge(self) -> BridgeState:
        if self._control is not None:
            return self._control.state()
        # nobody here controls its process: all there is to know is whether it answered lately
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
                "chats": [_chat_form(chat) for chat in self._tenant.chats.values()],
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

    async def _open(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        await self._people.open(request.match_info["chat"], _text(body, "as"))
        return web.Response(status=204)

    async def _say(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        thread = body.get("thread")
        said = await self._people.say(
            request.match_info["chat"],
            _text(body, "as"),
            _text(body, "text"),
            mention=body.get("mention") is True,
            thread=None if thread is None else _text(body, "thread"),
        )
        return json_answer({"id": said.id}, 201)

    async def _press(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        number = body.get("action")
        if not isinstance(number, int) or isinstance(number, bool):
            raise NotPossible("'action' must be a number.")
        where = request.match_info
        pressed = await self._people.press(where["chat"], _text(body, "as"), where["message"], number)
        return json_answer({"ok": pressed.taken, "message": pressed.told}, 200 if pressed.taken else 502)

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
                    # a page that does not read is let go, too
                    async with asyncio.timeout(PING_EVERY):
                        await response.write(line)
            except (ConnectionError, TimeoutError):
                pass  # the page is gone, was too slow or the server stops: it comes back by itself
        return response


def _chat_form(chat: Chat) -> dict[str, Any]:
    return {
        "id": chat.id,
        "kind": chat.kind,
        "title": chat.title,
        "members": chat.members,
        "team": chat.team,
        "unread": 0,  # who has read what is known to each page alone
    }


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise NotPossible(f"'{name}' must be a text.")
    return value


def _explained(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler with its refusals as `{"error": sentence}`."""

    async def explained(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except NotPossible as refused:
            return json_answer({"error": str(refused)}, refused.status)
        except web.HTTPRequestEntityTooLarge:
            return json_answer({"error": "That is too much at once."}, 413)
        except ValueError:
            return json_answer({"error": "The body is no JSON object."}, 400)

    return explained
