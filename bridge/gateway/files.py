"""Fetches files of the agents' workspaces with the ticket of their signed links (docs/reference/goclaw.md, "Files").

The bridge's bearer is never sent: a model wrote the path, and the bearer opens the files of all users.
"""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from bridge.core.errors import FileExpired, FileRefused, FileTooLarge, FileUnreachable
from bridge.core.files.answer_links import fetchable
from bridge.gateway.connection import read_up_to

MOST_BYTES = 25 * 1024 * 1024
_SECONDS = 20.0
_AT_ONCE = 4  # fetches; each may hold MOST_BYTES in memory
_GONE = (401, 403, 404, 410)


class GatewayFiles:
    """Implements `core.ports.files.AgentFiles`, below the configured address only. `seconds`: time limit of a file."""

    def __init__(self, *, http: aiohttp.ClientSession, base_url: str, seconds: float = _SECONDS) -> None:
        self._http = http
        self._base = base_url.rstrip("/")
        self._seconds = seconds
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, path: str) -> bytes:
        """The bytes under a signed path. Raises: FileExpired, FileRefused, FileTooLarge, FileUnreachable."""
        parts = fetchable(path)
        if parts is None:
            raise FileRefused("not a path of files")
        unsigned, ticket = parts
        if not ticket:
            raise FileExpired("a link without ticket")  # the gateway signs all links to its files
        url = URL(self._base + unsigned).with_query({"ft": ticket})
        try:
            async with (
                self._slots,
                asyncio.timeout(self._seconds),
                self._http.get(url, headers={"Accept-Encoding": "identity"}, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    failure = FileExpired if answer.status in _GONE else FileUnreachable
                    raise failure(f"HTTP {answer.status}")
                if (answer.content_length or 0) > MOST_BYTES:
                    raise FileTooLarge
                content = await read_up_to(answer, MOST_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FileUnreachable(type(error).__name__) from None
        if len(content) > MOST_BYTES:
            raise FileTooLarge
        return content
