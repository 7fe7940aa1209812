"""What the engine needs of the world for files. Each port has one real implementation and stand-ins in tests."""

from __future__ import annotations

from typing import Protocol

from bridge.core.files.kept import FileState, KeptFile
from bridge.core.files.shared import SharedFile


class SharedFiles(Protocol):
    """The files of people's messages, and people's OneDrive."""

    async def fetch(self, file: SharedFile) -> bytes:
        """The file's bytes. Raises FileFailure."""
        ...

    async def save(self, upload_url: str, content: bytes) -> None:
        """Put a file where its person agreed to have it. Raises FileFailure."""
        ...


class AgentFiles(Protocol):
    """The files that agents make, at the gateway."""

    async def fetch(self, path: str) -> bytes:
        """The bytes under a signed path. Raises FileFailure."""
        ...


class FileStore(Protocol):
    """The files on their way to people. Every method raises StoreUnavailable; every write is on disk when it returns.

    They go when they expire, or with their turns' texts if that is sooner (`TurnStore.forget_old`).
    """

    async def keep(self, file: KeptFile, most: int) -> None:
        """Keep the file; of all files together at most `most` bytes stay, the newest. Repeated, it changes nothing."""
        ...

    async def find(self, id_: str, now: float) -> KeptFile | None:
        """The file, until it expires."""
        ...

    async def finish(self, id_: str, state: FileState) -> bool:
        """An offered file has found its end; its bytes are dropped. False where it had found one already."""
        ...
