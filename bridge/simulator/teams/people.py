"""What people do in Teams: open a chat, write, edit, take back, react, add and remove the app."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.simulator.teams import activities
from bridge.simulator.teams.bot_messages import quote
from bridge.simulator.teams.clicks import file_type
from bridge.simulator.teams.delivery import Courier
from bridge.simulator.teams.membership import Membership, NotPossible
from bridge.simulator.teams.message_parts import Picture, Quoted, Upload, Written
from bridge.simulator.teams.messages import Delivery, File, Message, Quote, reacted
from bridge.simulator.teams.onedrive import OneDrive, picture_type
from bridge.simulator.teams.typed_text import shown_form
from bridge.simulator.teams.world import BOT_NAME, Chat, Place, iso_now

# about what the Teams client takes from a person:
# learn.microsoft.com/microsoftteams/limits-specifications-teams
LONGEST_TEXT = 28_000
MOST_FILES = 10
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file that a person picks on their machine."""

    name: str
    type: str
    content: bytes


class People:
    """Acts of the tenant's people towards the bot behind `courier`."""

    def __init__(self, whereabouts: Membership, courier: Courier, onedrive: OneDrive) -> None:
        self._at = whereabouts
        self._tenant = whereabouts.tenant
        self._courier = courier
        self._onedrive = onedrive

    async def open(self, chat_id: str, who: str) -> None:
        """Open a chat; the first opening of a personal one installs the app there."""
        self._at.place(chat_id, who)
        if self._tenant.app_state(chat_id) == "none":
            await self.add_app(chat_id, who)

    async def add_app(self, chat_id: str, who: str) -> None:
        """Install the app."""
        place, person = self._at.place(chat_id, who)
        if not await self._tenant.install(chat_id, present=True):
            raise NotPossible("The app is there already.", 409)
        envelope = self._at.envelope(person, place)
        self._send(activities.installation(envelope, self._at.event_id(), "add"))
        self._send(activities.bot_added(envelope, self._at.event_id()))

    async def upgrade_app(self, chat_id: str, who: str) -> None:
        """Take over a newer version of the app."""
        place, person = self._at.place(chat_id, who)
        if not self._tenant.is_installed(chat_id):
            raise NotPossible("The app is not in this chat.", 409)
        self._send(activities.installation(self._at.envelope(person, place), self._at.event_id(), "add-upgrade"))

    async def remove_app(self, chat_id: str, who: str) -> None:
        """Uninstall: the bot is told, and has no access any more."""
        place, person = self._at.place(chat_id, who)
        if not await self._tenant.install(chat_id, present=False):
            raise NotPossible("The app is not in this chat.", 409)
        self._send(activities.installation(self._at.envelope(person, place), self._at.event_id(), "remove"))

    async def say(
        self,
        chat_id: str,
        who: str,
        text: str,
        *,
        mention: bool = False,
        thread: str | None = None,
        quoting: str | None = None,
        files: Sequence[Chosen] = (),
    ) -> Message:
        """Write a message; the bot hears it in personal chats, elsewhere when it is mentioned."""
        place, person = self._at.place(chat_id, who, thread)
        personal = place.chat.kind == "personal"
        _check_text(text, needed=not files)
        quoted = None if quoting is None else self._quotable(place, who, quoting)
        if personal and self._tenant.app_state(chat_id) == "removed":
            raise NotPossible("The app was removed from this chat: add it again first.", 409)
        if self._courier.full:
            raise NotPossible("Too much is on its way to the bot already.", 503)
        shown, sent = await self._stored(files, place.chat)
        await self.open(chat_id, who)
        heard = self._tenant.is_installed(chat_id) and (personal or mention or f"@{BOT_NAME}" in text)
        typed = f"@{BOT_NAME} {text}" if mention and not personal and f"@{BOT_NAME}" not in text else text
        said = Message(
            id=self._tenant.new_id(),
            chat=place.chat.id,
            thread=place.thread,
            at=iso_now(),
            sender=person.id,
            name=person.name,
            text=typed,
            html=shown_form(typed, self._at.mentions(place.chat)) if typed else "",
            delivery="sending" if heard else None,
            quoted=None if quoted is None else Quote(quoted.id, quoted.name, quoted.preview),
            files=shown,
        )
        await self._tenant.put(said)
        if heard:
            written = Written(typed, self._at.mentions(place.chat), quoted, sent)
            self._send(activities.written(self._at.around(said, who), said.id, written), self._reporter(said))
        return said

    async def edit(self, chat_id: str, who: str, message_id: str, text: str) -> None:
        """Give one's own message a new text."""
        old, envelope = self._at.own(chat_id, who, message_id)
        _check_text(text, needed=not old.files)
        mentions = self._at.mentions(envelope.place.chat)
        changed = await self._tenant.change(old, text=text, html=shown_form(text, mentions), edited=True)
        if changed is not None and self._was_heard(old):
            self._send(activities.edit(envelope, old.id, text, mentions))

    async def take_back(self, chat_id: str, who: str, message_id: str) -> None:
        """Delete one's own message."""
        old, envelope = self._at.own(chat_id, who, message_id)
        changed = await self._tenant.change(old, deleted=True)
        if changed is not None and self._was_heard(old):
            self._send(activities.delete(envelope, old.id))

    async def bring_back(self, chat_id: str, who: str, message_id: str) -> None:
        """Undo the deletion of one's own message."""
        old, envelope = self._at.own(chat_id, who, message_id, deleted=True)
        changed = await self._tenant.change(old, deleted=False)
        if changed is not None and self._was_heard(old):
            written = Written(old.text, self._at.mentions(envelope.place.chat))
            self._send(activities.undelete(envelope, old.id, written))

    async def react(self, chat_id: str, who: str, message_id: str, kind: str = "like", *, added: bool = True) -> None:
        """React to a message, or take the reaction back; the bot hears of it when the message is its own."""
        message, envelope = self._at.message(chat_id, who, message_id)
        if not kind.replace("_", "").isalnum() or len(kind) > 100:
            raise NotPossible("There is no such reaction.")
        reactions = reacted(message.reactions, who, kind, on=added)
        if reactions is message.reactions:
            return
        await self._tenant.change(message, reactions=reactions)
        if message.from_bot and self._tenant.is_installed(chat_id):
            self._send(activities.reaction(envelope, self._at.event_id(), message_id, kind, added=added))

    def _was_heard(self, message: Message) -> bool:
        """Whether the bot knows the message, and hears what becomes of it."""
        return message.delivery is not None and self._tenant.is_installed(message.chat)

    def _quotable(self, place: Place, who: str, message_id: str) -> Quoted:
        if place.chat.kind == "channel":
            raise NotPossible("In a channel nothing can be quoted: reply in the thread.")
        message, _ = self._at.message(place.chat.id, who, message_id)
        shown = quote(message)
        return Quoted(shown.id, self._at.teams_id(message), shown.name, shown.text)

    async def _stored(
        self, files: Sequence[Chosen], chat: Chat
    ) -> tuple[tuple[File, ...], tuple[Picture | Upload, ...]]:
        """Put the files where Teams puts them: how the page shows them, and how the bot gets them."""
        if len(files) > MOST_FILES:
            raise NotPossible(f"A message can have {MOST_FILES} files at most.")
        shown: list[File] = []
        sent: list[Picture | Upload] = []
        for file in files:
            name = _file_name(file.name)
            file_id = str(uuid.uuid4())
            await self._onedrive.keep(file_id, file.content)
            kind = picture_type(file.content)
            shown_type = kind or "application/octet-stream"
            shown.append(File(name, len(file.content), shown_type, self._onedrive.page_url(file_id, name), "sent"))
            if kind is not None:
                sent.append(Picture(self._onedrive.picture_url(file_id)))
                continue
            download = self._onedrive.download_url(file_id, name, chat.id) if chat.kind == "personal" else None
            sent.append(Upload(file_id, name, file_type(name), self._onedrive.content_url(file_id, name), download))
        return tuple(shown), tuple(sent)

    def _send(self, activity: dict[str, Any], report: Callable[[Delivery], Awaitable[None]] | None = None) -> None:
        self._courier.send(activity, report or _unreported)

    def _reporter(self, message: Message) -> Callable[[Delivery], Awaitable[None]]:
        async def report(state: Delivery) -> None:
            await self._tenant.change(message, delivery=state)

        return report


async def _unreported(_state: Delivery) -> None:
    """Events other than messages are not seen on the page, and so is their delivery."""


def _check_text(text: str, *, needed: bool) -> None:
    if needed and not text.strip():
        raise NotPossible("Write something first.")
    if len(text) > LONGEST_TEXT:
        raise NotPossible(f"A message can have {LONGEST_TEXT} characters at most.")


def _file_name(name: str) -> str:
    """The name without any path."""
    last = name.replace("\\", "/").rpartition("/")[2].strip()
    if not last or last in (".", "..") or len(last) > _LONGEST_NAME or not last.isprintable():
        raise NotPossible("A file needs a name of its own.")
    return last
