"""The files of an answer, on their way to people.

They are fetched before the reply is stored, since their links run out and are nobody's but the bridge's. A picture goes
into the chat itself. Anything else is kept for a day and offered by a consent card in a personal chat, and put behind a
signed link elsewhere. A person's word about an offer is a turn like any other, so it survives a restart.
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
    """A file as people get it: what stands in place of its link, and what is shown beside the answer."""

    replacement: Replacement
    activity: Activity | None = None


class FilesOut:
    """Passes on what the agent made. `base` is the gateway's address, `offers` whether this cloud has file cards.

    Without `links` (no public address) there is no way into groups and channels, and people are told so. `new_id`
    gives ids that nobody can guess.
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
        """Fetch the answer's files; gives the answer's Markdown with working links, and the activities to show after it.

        Raises no error: a fault of the bridge about a file costs people the file, not the answer.
        """
        try:
            return await self._publish(turn, answer)
        except Exception as error:  # noqa: BLE001  a fault of the bridge about a file must not cost people the answer
            _log.error("files_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            return answer.text, ()

    async def hand_over(self, turn: Turn) -> Reply:
        """Do what a person said about a file that was offered to them."""
        consent, reference = turn.payload.consent, turn.payload.reference
        if consent is None:
            return Reply(Outcome.DELIVERED, ())
        kept = await with_retry(self._store.find, consent.file, self._clock.now())
        mine = (reference.conversation, turn.payload.person.aad_id)
        if kept is None or (kept.conversation, kept.person) != mine or kept.state is FileState.LINKED:
            return _instead(turn, consent, "file_offer_gone", "")
        if not consent.accepted:
            await with_retry(self._store.finish, kept.id, FileState.DECLINED)
            return _instead(turn, consent, "file_declined", kept.name)
        if kept.state is FileState.DECLINED:
            return _instead(turn, consent, "file_offer_gone", "")
        if kept.state is FileState.OFFERED:
            try:
                await self._shared.save(consent.upload_url, kept.content)
            except FileFailure as failure:
                _log.warning("file_not_saved", turn=turn.name, error=failure.label, detail=failure.detail)
                metrics.FILES_OUT.labels("not_saved").inc()
                return _instead(turn, consent, "file_not_saved", kept.name)
            # before anything is shown: repeated after a crash, the upload would be refused
            await with_retry(self._store.finish, kept.id, FileState.SAVED)
        metrics.FILES_OUT.labels("saved").inc()
        return _instead(turn, consent, "file_saved", kept.name)

    async def open(self, id_: str, expires: str, signature: str) -> KeptFile | None:
        """The file behind a signed link, while it is good. Raises StoreUnavailable."""
        now = self._clock.now()
        if self._links is None or not self._links.opens(id_, expires, signature, now):
            return None
        kept = await self._store.find(id_, now)
        return kept if kept is not None and kept.state is FileState.LINKED else None

    async def _publish(self, turn: Turn, answer: Answer) -> tuple[str, tuple[Activity, ...]]:
        if len(answer.text) > _PARSED_AT_ONCE:  # takes a while, and everybody else shares this loop
            linked = await asyncio.to_thread(linked_files, answer.text, self._base)
        else:
            linked = linked_files(answer.text, self._base)
        passed = await self._pass_all(turn, linked, answer.files)
        text = relinked(answer.text, self._base, {one.target: passed[_place(one.file)].replacement for one in linked})
        text += self._listed(linked, answer.files, passed)
        return text, tuple(one.activity for one in passed.values() if one.activity is not None)

    async def _pass_all(
        self, turn: Turn, linked: tuple[Linked, ...], beside: tuple[AgentFile, ...]
    ) -> dict[str, _Passed]:
        """Each file once, by its place at the gateway."""
        files: dict[str, AgentFile] = {}
        for file in (*(one.file for one in linked), *beside):
            files.setdefault(_place(file), file)
        passed: dict[str, _Passed] = {}
        until = asyncio.get_running_loop().time() + _WHOLE_SECONDS
        for place, file in files.items():
            late = asyncio.get_running_loop().time() > until
            if late or len(passed) >= MOST_FILES:
                words = say("file_too_many", turn.locale, most=MOST_FILES)
                passed[place] = _Passed(Replacement(NOWHERE, words))
            else:
                passed[place] = await self._pass(turn, file)
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
        """The file, offered or behind a link."""
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
        except StoreUnavailable as error:  # the answer itself is worth waiting for, its file is not
            _log.error("file_not_kept", turn=turn.name, detail=error.detail)
            metrics.FILES_OUT.labels("not_kept").inc()
            return _Passed(Replacement(NOWHERE, say("file_gone", reference.locale)))
        if offered or self._links is None:
            metrics.FILES_OUT.labels("offered").inc()
            return _Passed(Replacement(NOWHERE), file_cards.offer(kept.id, kept.name, len(content), reference.locale))
        metrics.FILES_OUT.labels("linked").inc()
        return _Passed(Replacement(self._links.url(kept.id, kept.expires)))

    def _listed(self, linked: tuple[Linked, ...], beside: tuple[AgentFile, ...], passed: dict[str, _Passed]) -> str:
        """Lines for the files that the answer does not name and nothing else shows."""
        named = {_place(one.file) for one in linked}
        lines = [
            f"- [{file.name}]({replacement.href}) {replacement.words}".rstrip()
            for place, file in {_place(file): file for file in beside}.items()
            if place not in named and passed[place].activity is None
            for replacement in (passed[place].replacement,)
        ]
        return "".join(f"\n{line}" for line in ["", *lines]) if lines else ""


def _instead(turn: Turn, consent: Consent, key: str, name: str) -> Reply:
    """A sentence in place of the card, so that nobody clicks it again; a saved file is shown after it."""
    words = note(say(key, turn.locale, name=name))
    activities = (words, file_cards.saved(name, consent)) if key == "file_saved" else (words,)
    return Reply(Outcome.DELIVERED, activities, live=LiveMessage(consent.card) if consent.card else None)


def _place(file: AgentFile) -> str:
    return unquote(file.path.partition("?")[0])
