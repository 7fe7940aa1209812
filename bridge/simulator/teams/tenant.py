"""The tenant's memory: which chats exist, what was said in them, where the app is installed.

Everything that changes is written to the journal before it is announced, so that what a page has shown is
still there after a restart.
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from bridge.simulator.teams.events import Announcer
from bridge.simulator.teams.journal import Journal, replay, rewrite
from bridge.simulator.teams.world import BOT_NAME, Message, Place, demo_chats

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# what the page shows at most, and so what is kept of a chat
KEPT = 500
_FIELDS = frozenset(field.name for field in fields(Message))


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
        self._installed = {chat.id for chat in self.chats.values() if chat.kind != "personal"}
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
        return chat_id in self._installed

    async def install(self, chat_id: str, *, present: bool) -> bool:
        """Add the app to a chat or remove it; False when nothing changes."""
        if self.is_installed(chat_id) == present:
            return False
        self._mark_installed(chat_id, present=present)
        await self._journal.append({"installed": chat_id, "present": present})
        return True

    async def put(self, message: Message) -> None:
        """Keep a new message, or the new form of a known one, and announce it."""
        self._keep(message)
        await self._journal.append({"message": asdict(message)})
        # changed again meanwhile: that change announces itself, and this form would come too late
        if self.message(message.chat, message.id) is message:
            self.news.announce({"type": "message", "message": page_form(message)})

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

    def _mark_installed(self, chat_id: str, *, present: bool) -> None:
        if present:
            self._installed.add(chat_id)
        else:
            self._installed.discard(chat_id)

    def _recall(self, record: dict[str, Any]) -> None:
        """Take one line of the journal. Lines of another version's form are passed over."""
        if "installed" in record and record["installed"] in self.chats:
            self._mark_installed(record["installed"], present=bool(record.get("present")))
        told = record.get("message")
        if isinstance(told, dict) and told.keys() == _FIELDS and told["chat"] in self._messages:
            # what Teams was still trying to deliver died with it
            lost = told["delivery"] in ("sending", "retrying")
            self._keep(Message(**{**told, "delivery": "lost" if lost else told["delivery"]}))
            self._last_id = max(self._last_id, int(told["id"]))

    def _snapshot(self) -> list[dict[str, Any]]:
        installed = [{"installed": chat_id, "present": chat_id in self._installed} for chat_id in self.chats]
        said = [{"message": asdict(m)} for kept in self._messages.values() for m in kept.values()]
        return [*installed, *said]


def page_form(message: Message) -> dict[str, Any]:
    """The message as the page API gives it."""
    form = asdict(message)
    sender = form.pop("sender")
    name = BOT_NAME if message.from_bot else form["name"]
    del form["name"]
    return {**form, "from": {"id": sender, "name": name, "bot": message.from_bot}}
