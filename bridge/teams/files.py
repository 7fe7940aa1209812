"""People's files: fetched from where Teams says they lie, and saved where a person agreed to have one.

Every address comes from outside, so each is held against the cloud's hosts before anything is sent to it, after every
redirect again. Our token goes with requests for pictures at the connector and with nothing else: a download link opens
by itself (docs/reference/teams.md, "Inbound activities"), and so does the place for an upload (docs/reference/teams.md, "File exchange").
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from bridge.core.errors import (
    CredentialsRefused,
    FileExpired,
    FileFailure,
    FileRefused,
    FileTooLarge,
    FileUnreachable,
)
from bridge.core.files.shared import FileKind, SharedFile

if TYPE_CHECKING:
    from bridge.teams.clouds import Cloud
    from bridge.teams.credentials import OutboundToken

MOST_BYTES = 10 * 1024 * 1024
MOST_REDIRECTS = 3
_FETCH_SECONDS = 20.0
_SAVE_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
# Each may hold MOST_BYTES in memory.
_AT_ONCE = 8
_REDIRECTS = (301, 302, 303, 307, 308)
# A link whose ticket has run out is answered 401 or 403; a file that was moved or deleted meanwhile 404 or 410 (docs/reference/teams.md, "Inbound activities").
_GONE = (401, 403, 404, 410)
# The size that is announced must be the size that arrives.
_PLAIN = {"Accept-Encoding": "identity"}


class TeamsFiles:
    """Implements ports.SharedFiles over the process's shared session. Times in seconds."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: OutboundToken,
        cloud: Cloud,
        *,
        fetch_seconds: float = _FETCH_SECONDS,
        save_seconds: float = _SAVE_SECONDS,
    ) -> None:
        self._session = session
        self._token = token
        self._cloud = cloud
        self._fetch_seconds = fetch_seconds
        self._save_seconds = save_seconds
        self._connect = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS)
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, file: SharedFile) -> bytes:
        """The file's bytes. Raises FileExpired, FileTooLarge, FileRefused, FileUnreachable."""
        try:
            async with self._places, asyncio.timeout(self._fetch_seconds):
                return await self._follow(file.url, picture=file.kind is FileKind.PICTURE)
        except ValueError:  # no address after all, or a host that no name server could be asked for
            raise FileRefused("no address") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FileUnreachable(type(error).__name__) from None

    async def save(self, upload_url: str, content: bytes) -> None:
        """Put the whole file in one piece to the place that Teams named. Raises FileFailure."""
        if not self._cloud.allows_file(upload_url):
            raise FileRefused("not a host of files")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}",
        }
        try:
            url = URL(upload_url, encoded=True)
            async with (
                self._places,
                asyncio.timeout(self._save_seconds),
                self._session.put(
                    url, data=content, headers=headers, allow_redirects=False, timeout=self._connect
                ) as answer,
            ):
                if answer.status not in (200, 201):
                    raise _failure(answer.status)
        except ValueError:
            raise FileRefused("no address") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FileUnreachable(type(error).__name__) from None

    async def _follow(self, url: str, *, picture: bool) -> bytes:
        for _ in range(1 + MOST_REDIRECTS):
            allowed = self._cloud.allows_picture(url) if picture else self._cloud.allows_file(url)
            if not allowed:
                raise FileRefused("not a host of files")
            headers = _PLAIN | await self._identity() if picture else _PLAIN
            async with self._session.get(
                URL(url, encoded=True), headers=headers, allow_redirects=False, timeout=self._connect
            ) as answer:
                if answer.status not in _REDIRECTS:
                    return await _content(answer)
                url = _next(url, answer.headers.get("Location", ""))
        raise FileRefused("too many redirects")

    async def _identity(self) -> dict[str, str]:
        try:
            return {"Authorization": self._token.cached or await self._token.header()}
        except CredentialsRefused as refused:
            raise FileUnreachable(refused.detail) from None


def _next(url: str, location: str) -> str:
    try:
        return str(URL(url, encoded=True).join(URL(location, encoded=True)))
    except ValueError:
        raise FileRefused("a redirect to nowhere") from None


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    if answer.status != 200:
        raise _failure(answer.status)
    if (answer.content_length or 0) > MOST_BYTES:
        raise FileTooLarge
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > MOST_BYTES:
            raise FileTooLarge
    return bytes(content)


def _failure(status: int) -> FileFailure:
    return FileExpired(f"HTTP {status}") if status in _GONE else FileUnreachable(f"HTTP {status}")
