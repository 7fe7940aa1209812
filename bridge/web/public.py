"""The public listener: `/api/messages` for the Bot Connector, files by signed link, health as a bare status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from bridge.core.errors import StoreUnavailable
from bridge.core.files.content_type import TEXT
from bridge.core.files.kept import FILES_PATH, KeptFile
from bridge.teams.authentication import Refused
from bridge.teams.inbound import Post, Reply
from bridge.web.content_coding import is_compressed

# An activity's text may have 100 KB counted as UTF-16 and comes twice, plain and as HTML, with entities beside it.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages
MAX_BODY = 1024 * 1024
_READ_SECONDS = 10.0

# Each holds a file in memory.
_FILES_AT_ONCE = 4
_FILE_SECONDS = 120.0
# A file is the agent's or a stranger's work: it is saved, never opened in the bridge's own name.
# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
_FILE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}

Door = Callable[[Post], Awaitable[Reply]]
OpenFile = Callable[[str, str, str], Awaitable[KeptFile | None]]
"""By id, expiry and signature of a link."""


def public_app(
    door: Door,
    *,
    ready: Callable[[], bool],
    max_body: int = MAX_BODY,
    read_seconds: float = _READ_SECONDS,
    open_file: OpenFile | None = None,
) -> web.Application:
    """The application of the public listener. `ready` decides `/readyz`; a body must arrive in `read_seconds`."""
    app = web.Application(client_max_size=max_body, middlewares=[_without_words])
    messages = _Messages(door, read_seconds)
    app.router.add_post("/api/messages", messages.post)

    async def readiness(_: web.Request) -> web.Response:
        return web.Response(status=200 if ready() else 503)

    if open_file is not None:
        app.router.add_get(FILES_PATH + "/{id}", _Files(open_file).get)
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
            except (web.RequestPayloadError, ConnectionError):  # bad chunks, or a client that has gone
                raise Refused(400, "broken_body") from None

        headers = request.headers
        content_type = headers.get("Content-Type", "")
        reply = await self._door(Post(headers.get("Authorization"), content_type, is_compressed(request), read))
        if reply.body:
            return web.Response(status=reply.status, body=reply.body, content_type="application/json")
        return web.Response(status=reply.status)


class _Files:
    def __init__(self, open_file: OpenFile) -> None:
        self._open = open_file
        self._places = asyncio.Semaphore(_FILES_AT_ONCE)

    async def get(self, request: web.Request) -> web.Response:
        """A file to save. Whatever is wrong with a link, the answer is the same."""
        async with self._places:
            response = await self._response(request)
            try:
                async with asyncio.timeout(_FILE_SECONDS):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError:  # somebody reads too slowly, and others wait for the place
                if request.transport is not None:
                    request.transport.abort()
            return response

    async def _response(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            file = await self._open(request.match_info["id"], query.get("exp", ""), query.get("sig", ""))
        except StoreUnavailable:
            return web.Response(status=503)
        if file is None:
            return web.Response(status=404)
        disposition = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
        return web.Response(
            body=file.content,
            content_type=file.type,
            charset="utf-8" if file.type == TEXT else None,
            headers={**_FILE_HEADERS, "Content-Disposition": disposition},
        )


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
