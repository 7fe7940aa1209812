"""What people do in Teams: open a chat, write, edit, take back, react, press a card's button."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bridge.simulator.teams import activities
from bridge.simulator.teams.activities import Envelope
from bridge.simulator.teams.rules import ADAPTIVE_CARD
from bridge.simulator.teams.world import (
    BOT_NAME,
    PEOPLE,
    Chat,
    Message,
    Person,
    Place,
    iso_now,
    teams_bot_id,
    teams_user_id,
)
from bridge.simulator.teams.writing import Mention, shown_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from bridge.simulator.teams.delivery import BotAnswer, Courier
    from bridge.simulator.teams.identity import Credentials
    from bridge.simulator.teams.tenant import Tenant
    from bridge.simulator.teams.world import Delivery

# about what the Teams client takes from a person:
# learn.microsoft.com/microsoftteams/limits-specifications-teams
LONGEST_TEXT = 28_000
# far more than any card that makes sense, and no danger to the stack
_DEEPEST_CARD = 50


class NotPossible(Exception):
    """The person cannot do that; the text says why. `status` is the page API's HTTP status."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Pressed:
    """What became of a click: whether the app took it, and what Teams tells the person."""

    taken: bool
    told: str | None


class People:
    """Acts of the tenant's people towards the bot behind `courier`."""

    def __init__(self, tenant: Tenant, courier: Courier, app: Credentials, service_url: str) -> None:
        self._tenant = tenant
        self._courier = courier
        self._app = app
        self._service_url = service_url

    async def open(self, chat_id: str, who: str) -> None:
        """Open a chat; the first opening of a personal one installs the app there."""
        place, person = self._place(chat_id, who, None)
        if place.chat.kind == "personal" and await self._tenant.install(chat_id, present=True):
            envelope = self._envelope(person, place)
            self._send(activities.installation(envelope, self._event_id(), "add"))
            self._send(activities.bot_added(envelope, self._event_id()))

    async def remove_app(self, chat_id: str, who: str) -> None:
        """Uninstall: the bot is told, and has no access any more."""
        place, person = self._place(chat_id, who, None)
        if await self._tenant.install(chat_id, present=False):
            self._send(activities.installation(self._envelope(person, place), self._event_id(), "remove"))

    async def say(
        self, chat_id: str, who: str, text: str, *, mention: bool = False, thread: str | None = None
    ) -> Message:
        """Write a message; the bot hears it in personal chats, elsewhere when it is mentioned."""
        place, person = self._place(chat_id, who, thread)
        _check_text(text)
        if self._courier.full:
            raise NotPossible("Too much is on its way to the bot already.", 503)
        await self.open(chat_id, who)
        personal = place.chat.kind == "personal"
        heard = personal or mention or f"@{BOT_NAME}" in text
        typed = f"@{BOT_NAME} {text}" if mention and not personal and f"@{BOT_NAME}" not in text else text
        said = self._message(place, person, typed, "sending" if heard else None)
        await self._tenant.put(said)
        if heard:
            activity = activities.message(self._around(said, who), said.id, typed, self._mentions(place.chat))
            self._send(activity, self._reporter(said))
        return said

    async def edit(self, chat_id: str, who: str, message_id: str, text: str) -> None:
        """Give one's own message a new text."""
        old, envelope = self._own(chat_id, who, message_id)
        _check_text(text)
        shown = self._shown(envelope.place.chat, text)
        changed = await self._tenant.change(old, text=text, html=shown, edited=True)
        if changed is not None and old.delivery is not None:
            mentions = self._mentions(envelope.place.chat)
            self._send(activities.edit(envelope, old.id, text, mentions))

    async def take_back(self, chat_id: str, who: str, message_id: str) -> None:
        """Delete one's own message."""
        old, envelope = self._own(chat_id, who, message_id)
        changed = await self._tenant.change(old, text="", html="", deleted=True)
        if changed is not None and old.delivery is not None:
            self._send(activities.delete(envelope, old.id))

    async def react(self, chat_id: str, who: str, message_id: str, kind: str = "like", *, added: bool = True) -> None:
        """React to a message of the bot, or take the reaction back."""
        message = self._bots(chat_id, message_id)
        envelope = self._around(message, who)
        self._send(activities.reaction(envelope, self._event_id(), message_id, kind, added=added))

    async def press(self, chat_id: str, who: str, message_id: str, number: int) -> Pressed:
        """Press the `number`-th action of a card: first those in its body in their order, then its own."""
        message = self._bots(chat_id, message_id)
        envelope = self._around(message, who)
        actions = card_actions(message.card or {})
        if not 0 <= number < len(actions):
            raise NotPossible("The card has no such action.", 404)
        action = actions[number]
        match action.get("type"):
            case "Action.Execute":
                invoke = activities.card_execute(envelope, self._event_id(), message_id, action)
                pressed, card = _invoke_result(await self._courier.once(invoke))
            case "Action.Submit":
                submit = activities.card_submit(envelope, self._tenant.new_id(), message_id, action)
                answer = await self._courier.once(submit)
                pressed, card = Pressed(answer.accepted, None if answer.accepted else _UNREACHABLE), None
            case _:
                raise NotPossible("This action is none of the app's.")
        if pressed.taken:
            title = str(action.get("title", ""))
            change = {"card": card, "answered_action": None} if card else {"answered_action": title}
            await self._tenant.change(message, **change)
        return pressed

    def _place(self, chat_id: str, who: str, thread: str | None) -> tuple[Place, Person]:
        """Where and who. Raises NotPossible when the person is not there or the thread does not exist."""
        chat = self._tenant.chats.get(chat_id)
        if chat is None:
            raise NotPossible("There is no such chat.", 404)
        if who not in chat.members:
            raise NotPossible("This person is not in the chat.")
        if thread is not None:
            root = self._tenant.message(chat_id, thread)
            if chat.kind != "channel" or root is None or root.thread is not None:
                raise NotPossible("There is no such thread.", 404)
        return Place(chat, thread), PEOPLE[who]

    def _own(self, chat_id: str, who: str, message_id: str) -> tuple[Message, Envelope]:
        message = self._tenant.message(chat_id, message_id)
        if message is None or message.sender != who or message.deleted:
            raise NotPossible("There is no such message of this person.", 404)
        return message, self._around(message, who)

    def _bots(self, chat_id: str, message_id: str) -> Message:
        message = self._tenant.message(chat_id, message_id)
        if message is None or not message.from_bot or message.deleted:
            raise NotPossible("There is no such message of the bot.", 404)
        return message

    def _around(self, message: Message, who: str) -> Envelope:
        """For acts on a message: in a channel it lies in a thread, if only in the one that it starts."""
        place, person = self._place(message.chat, who, None)
        root = message.thread or message.id
        return self._envelope(person, Place(place.chat, root if place.chat.kind == "channel" else None))

    def _envelope(self, person: Person, place: Place) -> Envelope:
        return Envelope(self._app.app_id, self._app.tenant_id, self._service_url, person, place, datetime.now(UTC))

    def _event_id(self) -> str:
        """Events that are no messages have ids like this one in Teams."""
        return f"f:{self._tenant.new_id()}"

    def _mentions(self, chat: Chat) -> list[Mention]:
        """Whose `@Name` is a mention there: in a personal chat Teams offers nobody."""
        if chat.kind == "personal":
            return []
        people = [Mention(teams_user_id(PEOPLE[who], self._app.app_id), PEOPLE[who].name) for who in chat.members]
        return [Mention(teams_bot_id(self._app.app_id), BOT_NAME), *people]

    def _shown(self, chat: Chat, text: str) -> str:
        return shown_form(text, self._mentions(chat))

    def _message(self, place: Place, person: Person, text: str, delivery: Delivery | None) -> Message:
        return Message(
            id=self._tenant.new_id(),
            chat=place.chat.id,
            thread=place.thread,
            at=iso_now(),
            sender=person.id,
            name=person.name,
            text=text,
            html=self._shown(place.chat, text),
            delivery=delivery,
        )

    def _send(self, activity: dict[str, Any], report: Callable[[Delivery], Awaitable[None]] | None = None) -> None:
        self._courier.send(activity, report or _unreported)

    def _reporter(self, message: Message) -> Callable[[Delivery], Awaitable[None]]:
        async def report(state: Delivery) -> None:
            await self._tenant.change(message, delivery=state)

        return report


