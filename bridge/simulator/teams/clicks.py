"""People's clicks in the bot's messages: card buttons, Stop, feedback, a file's Accept and Decline.

Most clicks are invokes: the client waits for the bot's answer, and shows the click as failed when the answer is late
or wrong. Sources: docs/reference/teams.md, "Feedback buttons and their invoke"; docs/reference/teams.md, "Offering a
file"; docs/reference/teams.md, "Time to answer, and repeats".
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
from bridge.simulator.teams.stream_endpoint import StreamEndpoint

UNREACHABLE = "Unable to reach app"
# characters of a person's feedback
_LONGEST_FEEDBACK = 5000
# levels: far more than any sensible card has, few enough for Python's stack
_DEEPEST_CARD = 50


@dataclass(frozen=True, slots=True)
class ClickResult:
    """The outcome of a click: whether the bot accepted the click, and Teams' message to the person."""

    accepted: bool
    message: str | None


_FAILED = ClickResult(accepted=False, message=UNREACHABLE)


class Clicks:
    """Clicks of the tenant's people on messages of the bot behind `courier`."""

    def __init__(self, membership: Membership, courier: Courier, streams: StreamEndpoint, onedrive: OneDrive) -> None:
        self._membership = membership
        self._tenant = membership.tenant
        self._courier = courier
        self._streams = streams
        self._onedrive = onedrive

    async def press(self, chat_id: str, who: str, message_id: str, number: int) -> ClickResult:
        """Press action `number` of a card, counted as by `card_actions` from 0. Raises: NotPossible."""
        message, envelope = self._membership.bot_message(chat_id, who, message_id)
        actions = card_actions(message.card or {})
        if not 0 <= number < len(actions):
            raise NotPossible("The card has no such action.", 404)
        action = actions[number]
        match action.get("type"):
            case "Action.Execute":
                invoke = activities.card_execute(envelope, self._membership.event_id(), message_id, action)
                result, card = _invoke_result(await self._courier.attempt(invoke))
            case "Action.Submit":
                submit = activities.card_submit(envelope, self._tenant.new_id(), message_id, action)
                answer = await self._courier.attempt(submit)
                result, card = ClickResult(accepted=True, message=None) if answer.accepted else _FAILED, None
            case _:
                raise NotPossible("This action is none of the app's.")
        if result.accepted:
            title = str(action.get("title", ""))
            change = {"card": card, "answered_action": None} if card else {"answered_action": title}
            await self._tenant.change(message, **change)
        return result

    async def stop(self, chat_id: str, who: str, message_id: str) -> None:
        """End an open stream. The bot gets no activity: the stream's next part is refused. Raises: NotPossible."""
        self._membership.bot_message(chat_id, who, message_id)
        if not await self._streams.stop(chat_id, message_id):
            raise NotPossible("This message is not being streamed.", 404)

    async def give_feedback(self, chat_id: str, who: str, message_id: str, reaction: str, text: str) -> ClickResult:
        """Send the bot the feedback `like` or `dislike` with the person's words.

        The click has failed unless the bot answers 200 with an empty body or `{}`. Raises: NotPossible.
        """
        message, envelope = self._membership.bot_message(chat_id, who, message_id)
        if not message.feedback:
            raise NotPossible("This message has no feedback buttons.", 404)
        if reaction not in ("like", "dislike"):
            raise NotPossible("Feedback is either 'like' or 'dislike'.")
        if len(text) > _LONGEST_FEEDBACK:
            raise NotPossible(f"Feedback can have {_LONGEST_FEEDBACK} characters at most.")
        invoke = activities.feedback(envelope, self._membership.event_id(), message_id, reaction, text)
        answer = await self._courier.attempt(invoke)
        if answer.status != 200 or answer.body.strip() not in (b"", b"{}"):
            return _FAILED
        newest = self._tenant.message(chat_id, message_id) or message
        await self._tenant.change(message, feedback_given={**newest.feedback_given, who: reaction})
        return ClickResult(accepted=True, message=None)

    async def consent(self, chat_id: str, who: str, message_id: str, *, accepted: bool) -> ClickResult:
        """Accept or decline a file offered by the bot; the bot has to remove the card. Raises: NotPossible."""
        message, envelope = self._membership.bot_message(chat_id, who, message_id)
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
        invoke = activities.invoke(envelope, self._membership.event_id(), "fileConsent/invoke", value, message_id)
        answer = await self._courier.attempt(invoke)
        if answer.status != 200:
            return _FAILED
        state: FileState = "accepted" if accepted else "declined"
        newest = self._tenant.message(chat_id, message_id) or message
        files = tuple(file if file.state == "sent" else replace(file, state=state) for file in newest.files)
        await self._tenant.change(message, files=files)
        return ClickResult(accepted=True, message=None)


def file_type(name: str) -> str:
    """The lower-case ending of a file's name: `pdf` for `plan.pdf`, "" without an ending."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def card_actions(card: dict[str, Any]) -> list[dict[str, Any]]:
    """All actions of an Adaptive Card: the actions of ActionSets in the body, then the card's own."""
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


def _invoke_result(answer: BotAnswer) -> tuple[ClickResult, dict[str, Any] | None]:
    """Read an invoke's answer: the click's outcome and, if present, the card to show in place of the pressed card.

    Form: "response format" of https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards/work-with-universal-actions-for-adaptive-cards
    """
    body = answer.json()
    value = body.get("value")
    status = body.get("statusCode", 200)
    if not answer.accepted or not isinstance(status, int) or status >= 300:
        sentence = value.get("message") if isinstance(value, dict) else None
        return ClickResult(accepted=False, message=str(sentence) if sentence else UNREACHABLE), None
    if body.get("type") == ADAPTIVE_CARD and isinstance(value, dict):
        return ClickResult(accepted=True, message=None), value
    sentence = value if body.get("type") == "application/vnd.microsoft.activity.message" else None
    return ClickResult(accepted=True, message=str(sentence) if sentence else None), None
