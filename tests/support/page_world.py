"""The chat page with an API made of dictionaries, for states that a simulated tenant would reach only with effort.

The real page is served with the real headers; `PageStage.asked` holds the page's requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

import bridge.simulator.teams
from bridge.simulator.teams.events import Announcer
from bridge.simulator.teams.guard import add_headers, guard
from support.servers import stop_server

_STATIC = Path(bridge.simulator.teams.__file__).parent / "static"
_PING_EVERY = 15.0

PEOPLE = [
    {"id": "alice", "name": "Alice Nguyen", "initials": "AN", "guest": False, "locale": "en-US"},
    {"id": "bob", "name": "Bob Tran", "initials": "BT", "guest": False, "locale": "vi-VN"},
    {"id": "chen", "name": "Chen Wei", "initials": "CW", "guest": False, "locale": "zh-CN"},
]
STATE = {
    "bot": {"name": "GoClaw"},
    "tenant": {"name": "Contoso"},
    "people": PEOPLE,
    "phrases": [{"say": "hi", "shows": "a greeting"}, {"say": "show me a table", "shows": "a table"}],
    "agent": {"kind": "stand-in", "label": "stand-in agent (no model)"},
    "bridge": {"state": "running", "restarts": 0, "controllable": True},
}


def _chat(chat: str, kind: str, title: str, members: list[str], team: str | None = None) -> dict[str, Any]:
    return {"id": chat, "kind": kind, "title": title, "members": members, "team": team, "unread": 0, "app": "added"}


class PageStage:
    """The page's data, and the page's requests in `asked`: `(method, path below /api/chats/, body)`."""

    def __init__(self) -> None:
        self.base = ""
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.refusal: str | None = None  # the sentence that refuses every request below /api/chats/
        self.traffic: list[dict[str, Any]] = []
        self.news = Announcer()
        chats = [
            _chat("personal-alice", "personal", "GoClaw", ["alice"]),
            _chat("launch-team", "groupChat", "Launch team", ["alice", "bob", "chen"]),
            _chat("general", "channel", "General", ["alice", "bob", "chen"], "Contoso"),
        ]
        self.chats = {chat["id"]: chat for chat in chats}
        self._messages: dict[str, dict[str, dict[str, Any]]] = {chat: {} for chat in self.chats}

    def show(self, message_id: str, text: str = "", *, who: str = "bot", **more: Any) -> None:
        """Store a new or changed message and send the message to every open page. `notify` is sent but not stored."""
        names = {person["id"]: person["name"] for person in PEOPLE}
        chat = more.pop("chat", "personal-alice")
        message = {
            "id": message_id,
            "chat": chat,
            "thread": None,
            "at": "2026-11-25T10:00:00.000Z",
            "from": {"id": who, "name": names.get(who, "GoClaw"), "bot": who == "bot"},
            "text": text,
            "html": f"<p>{text}</p>" if text else "",
            "edited": False,
            "deleted": False,
            "ai": False,
            "card": None,
            "delivery": None if who == "bot" else "delivered",
            "answered_action": None,
            **more,
        }
        self._messages[chat][message_id] = {**message, "notify": False}
        self.news.announce({"type": "message", "message": message})

    def request(self, n: int, **more: Any) -> None:
        """Record a request between the bridge and Teams, and send the entry to every open page."""
        entry = {
            "n": n,
            "at": f"2026-11-25T10:00:{n % 60:02}.000Z",
            "to": "teams",
            "method": "POST",
            "path": "/emea/0f5ab3f8-0b4f-5bd7/v3/conversations/a:1mTm4cDqGxTq8nDWzYcGkW5nQ0vKq/activities",
            "status": 201,
            "code": None,
            "what": f"message: number {n}",
            "verdict": "Accepted.",
            "chat": "personal-alice",
            **more,
        }
        self.traffic.append(entry)
        self.news.announce({"type": "traffic", "entry": entry})

    def routes(self) -> list[web.RouteDef]:
        """The page and the page API."""
        return [
            web.get("/", self._page),
            web.get("/api/state", self._state),
            web.get("/api/events", self._events),
            web.get("/api/traffic", self._traffic),
            web.get("/api/files/{name}", self._file),
            web.get("/api/chats/{chat}/messages", self._read),
            web.route("*", "/api/chats/{rest:.+}", self._act),
        ]

    async def _page(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(_STATIC / "index.html")

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response({**STATE, "chats": list(self.chats.values())})

    async def _traffic(self, _request: web.Request) -> web.Response:
        return web.json_response({"entries": self.traffic})

    async def _file(self, request: web.Request) -> web.Response:
        return web.Response(text=f"what is in {request.match_info['name']}")

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response({"messages": list(self._messages[request.match_info["chat"]].values())})

    async def _act(self, request: web.Request) -> web.Response:
        path = request.match_info["rest"]
        if not path.endswith("/open"):
            self.asked.append((request.method, path, orjson.loads(await request.read())))
        if self.refusal is not None:
            return web.json_response({"error": self.refusal}, status=400)
        if request.method == "POST" and path.endswith("/messages"):
            return web.json_response({"id": "1"}, status=201)
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        with self.news.listen() as listener:
            await response.prepare(request)
            await response.write(b": connected\n\n")
            try:
                while True:
                    event = await listener.next(_PING_EVERY)
                    line = b": ping\n\n" if event is None else b"data: " + orjson.dumps(event) + b"\n\n"
                    async with asyncio.timeout(_PING_EVERY):
                        await response.write(line)
            except (ConnectionError, TimeoutError):
                pass  # the page is gone, or the test ends
        return response


@asynccontextmanager
async def page_stage() -> AsyncIterator[PageStage]:
    """Serve a PageStage on a free port of 127.0.0.1."""
    staged = PageStage()
    app = web.Application(middlewares=[guard], client_max_size=16 * 1024 * 1024)
    app.add_routes([*staged.routes(), web.static("/static", _STATIC)])
    app.on_response_prepare.append(add_headers)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    staged.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield staged
    finally:
        staged.news.close()
        await stop_server(runner)