_UNREACHABLE = "Unable to reach app"


async def _unreported(_state: Delivery) -> None:
    """Events other than messages are not seen on the page, and so is their delivery."""


def _check_text(text: str) -> None:
    if not text.strip():
        raise NotPossible("Write something first.")
    if len(text) > LONGEST_TEXT:
        raise NotPossible(f"A message can have {LONGEST_TEXT} characters at most.")


def card_actions(card: dict[str, Any]) -> list[dict[str, Any]]:
    """All actions of an Adaptive Card: those of the ActionSets in its body, then the card's own."""
    return list(_actions_in(card, _DEEPEST_CARD))


def _actions_in(part: object, depth: int) -> Iterator[dict[str, Any]]:
    """The actions of an element or a list of elements, inner ones first."""
    for item in part if isinstance(part, list) else [part]:
        if not isinstance(item, dict) or depth == 0:
            continue
        for inner in ("body", "items", "columns", "rows", "cells"):
            yield from _actions_in(item.get(inner), depth - 1)
        actions = item.get("actions")
        if isinstance(actions, list):
            yield from (action for action in actions if isinstance(action, dict))


def _invoke_result(answer: BotAnswer) -> tuple[Pressed, dict[str, Any] | None]:
    """What an invoke's answer means: the click's fate and a card that replaces the pressed one.

    Form: "response format" of work-with-universal-actions-for-adaptive-cards
    (learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards).
    """
    body = answer.json()
    value = body.get("value")
    status = body.get("statusCode", 200)
    if not answer.accepted or not isinstance(status, int) or status >= 300:
        told = value.get("message") if isinstance(value, dict) else None
        return Pressed(taken=False, told=str(told) if told else _UNREACHABLE), None
    if body.get("type") == ADAPTIVE_CARD and isinstance(value, dict):
        return Pressed(taken=True, told=None), value
    told = value if body.get("type") == "application/vnd.microsoft.activity.message" else None
    return Pressed(taken=True, told=str(told) if told else None), None
