"""What people press in the bot's messages: card buttons, Stop, feedback, a file's Accept and Decline.

Most of these are invokes: the client waits for the bot's answer, and shows the click as failed when it is late or
wrong (reference: docs/reference/teams.md, "Labels and feedback" "Feedback", docs/reference/teams.md, "Inbound activities", docs/reference/teams.md, "File exchange").
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bridge.simulator.teams import activities
from bridge.simulator.teams.delivery import BotAnswer, Courier
from bridge.simulator.teams.membership import Membership, NotPossible
from bridge.simulator.teams.messages import FileState
from bridge.simulator.teams.onedrive import OneDrive
from bridge.simulator.teams.rules import ADAPTIVE_CARD
from bridge.simulator.teams.stream_endpoint import Streaming

UNREACHABLE = "Unable to reach app"
# what a client takes of a person's feedback
_LONGEST_FEEDBACK = 5000
# far more than any card that makes sense, and no danger to the stack
_DEEPEST_CARD = 50


@dataclass(frozen=True, slots=True)
class Pressed:
    """What became of a click: whether the app took it, and what Teams tells the person."""

    taken: bool
    told: str | None


_FAILED = Pressed(taken=False, told=UNREACHABLE)


class Clicks:
    """Clicks of the tenant's people on messages of the bot behind `courier`."""

    def __init__(self, whereabouts: Membership, courier: Courier, streaming: Streaming, onedrive: OneDrive) -> None:
        self._at = whereabouts
        self._tenant = whereabouts.tenant
        self._courier = courier
        self._streaming = streaming
        self._onedrive = onedrive

    async def press(self, chat_id: str, who: str, message_id: str, number: int) -> Pressed:
        """Press the `number`-th action of a card: first those in its body in their order, then its own."""
        message, envelope = self._at.bots(chat_id, who, message_id)
        actions = card_actions(message.card or {})
        if not 0 <= number < len(actions):
            raise NotPossible("The card has no such action.", 404)
        action = actions[number]
        match action.get("type"):
            case "Action.Execute":
                invoke = activities.card_execute(envelope, self._at.event_id(), message_id, action)
                pressed, card = _invoke_result(await self._courier.once(invoke))
            case "Action.Submit":
                submit = activities.card_submit(envelope, self._tenant.new_id(), message_id, action)
                answer = await self._courier.once(submit)
                pressed, card = Pressed(taken=True, told=None) if answer.accepted else _FAILED, None
            case _:
                raise NotPossible("This action is none of the app's.")
        if pressed.taken:
            title = str(action.get("title", ""))
            change = {"card": card, "answered_action": None} if card else {"answered_action": title}
            await self._tenant.change(message, **change)
        return pressed

    async def stop(self, chat_id: str, who: str, message_id: str) -> None:
        """End a stream. The bot is not told: its next part is refused."""
        self._at.bots(chat_id, who, message_id)
        if not await self._streaming.stop(chat_id, message_id):
            raise NotPossible("This message is not being streamed.", 404)

    async def give_feedback(self, chat_id: str, who: str, message_id: str, reaction: str, text: str) -> Pressed:
        """Send `like` or `dislike` with some words. The bot must answer 200 and nothing, else it has failed (docs/reference/teams.md, "Labels and feedback")."""
        message, envelope = self._at.bots(chat_id, who, message_id)
        if not message.feedback:
            raise NotPossible("This message has no feedback buttons.", 404)
        if reaction not in ("like", "dislike"):
            raise NotPossible("Feedback is either 'like' or 'dislike'.")
        if len(text) > _LONGEST_FEEDBACK:
            raise NotPossible(f"Feedback can have {_LONGEST_FEEDBACK} characters at most.")
        invoke = activities.feedback(envelope, self._at.event_id(), message_id, reaction, text)
        answer = await self._courier.once(invoke)
        if answer.status != 200 or answer.body.strip() not in (b"", b"{}"):
            return _FAILED
        newest = self._tenant.message(chat_id, message_id) or message
        await self._tenant.change(message, feedback_given={**newest.feedback_given, who: reaction})
        return Pressed(taken=True, told=None)

    async def consent(self, chat_id: str, who: str, message_id: str, *, accepted: bool) -> Pressed:
        """Take or refuse a file that the bot offers. The card stays: to take it away is the bot's part (docs/reference/teams.md, "File exchange")."""
        message, envelope = self._at.bots(chat_id, who, message_id)
        if message.consent is None:
            raise NotPossible("This message offers no file.", 404)
        name = str(message.consent.get("name"))
        unique_id = str(uuid.uuid4())
        value: dict[str, Any] = {"type": "fileUpload", "action": "accept" if accepted else "decline"}
        value["context"] = message.consent.get("acceptContext" if accepted else "declineContext")
        if accepted:
            value["uploadInfo"] = {
                "contentUrl": self._onedrive.content_url(unique_id, name),
                "name": name,
                "uploadUrl": self._onedrive.upload_url(unique_id, name, chat_id),
                "uniqueId": unique_id,
                "fileType": file_type(name),
            }
        invoke = activities.invoke(envelope, self._at.event_id(), "fileConsent/invoke", value, message_id)
        answer = await self._courier.once(invoke)
        if answer.status != 200:
            return _FAILED
        state: FileState = "accepted" if accepted else "declined"
        newest = self._tenant.message(chat_id, message_id) or message
        files = tuple(one if one.state == "sent" else replace(one, state=state) for one in newest.files)
        await self._tenant.change(message, files=files)
        return Pressed(taken=True, told=None)


def file_type(name: str) -> str:
    """`pdf` of `plan.pdf`."""
    return name.rpartition(".")[2].lower() if "." in name else ""


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
        return Pressed(taken=False, told=str(told) if told else UNREACHABLE), None
    if body.get("type") == ADAPTIVE_CARD and isinstance(value, dict):
        return Pressed(taken=True, told=None), value
    told = value if body.get("type") == "application/vnd.microsoft.activity.message" else None
    return Pressed(taken=True, told=str(told) if told else None), None
