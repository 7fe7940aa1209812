"""The HTTP API of the public listener: `/api/messages` for the connector, files by signed link, health as a status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from bridge.core.files.kept import FILES_PATH
from bridge.teams.authentication import Refused
from bridge.teams.inbound import Post, Reply
from bridge.web.content_coding import is_compressed
from bridge.web.downloads import GRACE_SECONDS, Downloads, LinkedFiles

# Bytes. A text may have 100 KB in UTF-16 and comes twice, plain and as HTML, with entities beside
# (docs/reference/teams.md, "Size of a message").
MAX_BODY = 1024 * 1024
_READ_SECONDS = 10.0

Receive = Callable[[Post], Awaitable[Reply]]


def public_app(
    receive: Receive,
    *,
    ready: Callable[[], bool],
    max_body: int = MAX_BODY,
    read_seconds: float = _READ_SECONDS,
    files: LinkedFiles | None = None,
    file_grace: float = GRACE_SECONDS,
) -> web.Application:
    """The application of the public listener. `receive` answers posted activities, `ready` decides `/readyz`.

    A body may have `max_body` bytes and must arrive within `read_seconds`. Without `files` no files are
    served; `file_grace` is described at `Downloads`.
    """
    app = web.Application(client_max_size=max_body, middlewares=[_empty_refusals])
    messages = _Messages(receive, read_seconds)
    app.router.add_post("/api/messages", messages.post)

    async def readiness(_: web.Request) -> web.Response:
        return web.Response(status=200 if ready() else 503)

    if files is not None:
        app.router.add_get(FILES_PATH + "/{id}", Downloads(files, file_grace).get)
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
