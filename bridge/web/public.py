"""The public listener: `/api/messages` for the Bot Connector, `/healthz` and `/readyz` as a bare status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.teams.inbound import Post, Reply

# An activity's text may have 100 KB counted as UTF-16 and comes twice, plain and as HTML, with entities beside it.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages
MAX_BODY = 1024 * 1024
_READ_SECONDS = 10.0

Door = Callable[[Post], Awaitable[Reply]]


def public_app(door: Door, *, ready: Callable[[], bool]) -> web.Application:
    """The application of the public listener. `ready` decides `/readyz`."""
    app = web.Application(client_max_size=MAX_BODY)
    messages = _Messages(door)
    app.router.add_post("/api/messages", messages.post)
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", lambda _: _status(200 if ready() else 503))
    return app


class _Messages:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def post(self, request: web.Request) -> web.Response:
        async def read() -> bytes | None:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    return await request.read()
            except (web.HTTPRequestEntityTooLarge, TimeoutError):
                return None

        headers = request.headers
        content_type = headers.get("Content-Type", "")
        reply = await self._door(Post(headers.get("Authorization"), content_type, read))
        if reply.body:
            return web.Response(status=reply.status, body=reply.body, content_type="application/json")
        return web.Response(status=reply.status)


async def _alive(_: web.Request) -> web.Response:
    return web.Response(status=200)


async def _status(status: int) -> web.Response:
    return web.Response(status=status)
