"""The tenant's memory: which chats exist, what was said in them, where the app is installed.

Everything that changes is written to the journal before it is announced, so that what a page has shown is
still there after a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from bridge.simulator.teams.events import Announcer
from bridge.simulator.teams.journal import Journal, replay, rewrite
from bridge.simulator.teams.messages import Message, page_form, recalled
from bridge.simulator.teams.world import Place, demo_chats

AppState = Literal["none", "added", "removed"]

# what the page shows at most, and so what is kept of a chat
KEPT = 500


class Tenant:
    """Chats and messages. Reads are immediate; writes return when the journal has them.

    `now` gives milliseconds since 1970: Teams' message ids are such numbers.
    """

    def __init__(self, data: Path, app_id: str, now: Callable[[], int]) -> None:
        self.chats = demo_chats(app_id)
        self.news = Announcer()
        self._now = now
        self._last_id = 0
        self._messages: dict[str, dict[str, Message]] = {chat: {} for chat in self.chats}
        # a group or a team has the app from the start; a person installs it by opening the chat with it
        self._apps: dict[str, AppState] = {
            chat.id: "none" if chat.kind == "personal" else "added" for chat in self.chats.values()
        }
        self._unannounced: set[str] = set()
        self._by_conversation = {chat.conversation: chat for chat in self.chats.values()}
        path = data / "tenant.jsonl"
        for record in replay(path):
            self._recall(record)
        rewrite(path, self._snapshot())
        self._journal = Journal(path)

    def new_id(self) -> str:
        """An id like Teams': milliseconds since 1970, never twice and never backwards."""
        self._last_id = max(self._now(), self._last_id + 1)
        return str(self._last_id)

    def messages(self, chat_id: str) -> list[Message]:
        """The chat's messages, oldest first. Raises KeyError for an unknown chat."""
        return list(self._messages[chat_id].values())

    def message(self, chat_id: str, message_id: str) -> Message | None:
        return self._messages.get(chat_id, {}).get(message_id)

    def find(self, conversation: str) -> Place | None:
        """The place of a conversation id as a bot writes it, None when there is no such conversation."""
        base, _, thread = conversation.partition(";messageid=")
        chat = self._by_conversation.get(base)
        if chat is None or not thread:
            return Place(chat) if chat is not None and base == conversation else None
        root = self.message(chat.id, thread)
        if chat.kind != "channel" or root is None or root.thread is not None:
            return None
        return Place(chat, thread)

    def is_installed(self, chat_id: str) -> bool:
        return self._apps[chat_id] == "added"

    def app_state(self, chat_id: str) -> AppState:
        """Whether the app is in a chat of this tenant. Raises KeyError for an unknown chat."""
        return self._apps[chat_id]

    async def install(self, chat_id: str, *, present: bool) -> bool:
        """Add the app to a chat or remove it; False when nothing changes."""
        if self.is_installed(chat_id) == present:
            return False
        self._apps[chat_id] = "added" if present else "removed"
        await self._journal.append({"app": chat_id, "state": self._apps[chat_id]})
        self.news.announce({"type": "chat", "chat": self.chat_form(chat_id)})
        return True

    def chat_form(self, chat_id: str) -> dict[str, Any]:
        """The chat as the page API gives it. Raises KeyError for an unknown one."""
        chat = self.chats[chat_id]
        return {
            "id": chat.id,
            "kind": chat.kind,
            "title": chat.title,
            "members": chat.members,
            "team": chat.team,
            "app": self._apps[chat_id],
            "unread": 0,  # who has read what is known to each page alone
        }

    async def put(self, message: Message, *, notify: bool = False) -> None:
        """Keep a new message, or the new form of a known one, and announce it: `notify`, as news for its reader."""
        if notify:
            self._unannounced.add(message.id)
        self._keep(message)
        await self._journal.append({"message": asdict(message)})
        # changed again meanwhile: that change announces itself, and this form would come too late
        if self.message(message.chat, message.id) is message:
            self._announce(message)

    def show(self, message: Message) -> None:
        """Keep and announce a form that need not survive a restart: a stream's, which is followed by the next."""
        self._keep(message)
        self._announce(message)

    async def change(self, message: Message, **changes: Any) -> Message | None:
        """Change fields of the message's newest form. None when it is no longer kept."""
        newest = self.message(message.chat, message.id)
        if newest is None:
            return None
        changed = replace(newest, **changes)
        await self.put(changed)
        return changed

    async def close(self) -> None:
        self.news.close()
        await self._journal.close()

    def _keep(self, message: Message) -> None:
        kept = self._messages[message.chat]
        kept[message.id] = message
        while len(kept) > KEPT:
            del kept[next(iter(kept))]

    def _announce(self, message: Message) -> None:
        notify = message.id in self._unannounced
        self._unannounced.discard(message.id)
        self.news.announce({"type": "message", "message": page_form(message, notify=notify)})

    def _recall(self, record: dict[str, Any]) -> None:
        """Take one line of the journal. Lines of another version's form are passed over."""
        if record.get("app") in self.chats and record.get("state") in ("added", "removed"):
            self._apps[record["app"]] = record["state"]
        elif record.get("installed") in self.chats and record.get("present"):  # as version 0.1 wrote it
            self._apps[record["installed"]] = "added"
        told = record.get("message")
        if isinstance(told, dict) and told.get("chat") in self._messages:
            with suppress(KeyError, TypeError, ValueError):
                message = recalled(told)
                self._keep(message)
                self._last_id = max(self._last_id, int(message.id))

    def _snapshot(self) -> list[dict[str, Any]]:
        apps = [{"app": chat_id, "state": state} for chat_id, state in self._apps.items() if state != "none"]
        said = [{"message": asdict(m)} for kept in self._messages.values() for m in kept.values()]
        return [*apps, *said]
