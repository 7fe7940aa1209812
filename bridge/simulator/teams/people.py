"""People's actions in Teams: open a chat, write, edit, delete, react, add and remove the app."""

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
from bridge.simulator.teams.message_parts import Picture, Quoted, TypedMessage, Upload
from bridge.simulator.teams.messages import Delivery, File, Message, Quote, with_reaction
from bridge.simulator.teams.onedrive import OneDrive, picture_type
from bridge.simulator.teams.typed_text import page_html
from bridge.simulator.teams.world import BOT_NAME, Chat, Conversation, iso_now

# characters, about the limit of the Teams client: https://learn.microsoft.com/microsoftteams/limits-specifications-teams
LONGEST_TEXT = 28_000
MOST_FILES = 10
_LONGEST_NAME = 200  # characters of a file's name


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """A file picked by a person: name, media type and bytes."""

    name: str
    type: str
    content: bytes


class People:
    """The actions of the tenant's people; `courier` delivers the activities to the bot.

    `chat_id` and `who` are page ids of a chat and a person. Each action the person may not do raises NotPossible.
    """

    def __init__(self, membership: Membership, courier: Courier, onedrive: OneDrive) -> None:
        self._membership = membership
        self._tenant = membership.tenant
        self._courier = courier
        self._onedrive = onedrive

    async def open(self, chat_id: str, who: str) -> None:
        """Open a chat; the first opening of a personal chat installs the app there. Raises: NotPossible."""
        self._membership.conversation(chat_id, who)
        if self._tenant.app_state(chat_id) == "none":
            await self.add_app(chat_id, who)

    async def add_app(self, chat_id: str, who: str) -> None:
        """Install the app in a chat. Raises: NotPossible."""
        conversation, person = self._membership.conversation(chat_id, who)
        if not await self._tenant.install(chat_id, present=True):
            raise NotPossible("The app is there already.", 409)
        envelope = self._membership.envelope(person, conversation)
        self._send(activities.installation(envelope, self._membership.event_id(), "add"))
        self._send(activities.bot_added(envelope, self._membership.event_id()))

    async def upgrade_app(self, chat_id: str, who: str) -> None:
        """Upgrade the app in a chat to a newer version. Raises: NotPossible."""
        conversation, person = self._membership.conversation(chat_id, who)
        if not self._tenant.is_installed(chat_id):
            raise NotPossible("The app is not in this chat.", 409)
        self._send(
            activities.installation(
                self._membership.envelope(person, conversation), self._membership.event_id(), "add-upgrade"
            )
        )

    async def remove_app(self, chat_id: str, who: str) -> None:
        """Uninstall: the bot is told, and has no access any more."""
        conversation, person = self._membership.conversation(chat_id, who)
        if not await self._tenant.install(chat_id, present=False):
            raise NotPossible("The app is not in this chat.", 409)
        self._send(
            activities.installation(
                self._membership.envelope(person, conversation), self._membership.event_id(), "remove"
            )
        )

    async def say(
        self,
        chat_id: str,
        who: str,
        text: str,
        *,
        mention: bool = False,
        thread: str | None = None,
        quoting: str | None = None,
        files: Sequence[ChosenFile] = (),
    ) -> Message:
        """Write a message. The bot gets messages of personal chats, and in groups and channels messages with a mention.

        `thread` and `quoting` are message ids. Raises: NotPossible, OSError.
        """
        conversation, person = self._membership.conversation(chat_id, who, thread)
        personal = conversation.chat.kind == "personal"
        _check_text(text, needed=not files)
        quoted = None if quoting is None else self._quoted(conversation, who, quoting)
        if personal and self._tenant.app_state(chat_id) == "removed":
            raise NotPossible("The app was removed from this chat: add it again first.", 409)
        if self._courier.full:
            raise NotPossible("Too much is on its way to the bot already.", 503)
        page_files, bot_files = await self._stored(files, conversation.chat)
        await self.open(chat_id, who)
        for_bot = self._tenant.is_installed(chat_id) and (personal or mention or f"@{BOT_NAME}" in text)
        typed = f"@{BOT_NAME} {text}" if mention and not personal and f"@{BOT_NAME}" not in text else text
        message = Message(
            id=self._tenant.new_id(),
            chat=conversation.chat.id,
            thread=conversation.thread,
            at=iso_now(),
            sender=person.id,
            name=person.name,
            text=typed,
            html=page_html(typed, self._membership.mentions(conversation.chat)) if typed else "",
            delivery="sending" if for_bot else None,
            quoted=None if quoted is None else Quote(quoted.id, quoted.name, quoted.preview),
            files=page_files,
        )
        await self._tenant.put(message)
        if for_bot:
            typed_message = TypedMessage(typed, self._membership.mentions(conversation.chat), quoted, bot_files)
            self._send(
                activities.typed_message(self._membership.envelope_for(message, who), message.id, typed_message),
                self._reporter(message),
            )
        return message

    async def edit(self, chat_id: str, who: str, message_id: str, text: str) -> None:
        """Give the person's own message a new text. Raises: NotPossible."""
        old, envelope = self._membership.own_message(chat_id, who, message_id)
        _check_text(text, needed=not old.files)
        mentions = self._membership.mentions(envelope.conversation.chat)
        changed = await self._tenant.change(old, text=text, html=page_html(text, mentions), edited=True)
        if changed is not None and self._bot_knows(old):
            self._send(activities.edit(envelope, old.id, text, mentions))

    async def delete(self, chat_id: str, who: str, message_id: str) -> None:
        """Delete the person's own message. Raises: NotPossible."""
        old, envelope = self._membership.own_message(chat_id, who, message_id)
        changed = await self._tenant.change(old, deleted=True)
        if changed is not None and self._bot_knows(old):
            self._send(activities.delete(envelope, old.id))

    async def undelete(self, chat_id: str, who: str, message_id: str) -> None:
        """Undo the deletion of the person's own message. Raises: NotPossible."""
        old, envelope = self._membership.own_message(chat_id, who, message_id, deleted=True)
        changed = await self._tenant.change(old, deleted=False)
        if changed is not None and self._bot_knows(old):
            typed = TypedMessage(old.text, self._membership.mentions(envelope.conversation.chat))
            self._send(activities.undelete(envelope, old.id, typed))

    async def react(self, chat_id: str, who: str, message_id: str, kind: str = "like", *, added: bool = True) -> None:
        """Add or remove a reaction; the bot gets reactions to messages of the bot. Raises: NotPossible."""
        message, envelope = self._membership.message(chat_id, who, message_id)
        if not kind.replace("_", "").isalnum() or len(kind) > 100:
            raise NotPossible("There is no such reaction.")
        reactions = with_reaction(message.reactions, who, kind, on=added)
        if reactions is message.reactions:
            return
        await self._tenant.change(message, reactions=reactions)
        if message.from_bot and self._tenant.is_installed(chat_id):
            self._send(activities.reaction(envelope, self._membership.event_id(), message_id, kind, added=added))

    def _bot_knows(self, message: Message) -> bool:
        """Whether the bot got the message and still is in the chat, so gets edits and deletions too."""
        return message.delivery is not None and self._tenant.is_installed(message.chat)

    def _quoted(self, conversation: Conversation, who: str, message_id: str) -> Quoted:
        if conversation.chat.kind == "channel":
            raise NotPossible("In a channel nothing can be quoted: reply in the thread.")
        message, _ = self._membership.message(conversation.chat.id, who, message_id)
        quotation = quote(message)
        return Quoted(quotation.id, self._membership.author_id(message), quotation.name, quotation.text)

    async def _stored(
        self, files: Sequence[ChosenFile], chat: Chat
    ) -> tuple[tuple[File, ...], tuple[Picture | Upload, ...]]:
        """Store the files in OneDrive and give each file in two forms: for the page, and for the bot."""
        if len(files) > MOST_FILES:
            raise NotPossible(f"A message can have {MOST_FILES} files at most.")
        page_files: list[File] = []
        bot_files: list[Picture | Upload] = []
        for file in files:
            name = _file_name(file.name)
            file_id = str(uuid.uuid4())
            await self._onedrive.keep(file_id, file.content)
            kind = picture_type(file.content)
            page_type = kind or "application/octet-stream"
            page_files.append(File(name, len(file.content), page_type, self._onedrive.page_url(file_id, name), "sent"))
            if kind is not None:
                bot_files.append(Picture(self._onedrive.picture_url(file_id)))
                continue
            content_url = self._onedrive.content_url(file_id, name)
            download = self._onedrive.download_url(file_id, name, chat.id) if chat.kind == "personal" else None
            bot_files.append(Upload(file_id, name, file_type(name), content_url, download))
        return tuple(page_files), tuple(bot_files)

    def _send(self, activity: dict[str, Any], report: Callable[[Delivery], Awaitable[None]] | None = None) -> None:
        self._courier.send(activity, report or _unreported)

    def _reporter(self, message: Message) -> Callable[[Delivery], Awaitable[None]]:
        async def report(state: Delivery) -> None:
            await self._tenant.change(message, delivery=state)

        return report


async def _unreported(_state: Delivery) -> None:
    """The reporter for activities without a message: the page shows no delivery state for such activities."""


def _check_text(text: str, *, needed: bool) -> None:
    if needed and not text.strip():
        raise NotPossible("Write something first.")
    if len(text) > LONGEST_TEXT:
        raise NotPossible(f"A message can have {LONGEST_TEXT} characters at most.")


def _file_name(name: str) -> str:
    """The file's name without a path. Raises: NotPossible."""
    last = name.replace("\\", "/").rpartition("/")[2].strip()
    if not last or last in (".", "..") or len(last) > _LONGEST_NAME or not last.isprintable():
        raise NotPossible("A file needs a name of its own.")
    return last
