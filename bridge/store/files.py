"""Files on their way to people, in the database of the turn table."""

from __future__ import annotations

from bridge.core.files.kept import FileState, KeptFile
from bridge.store.codec import clean
from bridge.store.database import Database, Operation
from bridge.store.operations import first_row


class FileTable:
    """Implements `core.ports.files.FileStore`. The files together have a limit in bytes, and expire."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, file: KeptFile, most: int) -> None:
        """See `FileStore.keep`."""
        await self._database.run(lambda: _keep(file, most), atomic=True)

    async def find(self, id_: str, now: float) -> KeptFile | None:
        """See `FileStore.find`."""
        row = await self._database.run(lambda: first_row("find_file", {"id": clean(id_), "now": now}))
        if row is None:
            return None
        return KeptFile(
            id=row["id"],
            turn=row["turn"],
            name=row["name"],
            type=row["type"],
            content=bytes(row["content"]),
            state=FileState(row["state"]),
            conversation=row["conversation"],
            person=row["person"],
            created=row["created"],
            expires=row["expires"],
        )

    async def finish(self, id_: str, state: FileState) -> bool:
        """See `FileStore.finish`."""
        parameters = {"id": clean(id_), "state": state.value, "nothing": b""}
        return await self._database.run(lambda: first_row("finish_file", parameters)) is not None


def _keep(file: KeptFile, most: int) -> Operation[None]:
    yield (
        "keep_file",
        {
            "id": file.id,
            "turn": file.turn,
            "name": clean(file.name),
            "type": file.type,
            "size": len(file.content),
            "state": file.state.value,
            "conversation": clean(file.conversation),
            "person": clean(file.person),
            "created": file.created,
            "expires": file.expires,
            "content": file.content,
        },
    )
    yield "evict_files", {"most": most}
