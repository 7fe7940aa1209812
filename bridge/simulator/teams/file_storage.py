"""The tenant's files on disk, and short-lived links to the files."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# the newest 200 are kept: at 10 MB each at most 2 GB, in a demo a few megabytes
_MOST_FILES = 200
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_LINKS = 1000


class FileStorage:
    """File contents by id in `folder`. Ids are UUIDs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, file_id: str, content: bytes) -> None:
        """Store a file and delete all but the newest 200. `ValueError`: no UUID. Raises: OSError, ValueError."""
        await asyncio.to_thread(self._write, file_id, content)

    async def get(self, file_id: str) -> bytes | None:
        """The file's content, None for an unknown id or an id that is no UUID. Raises: OSError."""
        return await asyncio.to_thread(self._read, file_id)

    def _path(self, file_id: str) -> Path | None:
        # ids come from URLs: a UUID cannot lead out of the folder
        return self._folder / file_id if _ID.fullmatch(file_id) else None

    def _write(self, file_id: str, content: bytes) -> None:
        path = self._path(file_id)
        if path is None:
            raise ValueError("this is no id of a file")
        self._folder.mkdir(exist_ok=True)
        path.write_bytes(content)
        kept = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for old in kept[:-_MOST_FILES]:
            old.unlink(missing_ok=True)

    def _read(self, file_id: str) -> bytes | None:
        path = self._path(file_id)
        return path.read_bytes() if path is not None and path.is_file() else None


@dataclass(frozen=True, slots=True)
class Link:
    """A link's target: a file by id and name, and the file's chat. `until`: the end, by the clock of `Links`."""

    file_id: str
    name: str
    chat: str
    until: float


class Links:
    """Links valid for `seconds`, kept in memory: a restart makes all links invalid, as if expired."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._links: OrderedDict[str, Link] = OrderedDict()

    def add(self, file_id: str, name: str, chat: str) -> str:
        """Make a link; gives the secret part of the address."""
        token = secrets.token_urlsafe(32)
        self._links[token] = Link(file_id, name, chat, self._clock() + self._seconds)
        while len(self._links) > _MOST_LINKS:
            self._links.popitem(last=False)
        return token

    def find(self, token: str) -> Link | None:
        """The link with the secret `token`, None when unknown or expired."""
        link = self._links.get(token)
        return link if link is not None and self._clock() < link.until else None

    def drop(self, token: str) -> None:
        """Make a link invalid."""
        self._links.pop(token, None)
