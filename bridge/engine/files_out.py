"""Brings the files of an answer from the gateway to people.

Files are fetched before the reply is stored, since the gateway's links expire and open for the bridge only
(docs/reference/goclaw.md, "Files"). A picture goes into the chat. Other files are kept for a day, behind a signed
link in groups and channels, offered by a consent card in personal chats (docs/reference/teams.md, "Offering a file").
A person's response to an offer is a turn, so the response survives a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

import structlog

from bridge import metrics
from bridge.core.errors import FileExpired, FileFailure, FileTooLarge, StoreUnavailable
from bridge.core.files.answer_links import NOWHERE, AgentFile, Linked, Replacement, linked_files, relinked
from bridge.core.files.content_type import is_showable, type_of
from bridge.core.files.kept import Consent, FileLinks, FileState, KeptFile
from bridge.core.live_message import LiveMessage
from bridge.core.outbound import file_cards
from bridge.core.outbound.answers_and_notes import note
from bridge.core.ports.agent import Answer
from bridge.core.ports.clock import Clock
from bridge.core.ports.files import AgentFiles, FileStore, SharedFiles
from bridge.core.texts import say
from bridge.core.turn import Activity, Outcome, Reply, Scope, Turn
from bridge.engine.store_retry import with_retry

_log = structlog.get_logger()

KEPT_SECONDS = 24 * 3600.0
MOST_KEPT_BYTES = 200 * 1024 * 1024
MOST_FILES = 5
_PARSED_AT_ONCE = 8_000
_WHOLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Passed:
    """How people get a file: the replacement of the link, and the activity beside the answer."""

    replacement: Replacement
    activity: Activity | None = None


class FilesOut:
    """Passes on files made by the agent. `base`: the gateway's address. `offers`: whether the cloud has consent cards.

    `links`: None without a public address; then groups and channels get no files, and a sentence says so. `new_id`
    gives ids that cannot be guessed.
    """

    def __init__(
        self,
        *,
        store: FileStore,
        made: AgentFiles,
        shared: SharedFiles,
        clock: Clock,
        new_id: Callable[[], str],
        base: str,
        links: FileLinks | None,
        offers: bool,
    ) -> None:
        self._store = store
        self._made = made
        self._shared = shared
        self._clock = clock
        self._new_id = new_id
        self._base = base
        self._links = links
        self._offers = offers

    async def publish(self, turn: Turn, answer: Answer) -> tuple[str, tuple[Activity, ...]]:
        """Fetch the answer's files; gives the Markdown with working links, and the activities to show after the text.

        Raises no error: a fault of the bridge about a file costs people the file, not the answer.
        """
        try:
            return await self._publish(turn, answer)
        except Exception as error:  # noqa: BLE001  a fault of the bridge about a file must not cost people the answer
            _log.error("files_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            return answer.text, ()

    async def hand_over(self, turn: Turn) -> Reply:
        """Carry out a person's response to an offered file: save the file to OneDrive, or drop it."""
        consent, reference = turn.payload.consent, turn.payload.reference
        if consent is None:
            return Reply(Outcome.DELIVERED, ())
        kept = await with_retry(self._store.find, consent.file, self._clock.now())
        asked_for = (reference.conversation, turn.payload.person.aad_id)
        if kept is None or (kept.conversation, kept.person) != asked_for or kept.state is FileState.LINKED:
            return _reply_replacing_card(turn, consent, "file_offer_gone", "")
        if not consent.accepted:
            await with_retry(self._store.finish, kept.id, FileState.DECLINED)
            return _reply_replacing_card(turn, consent, "file_declined", kept.name)
        if kept.state is FileState.DECLINED:
            return _reply_replacing_card(turn, consent, "file_offer_gone", "")
        if kept.state is FileState.OFFERED:
            try:
                await self._shared.save(consent.upload_url, kept.content)
            except FileFailure as failure:
                _log.warning("file_not_saved", turn=turn.name, error=failure.label, detail=failure.detail)
                metrics.FILES_OUT.labels("not_saved").inc()
                return _reply_replacing_card(turn, consent, "file_not_saved", kept.name)
            # recorded before the reply: an upload repeated after a crash would be refused
            await with_retry(self._store.finish, kept.id, FileState.SAVED)
        metrics.FILES_OUT.labels("saved").inc()
        return _reply_replacing_card(turn, consent, "file_saved", kept.name)

    async def open(self, id_: str, expires: str, signature: str) -> KeptFile | None:
        """The file behind a signed link; None for a wrong or expired link. Raises: StoreUnavailable."""
        now = self._clock.now()
        if self._links is None or not self._links.opens(id_, expires, signature, now):
            return None
        kept = await self._store.find(id_, now)
        return kept if kept is not None and kept.state is FileState.LINKED else None

    async def _publish(self, turn: Turn, answer: Answer) -> tuple[str, tuple[Activity, ...]]:
        if len(answer.text) > _PARSED_AT_ONCE:  # takes a while, and all turns share the event loop
            linked = await asyncio.to_thread(linked_files, answer.text, self._base)
        else:
            linked = linked_files(answer.text, self._base)
        passed = await self._pass_all(turn, linked, answer.files)
        text = relinked(answer.text, self._base, {link.target: passed[_path(link.file)].replacement for link in linked})
        text += self._listed(linked, answer.files, passed)
        return text, tuple(file.activity for file in passed.values() if file.activity is not None)

    async def _pass_all(
        self, turn: Turn, linked: tuple[Linked, ...], beside: tuple[AgentFile, ...]
    ) -> dict[str, _Passed]:
        """Pass each file on once, even if linked twice; gives results by path at the gateway."""
        files: dict[str, AgentFile] = {}
        for file in (*(link.file for link in linked), *beside):
            files.setdefault(_path(file), file)
        passed: dict[str, _Passed] = {}
        until = asyncio.get_running_loop().time() + _WHOLE_SECONDS
        for path, file in files.items():
            late = asyncio.get_running_loop().time() > until
            if late or len(passed) >= MOST_FILES:
                words = say("file_too_many", turn.locale, most=MOST_FILES)
                passed[path] = _Passed(Replacement(NOWHERE, words))
            else:
                passed[path] = await self._pass(turn, file)
        return passed

    async def _pass(self, turn: Turn, file: AgentFile) -> _Passed:
        locale = turn.locale
        try:
            content = await self._made.fetch(file.path)
            if not content:
                raise FileExpired("empty")
        except FileTooLarge:
            metrics.FILES_OUT.labels("too_large").inc()
            return _Passed(Replacement(NOWHERE, say("file_too_large_out", locale)))
        except FileFailure as failure:
            _log.warning("file_not_fetched", turn=turn.name, error=failure.label, detail=failure.detail)
            metrics.FILES_OUT.labels("gone").inc()
            return _Passed(Replacement(NOWHERE, say("file_gone", locale)))
        if is_showable(content):
            metrics.FILES_OUT.labels("picture").inc()
            return _Passed(Replacement(NOWHERE), file_cards.picture(file.name, type_of(content), content))
        return await self._keep(turn, file, content)

    async def _keep(self, turn: Turn, file: AgentFile, content: bytes) -> _Passed:
        """Keep the file; offer it in a personal chat, link it elsewhere."""
        reference = turn.payload.reference
        offered = self._offers and reference.scope is Scope.PERSONAL
        if not offered and self._links is None:
            metrics.FILES_OUT.labels("no_way").inc()
            key = "file_no_way" if self._offers else "file_no_way_at_all"
            return _Passed(Replacement(NOWHERE, say(key, reference.locale)))
        now = self._clock.now()
        kept = KeptFile(
            id=self._new_id(),
            turn=turn.n,
            name=file.name,
            type=type_of(content),
            content=content,
            state=FileState.OFFERED if offered else FileState.LINKED,
            conversation=reference.conversation,
            person=turn.payload.person.aad_id,
            created=now,
            expires=now + KEPT_SECONDS,
        )
        try:
            await self._store.keep(kept, MOST_KEPT_BYTES)
        except StoreUnavailable as error:  # no retry: the answer must not wait for a file
            _log.error("file_not_kept", turn=turn.name, detail=error.detail)
            metrics.FILES_OUT.labels("not_kept").inc()
            return _Passed(Replacement(NOWHERE, say("file_gone", reference.locale)))
        if offered or self._links is None:
            metrics.FILES_OUT.labels("offered").inc()
            return _Passed(Replacement(NOWHERE), file_cards.offer(kept.id, kept.name, len(content), reference.locale))
        metrics.FILES_OUT.labels("linked").inc()
        return _Passed(Replacement(self._links.url(kept.id, kept.expires)))

    def _listed(self, linked: tuple[Linked, ...], beside: tuple[AgentFile, ...], passed: dict[str, _Passed]) -> str:
        """Markdown lines for files without a link in the text and without an activity."""
        named = {_path(link.file) for link in linked}
        lines = [
            f"- [{file.name}]({replacement.href}) {replacement.words}".rstrip()
            for path, file in {_path(file): file for file in beside}.items()
            if path not in named and passed[path].activity is None
            for replacement in (passed[path].replacement,)
        ]
        return "".join(f"\n{line}" for line in ["", *lines]) if lines else ""


def _reply_replacing_card(turn: Turn, consent: Consent, key: str, name: str) -> Reply:
    """The reply that replaces the consent card by a sentence, so the card is not clicked again; a saved file below."""
    words = note(say(key, turn.locale, name=name))
    activities = (words, file_cards.saved(name, consent)) if key == "file_saved" else (words,)
    return Reply(Outcome.DELIVERED, activities, live=LiveMessage(consent.card) if consent.card else None)


def _path(file: AgentFile) -> str:
    return unquote(file.path.partition("?")[0])
