"""Serves kept files behind signed links, so that neither strangers nor slow readers keep people from their files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from aiohttp import web

from bridge.core.errors import StoreUnavailable
from bridge.core.files.content_type import TEXT
from bridge.core.files.kept import KeptFile
from bridge.web.sockets import SERVER_NAME

# Files held in memory at the same time; all downloads of a file share the file.
_FILES_AT_ONCE = 4
_WAIT_SECONDS = 30.0
GRACE_SECONDS = 5.0
# Bytes a second that a reader must take after the grace; the largest file then leaves its slot within three minutes.
_LEAST_RATE = 64 * 1024
_PIECE = 64 * 1024
# A file comes from the agent or a stranger, so browsers save the file and never open its content under the bridge's
# own name.
# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
_FILE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Server": SERVER_NAME,
}


class LinkedFiles(Protocol):
    """The files behind signed links; a link is the file's id, the expiry and the signature."""

    def is_signed(self, id_: str, expires: str, signature: str) -> bool:
        """Whether the bridge signed the link, and the link has not expired. Needs no I/O."""

    async def open(self, id_: str, expires: str, signature: str) -> KeptFile | None:
        """The file behind the link; None for a link that is not valid. Raises: StoreUnavailable."""


@dataclass(slots=True)
class _Held:
    """A file in memory with the number of the file's downloads; `slot`: whether the file has a slot."""

    downloads: int = 0
    slot: bool = False
    file: KeptFile | None = None
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Downloads:
    """The request handler of file links. A reader slower than the least rate is cut after `grace` seconds."""

    def __init__(self, files: LinkedFiles, grace: float = GRACE_SECONDS) -> None:
        self._files = files
        self._grace = grace
        self._slots = asyncio.Semaphore(_FILES_AT_ONCE)
        self._held: dict[str, _Held] = {}

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer with a file to save. All faults of a link have the same answer, 404."""
        link = (request.match_info["id"], request.query.get("exp", ""), request.query.get("sig", ""))
        if not self._files.is_signed(*link):  # before the slot: strangers have no signed link
            return web.Response(status=404)
        try:
            async with self._file(*link) as file:
                return web.Response(status=404) if file is None else await self._send(request, file)
        except (StoreUnavailable, TimeoutError):
            return web.Response(status=503)

    @asynccontextmanager
    async def _file(self, id_: str, expires: str, signature: str) -> AsyncIterator[KeptFile | None]:
        """Hold the file in memory. Raises: StoreUnavailable, TimeoutError (no slot became free)."""
        held = self._held.setdefault(id_, _Held())
        held.downloads += 1
        try:
            async with asyncio.timeout(_WAIT_SECONDS), held.loading:
                if not held.slot:
                    await self._slots.acquire()
                    held.slot = True
                if held.file is None:
                    held.file = await self._files.open(id_, expires, signature)
            yield held.file
        finally:
            held.downloads -= 1
            if not held.downloads:
                del self._held[id_]
                if held.slot:
                    self._slots.release()

    async def _send(self, request: web.Request, file: KeptFile) -> web.StreamResponse:
        disposition = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
        response = web.StreamResponse(headers={**_FILE_HEADERS, "Content-Disposition": disposition})
        response.content_type = file.type
        if file.type == TEXT:
            response.charset = "utf-8"
        response.content_length = len(file.content)
        loop = asyncio.get_running_loop()
        began = loop.time()

        def limit(sent: int) -> asyncio.Timeout:
            # also a limit for each piece: the system's buffers take megabytes at once from a file that stays unread
            return asyncio.timeout_at(min(loop.time(), began + sent / _LEAST_RATE) + self._grace)

        pieces = range(0, len(file.content), _PIECE) if request.method == "GET" else ()
        try:
            async with limit(0):
                await response.prepare(request)
            for at in pieces:
                async with limit(at):
                    await response.write(file.content[at : at + _PIECE])
            async with limit(len(file.content)):
                await response.write_eof()
        except ConnectionError:  # the reader has gone
            pass
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response
