"""Checks who is a member of a chat and which messages a person can act on; makes the envelopes of activities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.simulator.teams.activities import Envelope
from bridge.simulator.teams.identity import Credentials
from bridge.simulator.teams.messages import Message
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.typed_text import Mention
from bridge.simulator.teams.world import BOT_NAME, PEOPLE, Chat, Conversation, Person, teams_bot_id, teams_user_id


class NotPossible(Exception):
    """A person's action is refused; the text gives the reason. `status` is the page API's HTTP status."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Membership:
    """Finds conversations and messages on behalf of a person (page id `who`), and makes envelopes for activities."""

    tenant: Tenant
    app: Credentials
    service_url: str

    def conversation(self, chat_id: str, who: str, thread: str | None = None) -> tuple[Conversation, Person]:
        """The conversation and the person, a member of the chat. Raises: NotPossible."""
        chat = self.tenant.chats.get(chat_id)
        if chat is None:
            raise NotPossible("There is no such chat.", 404)
        if who not in chat.members:
            raise NotPossible("This person is not in the chat.")
        if thread is not None:
            root = self.tenant.message(chat_id, thread)
            if chat.kind != "channel" or root is None or root.thread is not None:
                raise NotPossible("There is no such thread.", 404)
        return Conversation(chat, thread), PEOPLE[who]

    def message(self, chat_id: str, who: str, message_id: str) -> tuple[Message, Envelope]:
        """A message visible to the person, and an envelope for an action on the message. Raises: NotPossible."""
        self.conversation(chat_id, who)
        found = self.tenant.message(chat_id, message_id)
        if found is None or found.deleted:
            raise NotPossible("There is no such message.", 404)
        return found, self.envelope_for(found, who)

    def own_message(
        self, chat_id: str, who: str, message_id: str, *, deleted: bool = False
    ) -> tuple[Message, Envelope]:
        """The person's own message (`deleted`: a deleted message), and an envelope. Raises: NotPossible."""
        self.conversation(chat_id, who)
        found = self.tenant.message(chat_id, message_id)
        if found is None or found.sender != who or found.deleted != deleted:
            raise NotPossible("There is no such message of this person.", 404)
        return found, self.envelope_for(found, who)

    def bot_message(self, chat_id: str, who: str, message_id: str) -> tuple[Message, Envelope]:
        """A message of the bot, and an envelope. Raises: NotPossible."""
        self.conversation(chat_id, who)
        found = self.tenant.message(chat_id, message_id)
        if found is None or not found.from_bot or found.deleted:
            raise NotPossible("There is no such message of the bot.", 404)
        return found, self.envelope_for(found, who)

    def envelope_for(self, message: Message, who: str) -> Envelope:
        """The envelope for an action on `message`; in a channel, a post starts the thread of the same id."""
        conversation, person = self.conversation(message.chat, who)
        root = message.thread or message.id
        return self.envelope(
            person, Conversation(conversation.chat, root if conversation.chat.kind == "channel" else None)
        )

    def envelope(self, person: Person, conversation: Conversation) -> Envelope:
        """The envelope for an action of `person` in `conversation`, now."""
        return Envelope(self.app.app_id, self.app.tenant_id, self.service_url, person, conversation, datetime.now(UTC))

    def event_id(self) -> str:
        """A new id for an activity that is no message, in Teams' form `f:…`."""
        return f"f:{self.tenant.new_id()}"

    def author_id(self, message: Message) -> str:
        """The Teams id of the message's author."""
        if message.from_bot:
            return teams_bot_id(self.app.app_id)
        return teams_user_id(PEOPLE[message.sender], self.app.app_id)

    def mentions(self, chat: Chat) -> list[Mention]:
        """The accounts whose `@Name` becomes a mention in `chat`; none in a personal chat, as in Teams."""
        if chat.kind == "personal":
            return []
        people = [Mention(teams_user_id(PEOPLE[who], self.app.app_id), PEOPLE[who].name) for who in chat.members]
        return [Mention(teams_bot_id(self.app.app_id), BOT_NAME), *people]
