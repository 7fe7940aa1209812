"""The HTTP API of the public listener: `/api/messages` for the connector, files by signed link, health as a status."""

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

# Bytes. A text may have 100 KB in UTF-16 and comes twice, plain and as HTML, with entities beside
# (docs/reference/teams.md, "Size of a message").
MAX_BODY = 1024 * 1024
_READ_SECONDS = 10.0

# Downloads at the same time; each holds a file in memory.
_FILES_AT_ONCE = 4
_FILE_SECONDS = 120.0
# A file comes from the agent or a stranger, so browsers save the file and never open its content under the bridge's
# own name.
# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
_FILE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}

Receive = Callable[[Post], Awaitable[Reply]]
OpenFile = Callable[[str, str, str], Awaitable[KeptFile | None]]
"""Gives the file for the id, expiry and signature of a link; None for a link that is not valid."""


def public_app(
    receive: Receive,
    *,
    ready: Callable[[], bool],
    max_body: int = MAX_BODY,
    read_seconds: float = _READ_SECONDS,
    open_file: OpenFile | None = None,
) -> web.Application:
    """The application of the public listener. `receive` answers posted activities, `ready` decides `/readyz`.

    A body may have `max_body` bytes and must arrive within `read_seconds`. Without `open_file` no files are served.
    """
    app = web.Application(client_max_size=max_body, middlewares=[_empty_refusals])
    messages = _Messages(receive, read_seconds)
    app.router.add_post("/api/messages", messages.post)

    async def readiness(_: web.Request) -> web.Response:
        return web.Response(status=200 if ready() else 503)

    if open_file is not None:
        app.router.add_get(FILES_PATH + "/{id}", _Files(open_file).get)
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", readiness)
    return app


class _Messages:
    def __init__(self, receive: Receive, read_seconds: float) -> None:
        self._receive = receive
        self._read_seconds = read_seconds

    async def post(self, request: web.Request) -> web.Response:
        async def read() -> bytes:
            try:
                if request.content.is_eof():  # the body came with the head, as nearly always: no timer is needed
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
        reply = await self._receive(Post(headers.get("Authorization"), content_type, is_compressed(request), read))
        if reply.body:
            return web.Response(status=reply.status, body=reply.body, content_type="application/json")
        return web.Response(status=reply.status)


class _Files:
    def __init__(self, open_file: OpenFile) -> None:
        self._open = open_file
        self._slots = asyncio.Semaphore(_FILES_AT_ONCE)

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a file to save. All faults of a link have the same answer, 404."""
        async with self._slots:
            response = await self._response(request)
            try:
                async with asyncio.timeout(_FILE_SECONDS):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError:  # the client reads too slowly, and more downloads wait for the slot
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
async def _empty_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the text off aiohttp's own refusals (path, method): every refusal has an empty body."""
    try:
        return await handler(request)
    except web.HTTPClientError as refused:
        allow = refused.headers.getall("Allow", [])
        return web.Response(status=refused.status, headers=[("Allow", value) for value in allow])


async def _alive(_: web.Request) -> web.Response:
    return web.Response(status=200)
