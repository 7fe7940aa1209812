"""The tenant's state: the chats, the chats' messages, and the chats where the app is installed.

A change is written to the journal before the change is announced, so a restart loses no message shown on a page.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from bridge.simulator.teams.events import Announcer
from bridge.simulator.teams.journal import Journal, replay, rewrite
from bridge.simulator.teams.messages import Message, message_from_record, page_form
from bridge.simulator.teams.world import Conversation, demo_chats

AppState = Literal["none", "added", "removed"]

# messages of a chat: the page shows no more, so no more are stored
KEPT = 500


class Tenant:
    """Chats and messages. Reads are immediate; writes return when the journal has the record.

    `now` gives milliseconds since 1970: Teams' message ids are such numbers. Raises: OSError.
    """

    def __init__(self, data: Path, app_id: str, now: Callable[[], int]) -> None:
        self.chats = demo_chats(app_id)
        self.news = Announcer()
        self._now = now
        self._last_id = 0
        self._messages: dict[str, dict[str, Message]] = {chat: {} for chat in self.chats}
        # groups and teams have the app from the start; a person installs the app by opening the personal chat
        self._apps: dict[str, AppState] = {
            chat.id: "none" if chat.kind == "personal" else "added" for chat in self.chats.values()
        }
        self._to_notify: set[str] = set()
        self._by_conversation = {chat.conversation_id: chat for chat in self.chats.values()}
        path = data / "tenant.jsonl"
        for record in replay(path):
            self._restore(record)
        rewrite(path, self._snapshot())
        self._journal = Journal(path)

    def new_id(self) -> str:
        """A new message id as in Teams: milliseconds since 1970, strictly increasing."""
        self._last_id = max(self._now(), self._last_id + 1)
        return str(self._last_id)

    def messages(self, chat_id: str) -> list[Message]:
        """The chat's messages, oldest first. `KeyError`: unknown chat. Raises: KeyError."""
        return list(self._messages[chat_id].values())

    def message(self, chat_id: str, message_id: str) -> Message | None:
        """The newest form of a message, None for unknown ids."""
        return self._messages.get(chat_id, {}).get(message_id)

    def find(self, conversation_id: str) -> Conversation | None:
        """The conversation with the id used by a bot; None for an unknown id."""
        base, _, thread = conversation_id.partition(";messageid=")
        chat = self._by_conversation.get(base)
        if chat is None or not thread:
            return Conversation(chat) if chat is not None and base == conversation_id else None
        root = self.message(chat.id, thread)
        if chat.kind != "channel" or root is None or root.thread is not None:
            return None
        return Conversation(chat, thread)

    def is_installed(self, chat_id: str) -> bool:
        """Whether the app is in the chat. Raises: KeyError."""
        return self._apps[chat_id] == "added"

    def app_state(self, chat_id: str) -> AppState:
        """The app's state in a chat. `KeyError`: unknown chat. Raises: KeyError."""
        return self._apps[chat_id]

    async def install(self, chat_id: str, *, present: bool) -> bool:
        """Add the app to a chat, or remove the app; False without a change. Raises: KeyError, OSError."""
        if self.is_installed(chat_id) == present:
            return False
        self._apps[chat_id] = "added" if present else "removed"
        await self._journal.append({"app": chat_id, "state": self._apps[chat_id]})
        self.news.announce({"type": "chat", "chat": self.chat_form(chat_id)})
        return True

    def chat_form(self, chat_id: str) -> dict[str, Any]:
        """The chat in the page API's form. `KeyError`: unknown chat. Raises: KeyError."""
        chat = self.chats[chat_id]
        return {
            "id": chat.id,
            "kind": chat.kind,
            "title": chat.title,
            "members": chat.members,
            "team": chat.team,
            "app": self._apps[chat_id],
            "unread": 0,  # each page alone knows the messages read there
        }

    async def put(self, message: Message, *, notify: bool = False) -> None:
        """Store and announce a new or changed message. `notify`: clients notify the reader. Raises: OSError."""
        if notify:
            self._to_notify.add(message.id)
        self._keep(message)
        await self._journal.append({"message": asdict(message)})
        # unless changed again meanwhile: the later change announces the newest form
        if self.message(message.chat, message.id) is message:
            self._announce(message)

    def show(self, message: Message) -> None:
        """Store and announce a form that need not survive a restart: a stream's part, soon followed by the next."""
        self._keep(message)
        self._announce(message)

    async def change(self, message: Message, **changes: Any) -> Message | None:
        """Change fields of the message's newest form; None if the message is no longer stored. Raises: OSError."""
        newest = self.message(message.chat, message.id)
        if newest is None:
            return None
        changed = replace(newest, **changes)
        await self.put(changed)
        return changed

    async def close(self) -> None:
        """Disconnect the pages and close the journal."""
        self.news.close()
        await self._journal.close()

    def _keep(self, message: Message) -> None:
        kept = self._messages[message.chat]
        kept[message.id] = message
        while len(kept) > KEPT:
            del kept[next(iter(kept))]

    def _announce(self, message: Message) -> None:
        notify = message.id in self._to_notify
        self._to_notify.discard(message.id)
        self.news.announce({"type": "message", "message": page_form(message, notify=notify)})

    def _restore(self, record: dict[str, Any]) -> None:
        """Restore the state of a journal record. Records of an unknown form are skipped."""
        if record.get("app") in self.chats and record.get("state") in ("added", "removed"):
            self._apps[record["app"]] = record["state"]
        elif record.get("installed") in self.chats and record.get("present"):  # the form of version 0.1
            self._apps[record["installed"]] = "added"
        stored = record.get("message")
        if isinstance(stored, dict) and stored.get("chat") in self._messages:
            with suppress(KeyError, TypeError, ValueError):
                message = message_from_record(stored)
                self._keep(message)
                self._last_id = max(self._last_id, int(message.id))

    def _snapshot(self) -> list[dict[str, Any]]:
        apps = [{"app": chat_id, "state": state} for chat_id, state in self._apps.items() if state != "none"]
        messages = [{"message": asdict(m)} for kept in self._messages.values() for m in kept.values()]
        return [*apps, *messages]
