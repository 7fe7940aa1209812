"""The pipeline's one door to files: with a question, with an answer, and what people said of an offer."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bridge.core.files.kept import KeptFile
from bridge.core.ports.agent import Answer
from bridge.core.turn import Activity, Outcome, Payload, Reply, Turn
from bridge.engine.files_in import FilesIn
from bridge.engine.files_out import FilesOut

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Files:
    """Both ways of files; without one of them nothing is passed on that way."""

    incoming: FilesIn | None = None
    outgoing: FilesOut | None = None

    async def prepare(self, turn: Turn) -> Payload | Reply:
        """What a running question asks, or the reply where nothing is left to ask. Raises Interrupted."""
        if self.incoming is None or not turn.payload.files:
            return turn.payload
        return await self.incoming.prepare(turn)

    async def publish(self, turn: Turn, said: Answer) -> tuple[str, tuple[Activity, ...]]:
        """The answer's Markdown with links that work, and its files, to be shown after its words."""
        if self.outgoing is None:
            return said.text, ()
        try:
            return await self.outgoing.publish(turn, said)
        except Exception as error:  # noqa: BLE001  a fault of ours about a file must not cost people the answer
            _log.error("files_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            return said.text, ()

    async def hand_over(self, turn: Turn) -> Reply:
        """Do what a person said about an offered file."""
        return Reply(Outcome.DELIVERED, ()) if self.outgoing is None else await self.outgoing.hand_over(turn)

    async def open(self, id_: str, expires: str, signature: str) -> KeptFile | None:
        """The file behind a signed link, while it is good. Raises StoreUnavailable."""
        return None if self.outgoing is None else await self.outgoing.open(id_, expires, signature)


NO_FILES = Files()
