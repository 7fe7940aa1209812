"""The files of the tenant on disk, and the short-lived links to them."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# the newest are kept; at 10 MB each that is at most 2 GB, and in a demo a few megabytes
_MOST_FILES = 200
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_LINKS = 1000


class Shelf:
    """Contents by id, which is a UUID; anything else is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, file_id: str, content: bytes) -> None:
        """Raises OSError when the disk refuses it."""
        await asyncio.to_thread(self._write, file_id, content)

    async def get(self, file_id: str) -> bytes | None:
        return await asyncio.to_thread(self._read, file_id)

    def _path(self, file_id: str) -> Path | None:
        # ids come from addresses: only what cannot leave the folder is looked up
        return self._folder / file_id if _ID.fullmatch(file_id) else None

    def _write(self, file_id: str, content: bytes) -> None:
        path = self._path(file_id)
        if path is None:
            raise ValueError("this is no id of a file")
        self._folder.mkdir(exist_ok=True)
        path.write_bytes(content)
        kept = sorted(self._folder.iterdir(), key=lambda one: one.stat().st_mtime_ns)
        for old in kept[:-_MOST_FILES]:
            old.unlink(missing_ok=True)

    def _read(self, file_id: str) -> bytes | None:
        path = self._path(file_id)
        return path.read_bytes() if path is not None and path.is_file() else None


@dataclass(frozen=True, slots=True)
class Link:
    """What a link leads to: a file by its id and name, sent in one chat; `until` on the links' clock."""

    file_id: str
    name: str
    chat: str
    until: float


class Links:
    """Links that work for `seconds`; they are gone after a restart, as if they had expired."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._links: OrderedDict[str, Link] = OrderedDict()

    def add(self, file_id: str, name: str, chat: str) -> str:
        """The secret part of a new link's address."""
        token = secrets.token_urlsafe(32)
        self._links[token] = Link(file_id, name, chat, self._clock() + self._seconds)
        while len(self._links) > _MOST_LINKS:
            self._links.popitem(last=False)
        return token

    def find(self, token: str) -> Link | None:
        link = self._links.get(token)
        return link if link is not None and self._clock() < link.until else None

    def drop(self, token: str) -> None:
        self._links.pop(token, None)
