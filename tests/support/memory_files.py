"""The files beside the turns, in memory."""

from __future__ import annotations

from dataclasses import replace

from bridge.core.errors import StoreUnavailable
from bridge.core.files.kept import FileState, KeptFile


class MemoryFiles:
    """Implements `FileStore`. `kept` survives a restart; `outages`: how many calls of `keep` still fail."""

    def __init__(self) -> None:
        self.kept: dict[str, KeptFile] = {}
        self.outages = 0

    async def keep(self, file: KeptFile, most: int) -> None:
        if self.outages:
            self.outages -= 1
            raise StoreUnavailable("outage")
        self.kept.setdefault(file.id, file)
        total = 0
        for older in sorted(self.kept.values(), key=lambda older: (-older.created, older.id)):
            total += len(older.content)
            if total > most:
                del self.kept[older.id]

    async def find(self, id_: str, now: float) -> KeptFile | None:
        found = self.kept.get(id_)
        return found if found is not None and found.expires > now else None

    async def finish(self, id_: str, state: FileState) -> bool:
        found = self.kept.get(id_)
        if found is None or found.state is not FileState.OFFERED:
            return False
        self.kept[id_] = replace(found, state=state, content=b"")
        return True

    def forget(self, before: float, now: float) -> int:
        """Delete files kept before `before` or expired `now`; gives the number."""
        old = [file.id for file in self.kept.values() if file.created < before or file.expires <= now]
        for id_ in old:
            del self.kept[id_]
        return len(old)
