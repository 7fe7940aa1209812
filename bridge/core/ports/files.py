"""The ports for files: people's files in Teams, agents' files at the gateway, the store of files to deliver."""

from __future__ import annotations

from typing import Protocol

from bridge.core.files.kept import FileState, KeptFile
from bridge.core.files.shared import SharedFile


class SharedFiles(Protocol):
    """The files in people's messages, and people's OneDrive."""

    async def fetch(self, file: SharedFile) -> bytes:
        """Download a file of a message; returns the bytes, limited in size. Raises: FileFailure."""
        ...

    async def save(self, upload_url: str, content: bytes) -> None:
        """Upload a file to the address from Teams after the person's consent. Raises: FileFailure."""
        ...


class AgentFiles(Protocol):
    """The files of agents, at the gateway."""

    async def fetch(self, path: str) -> bytes:
        """Download the file under a signed path (`/v1/files/…?ft=…`); returns the bytes, limited in size.

        Raises: FileFailure.
        """
        ...


class FileStore(Protocol):
    """The files on the way from agents to people. Every write is on disk when the method returns.

    A file is dropped on expiry or together with the turn's texts, at the earlier moment (`TurnStore.forget_old`). Every
    method may raise StoreUnavailable.
    """

    async def keep(self, file: KeptFile, most: int) -> None:
        """Store the file, and drop the oldest files until all together have at most `most` bytes.

        A repeat changes nothing.
        """
        ...

    async def find(self, id_: str, now: float) -> KeptFile | None:
        """The file with this id; None: unknown, or expired at `now` (epoch seconds)."""
        ...

    async def finish(self, id_: str, state: FileState) -> bool:
        """Record the end of an offered file (saved or declined) and drop the bytes.

        False: the file is unknown or has ended before, and nothing changed.
        """
        ...
