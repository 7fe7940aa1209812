"""Who is where, and which messages they can act on: what everything that people do begins with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.simulator.teams.activities import Envelope
from bridge.simulator.teams.identity import Credentials
from bridge.simulator.teams.messages import Message
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.typed_text import Mention
from bridge.simulator.teams.world import BOT_NAME, PEOPLE, Chat, Person, Place, teams_bot_id, teams_user_id


class NotPossible(Exception):
    """The person cannot do that; the text says why. `status` is the page API's HTTP status."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Membership:
    """Finds places and messages for people, or says why not (NotPossible); makes the envelopes of their acts."""

    tenant: Tenant
    app: Credentials
    service_url: str

    def place(self, chat_id: str, who: str, thread: str | None = None) -> tuple[Place, Person]:
        """Where and who. Raises NotPossible when the person is not there or the thread does not exist."""
        chat = self.tenant.chats.get(chat_id)
        if chat is None:
            raise NotPossible("There is no such chat.", 404)
        if who not in chat.members:
            raise NotPossible("This person is not in the chat.")
        if thread is not None:
            root = self.tenant.message(chat_id, thread)
            if chat.kind != "channel" or root is None or root.thread is not None:
                raise NotPossible("There is no such thread.", 404)
        return Place(chat, thread), PEOPLE[who]

    def message(self, chat_id: str, who: str, message_id: str) -> tuple[Message, Envelope]:
        """A message that the person sees."""
        self.place(chat_id, who)
        found = self.tenant.message(chat_id, message_id)
        if found is None or found.deleted:
            raise NotPossible("There is no such message.", 404)
        return found, self.around(found, who)

    def own(self, chat_id: str, who: str, message_id: str, *, deleted: bool = False) -> tuple[Message, Envelope]:
        """A message of the person's own: one that is there, or one that was deleted."""
        self.place(chat_id, who)
        found = self.tenant.message(chat_id, message_id)
        if found is None or found.sender != who or found.deleted != deleted:
            raise NotPossible("There is no such message of this person.", 404)
        return found, self.around(found, who)

    def bots(self, chat_id: str, who: str, message_id: str) -> tuple[Message, Envelope]:
        """A message of the bot."""
        self.place(chat_id, who)
        found = self.tenant.message(chat_id, message_id)
        if found is None or not found.from_bot or found.deleted:
            raise NotPossible("There is no such message of the bot.", 404)
        return found, self.around(found, who)

    def around(self, message: Message, who: str) -> Envelope:
        """For acts on a message: in a channel it lies in a thread, if only in the one that it starts."""
        place, person = self.place(message.chat, who)
        root = message.thread or message.id
        return self.envelope(person, Place(place.chat, root if place.chat.kind == "channel" else None))

    def envelope(self, person: Person, place: Place) -> Envelope:
        return Envelope(self.app.app_id, self.app.tenant_id, self.service_url, person, place, datetime.now(UTC))

    def event_id(self) -> str:
        """Events that are no messages have ids like this one in Teams."""
        return f"f:{self.tenant.new_id()}"

    def teams_id(self, message: Message) -> str:
        """The Teams id of the message's author."""
        if message.from_bot:
            return teams_bot_id(self.app.app_id)
        return teams_user_id(PEOPLE[message.sender], self.app.app_id)

    def mentions(self, chat: Chat) -> list[Mention]:
        """Whose `@Name` is a mention there: in a personal chat Teams offers nobody."""
        if chat.kind == "personal":
            return []
        people = [Mention(teams_user_id(PEOPLE[who], self.app.app_id), PEOPLE[who].name) for who in chat.members]
        return [Mention(teams_bot_id(self.app.app_id), BOT_NAME), *people]
