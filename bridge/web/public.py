"""The public listener: `/api/messages` for the Bot Connector, `/healthz` and `/readyz` as a bare status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from bridge.teams.authentication import Refused
from bridge.teams.inbound import Post, Reply

# An activity's text may have 100 KB counted as UTF-16 and comes twice, plain and as HTML, with entities beside it.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages
MAX_BODY = 1024 * 1024
_READ_SECONDS = 10.0

Door = Callable[[Post], Awaitable[Reply]]


def public_app(
    door: Door, *, ready: Callable[[], bool], max_body: int = MAX_BODY, read_seconds: float = _READ_SECONDS
) -> web.Application:
    """The application of the public listener. `ready` decides `/readyz`; a body must arrive in `read_seconds`."""
    app = web.Application(client_max_size=max_body, middlewares=[_without_words])
    messages = _Messages(door, read_seconds)
    app.router.add_post("/api/messages", messages.post)

    async def readiness(_: web.Request) -> web.Response:
        return web.Response(status=200 if ready() else 503)

    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", readiness)
    return app


class _Messages:
    def __init__(self, door: Door, read_seconds: float) -> None:
        self._door = door
        self._read_seconds = read_seconds

    async def post(self, request: web.Request) -> web.Response:
        async def read() -> bytes:
            try:
                if request.content.is_eof():  # it came with the head, as nearly all do: no clock is needed
                    return await request.read()
                async with asyncio.timeout(self._read_seconds):
                    return await request.read()
            except web.HTTPRequestEntityTooLarge:
                raise Refused(413, "too_large") from None
            except TimeoutError:
                raise Refused(408, "too_slow") from None
            except (web.RequestPayloadError, ConnectionError):  # bad chunks, bad compression, or nobody there any more
                raise Refused(400, "broken_body") from None

        headers = request.headers
        content_type = headers.get("Content-Type", "")
        reply = await self._door(Post(headers.get("Authorization"), content_type, read))
        if reply.body:
            return web.Response(status=reply.status, body=reply.body, content_type="application/json")
        return web.Response(status=reply.status)


@web.middleware
async def _without_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What aiohttp refuses by itself (path, method) has an empty body, like every other refusal."""
    try:
        return await handler(request)
    except web.HTTPClientError as refused:
        allow = refused.headers.getall("Allow", [])
        return web.Response(status=refused.status, headers=[("Allow", value) for value in allow])


async def _alive(_: web.Request) -> web.Response:
    return web.Response(status=200)
