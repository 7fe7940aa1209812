"""People's files: fetches a file from the address that Teams gave, and saves a file where a person agreed to.

Every address comes from outside, so the host is checked against the cloud's hosts before each request and each
redirect. Only requests for pictures carry the bot's token: download links (docs/reference/teams.md, "Files and pictures
that people send") and upload addresses (docs/reference/teams.md, "Offering a file") need none.
"""

from __future__ import annotations

import asyncio

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
from bridge.teams.clouds import Cloud
from bridge.teams.credentials import OutboundToken

MOST_BYTES = 10 * 1024 * 1024
MOST_REDIRECTS = 3
_FETCH_SECONDS = 20.0
_SAVE_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
# Transfers at the same time; each may hold MOST_BYTES in memory.
_AT_ONCE = 8
_REDIRECTS = (301, 302, 303, 307, 308)
# 401, 403: the ticket in the link has run out; 404, 410: the file was moved or deleted.
_GONE = (401, 403, 404, 410)
# Content-Length must be the size that is read.
_IDENTITY = {"Accept-Encoding": "identity"}


class TeamsFiles:
    """The port `SharedFiles` over the process's shared HTTP session. Time limits are in seconds."""

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
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, file: SharedFile) -> bytes:
        """The file's bytes, MOST_BYTES at most. Raises: FileExpired, FileTooLarge, FileRefused, FileUnreachable."""
        try:
            async with self._slots, asyncio.timeout(self._fetch_seconds):
                return await self._follow(file.url, picture=file.kind is FileKind.PICTURE)
        except ValueError:  # yarl cannot read the address, or the host name cannot be looked up
            raise FileRefused("no address") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FileUnreachable(type(error).__name__) from None

    async def save(self, upload_url: str, content: bytes) -> None:
        """Upload the whole file by a single PUT to the address that Teams gave. Raises: FileFailure."""
        if not self._cloud.allows_file(upload_url):
            raise FileRefused("not a host of files")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}",
        }
        try:
            url = URL(upload_url, encoded=True)
            async with (
                self._slots,
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
            headers = _IDENTITY | await self._bearer() if picture else _IDENTITY
            async with self._session.get(
                URL(url, encoded=True), headers=headers, allow_redirects=False, timeout=self._connect
            ) as answer:
                if answer.status not in _REDIRECTS:
                    return await _content(answer)
                url = _next(url, answer.headers.get("Location", ""))
        raise FileRefused("too many redirects")

    async def _bearer(self) -> dict[str, str]:
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
