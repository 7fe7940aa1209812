"""Brings the files of a question from Teams to the agent.

Files are fetched when the question runs, not at acceptance: the row holds each file's address, so a crash loses no
file, and people are told of an expired link. Fetched text becomes part of the row's question, so a question asked again
or taken over needs no second fetch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from bridge import metrics
from bridge.core.errors import FileFailure, Interrupted
from bridge.core.files.prompt import TextFile, text_file, with_files
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.identity import prompt_text
from bridge.core.outbound.answers_and_notes import note, note_turn
from bridge.core.ports.clock import Clock
from bridge.core.ports.files import SharedFiles
from bridge.core.ports.store import TurnStore
from bridge.core.texts import say
from bridge.core.turn import Accepted, NewTurn, Outcome, Payload, Reply, Scope, Turn
from bridge.engine.store_retry import with_retry

_log = structlog.get_logger()

_MEGABYTES = 10
_READ_AT_ONCE = 100_000


class FilesIn:
    """Fetches the files of questions. `accept` queues the note about files that could not be passed on."""

    def __init__(
        self,
        *,
        store: TurnStore,
        shared: SharedFiles,
        accept: Callable[[NewTurn], Awaitable[Accepted]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._shared = shared
        self._accept = accept
        self._clock = clock

    async def prepare(self, turn: Turn) -> Payload | Reply:
        """Put the files' text into a running question's payload; a reply instead if no question is left to ask.

        A question without files stays unchanged. A note tells people at once which files could not be passed on.
        Interrupted: the turn was taken over meanwhile. Raises: Interrupted.
        """
        payload, locale = turn.payload, turn.locale
        if not payload.files:
            return payload
        texts: list[TextFile] = []
        missing: list[str] = []
        lines: list[str] = []
        # all at once, since the turn holds a slot meanwhile
        reads = await self._read_all(turn)
        for file, read in zip(payload.files, reads, strict=True):
            if isinstance(read, TextFile):
                texts.append(read)
            else:
                missing.append(file.name)
                lines.append(_line(file.name, read))
        words = payload.text or prompt_text(payload.reference.scope, payload.person.name, say("files_alone"))
        inlined = with_files(words, texts, missing)
        no_room = say("file_no_room", locale)
        lines += [_line(name, no_room) for name in inlined.left_out]
        for name, kept, size in inlined.cut:
            reason = say("file_cut", locale, kept=kept, size=size)
            lines.append(_line(name, reason))
        if not payload.text and len(inlined.left_out) == len(texts):
            return Reply(Outcome.DELIVERED, (note(say("files_only", locale, files="\n".join(lines))),))
        if lines:
            await with_retry(self._accept, self._note(turn, say("files_missed", locale, files="\n".join(lines))))
        blocks = iter(inlined.blocks)
        added = tuple(next(blocks) if isinstance(read, TextFile) else "" for read in reads)
        asked = replace(payload, text=inlined.text, files=(), inlined=payload.inlined + added)
        if not await with_retry(self._store.replace_payload, turn.ticket, asked):
            raise Interrupted
        return asked

    async def _read_all(self, turn: Turn) -> list[TextFile | str]:
        return await asyncio.gather(*(self._read(turn, file) for file in turn.payload.files))

    async def _read(self, turn: Turn, file: SharedFile) -> TextFile | str:
        """The file's text, or a sentence why the file could not be passed on."""
        scope, locale = turn.payload.reference.scope, turn.locale
        if file.kind is FileKind.WITHHELD:
            metrics.FILES_IN.labels("withheld").inc()
            return say("file_withheld_here" if scope is Scope.PERSONAL else "file_withheld", locale)
        if file.kind is FileKind.PICTURE:  # a picture holds no text, so no fetch is needed
            metrics.FILES_IN.labels("not_text").inc()
            return say("file_no_text", locale)
        try:
            content = await self._shared.fetch(file)
        except FileFailure as failure:
            metrics.FILES_IN.labels(failure.label).inc()
            _log.warning("file_not_fetched", turn=turn.name, error=failure.label, detail=failure.detail)
            return say(failure.label, locale, megabytes=_MEGABYTES)
        # a large file takes a while to decode, and all turns share the event loop
        large = len(content) > _READ_AT_ONCE
        text = await asyncio.to_thread(text_file, file.name, content) if large else text_file(file.name, content)
        metrics.FILES_IN.labels("not_text" if text is None else "read").inc()
        return say("file_no_text", locale) if text is None else text

    def _note(self, turn: Turn, words: str) -> NewTurn:
        return note_turn(f"{turn.id}|files", turn.payload, note(words), self._clock.now())


def _line(name: str, reason: str) -> str:
    return f"- `{name}`: {reason}"
