"""Builds the activities that Teams sends to a bot, with the fields of the real service. Pure.

Sources: docs/reference/teams.md, "Fields of an activity" and docs/reference/teams.md, "Events";
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/conversation-basics
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

from bridge.simulator.teams.message_parts import TypedMessage, content_of
from bridge.simulator.teams.typed_text import Mention
from bridge.simulator.teams.world import BOT_NAME, Conversation, Person, team_id, teams_bot_id, teams_user_id


@dataclass(frozen=True, slots=True)
class Envelope:
    """The common fields of all activities of a person's action: person, conversation and time. `at` is in UTC."""

    app_id: str
    tenant_id: str
    service_url: str
    person: Person
    conversation: Conversation
    at: datetime

    def activity(self, kind: str, activity_id: str, **content: Any) -> dict[str, Any]:
        """An activity of type `kind`: the common fields, then `content`."""
        local = self.at.astimezone(timezone(timedelta(hours=self.person.utc_offset)))
        return {
            "type": kind,
            "id": activity_id,
            "timestamp": _iso(self.at.astimezone(UTC)).replace("+00:00", "Z"),
            "localTimestamp": _iso(local),
            "localTimezone": self.person.timezone,
            "channelId": "msteams",
            "serviceUrl": self.service_url,
            "from": {
                "id": teams_user_id(self.person, self.app_id),
                "name": self.person.name,
                "aadObjectId": self.person.aad_id,
            },
            "conversation": self._conversation(),
            "recipient": {"id": teams_bot_id(self.app_id), "name": BOT_NAME},
            "channelData": self._channel_data(),
            **content,
        }

    def _conversation(self) -> dict[str, Any]:
        group = {} if self.conversation.chat.kind == "personal" else {"isGroup": True}
        return {
            **group,
            "conversationType": self.conversation.chat.kind,
            "tenantId": self.tenant_id,
            "id": self.conversation.id,
        }

    def _channel_data(self) -> dict[str, Any]:
        tenant = {"tenant": {"id": self.tenant_id}}
        if self.conversation.chat.kind != "channel":
            return tenant
        channel, team = self.conversation.chat.conversation_id, team_id()
        return {
            "teamsChannelId": channel,
            "teamsTeamId": team,
            "channel": {"id": channel},
            "team": {"id": team},
            **tenant,
        }

    def client_info(self) -> dict[str, Any]:
        """The `clientInfo` entity: the person's language, country and time zone."""
        return {
            "type": "clientInfo",
            "locale": self.person.locale,
            "country": self.person.country,
            "platform": "Web",
            "timezone": self.person.timezone,
        }


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def message(envelope: Envelope, message_id: str, text: str, mentions: Sequence[Mention] = ()) -> dict[str, Any]:
    """A person's message of text and mentions alone."""
    return typed_message(envelope, message_id, TypedMessage(text, mentions))


def typed_message(envelope: Envelope, message_id: str, typed: TypedMessage) -> dict[str, Any]:
    """A person's message with text, mentions, quotation and files."""
    return _with_content("message", envelope, message_id, typed)


def _with_content(kind: str, envelope: Envelope, message_id: str, typed: TypedMessage) -> dict[str, Any]:
    content = content_of(typed)
    content["entities"].append(envelope.client_info())
    return envelope.activity(kind, message_id, locale=envelope.person.locale, **content)


def edit(envelope: Envelope, message_id: str, text: str, mentions: Sequence[Mention] = ()) -> dict[str, Any]:
    """A person's new text for an earlier message."""
    return _update(envelope, message_id, TypedMessage(text, mentions), "editMessage")


def undelete(envelope: Envelope, message_id: str, typed: TypedMessage) -> dict[str, Any]:
    """A person restores a deleted message."""
    return _update(envelope, message_id, typed, "undeleteMessage")


def _update(envelope: Envelope, message_id: str, typed: TypedMessage, event: str) -> dict[str, Any]:
    activity = _with_content("messageUpdate", envelope, message_id, typed)
    activity["channelData"] |= {"eventType": event}
    return activity


def delete(envelope: Envelope, message_id: str) -> dict[str, Any]:
    """A person deletes an earlier message."""
    activity = envelope.activity("messageDelete", message_id)
    activity["channelData"] |= {"eventType": "softDeleteMessage"}
    return activity


def reaction(envelope: Envelope, activity_id: str, message_id: str, kind: str, *, added: bool = True) -> dict[str, Any]:
    """A person adds or removes a reaction of type `kind` (such as `like`) at the bot's message `message_id`."""
    field = "reactionsAdded" if added else "reactionsRemoved"
    return envelope.activity("messageReaction", activity_id, replyToId=message_id, **{field: [{"type": kind}]})


def installation(envelope: Envelope, activity_id: str, action: str) -> dict[str, Any]:
    """The app is installed, removed or upgraded: `action` is `add`, `remove` or `add-upgrade`."""
    activity = envelope.activity(
        "installationUpdate",
        activity_id,
        action=action,
        entities=[envelope.client_info()],
        locale=envelope.person.locale,
    )
    if envelope.conversation.chat.kind == "channel":
        activity["channelData"]["settings"] = {"selectedChannel": {"id": envelope.conversation.chat.conversation_id}}
    return activity


def bot_added(envelope: Envelope, activity_id: str) -> dict[str, Any]:
    """The conversationUpdate after an installation."""
    members = [{"id": teams_bot_id(envelope.app_id)}]
    return envelope.activity("conversationUpdate", activity_id, membersAdded=members)


def card_execute(envelope: Envelope, activity_id: str, message_id: str, action: dict[str, Any]) -> dict[str, Any]:
    """A click on an `Action.Execute`: an invoke that waits for its answer."""
    clicked = {name: action[name] for name in ("type", "id", "verb", "data") if name in action}
    value = {"action": clicked, "trigger": "manual"}
    return invoke(envelope, activity_id, "adaptiveCard/action", value, message_id)


def feedback(envelope: Envelope, activity_id: str, message_id: str, reaction: str, text: str) -> dict[str, Any]:
    """Feedback on a message of the bot; the person's words travel as JSON inside the JSON.

    Source: docs/reference/teams.md, "Feedback buttons and their invoke".
    """
    words = orjson.dumps({"feedbackText": text}).decode()
    value = {"actionName": "feedback", "actionValue": {"reaction": reaction, "feedback": words}}
    return invoke(envelope, activity_id, "message/submitAction", value, message_id)


def invoke(envelope: Envelope, activity_id: str, name: str, value: dict[str, Any], message_id: str) -> dict[str, Any]:
    """A click in the bot's message `message_id`; Teams waits for the bot's answer."""
    return envelope.activity(
        "invoke",
        activity_id,
        name=name,
        value=value,
        replyToId=message_id,
        locale=envelope.person.locale,
        entities=[envelope.client_info()],
        source={"name": "message"},
    )


def card_submit(envelope: Envelope, activity_id: str, message_id: str, action: dict[str, Any]) -> dict[str, Any]:
    """A click on an `Action.Submit`: a message without typed text; `value` is the action's data.

    `data.msteams` of type `messageBack` or `imBack` adds a text:
    https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-actions
    """
    data = action.get("data")
    teams_data = data.get("msteams") if isinstance(data, dict) else None
    content: dict[str, Any] = {"value": data}
    match teams_data:
        case {"type": "messageBack", **rest}:
            content = {"value": rest.get("value"), "text": str(rest.get("text", ""))}
        case {"type": "imBack", "value": text}:
            content = {"text": str(text)}
    return envelope.activity(
        "message",
        activity_id,
        replyToId=message_id,
        locale=envelope.person.locale,
        entities=[envelope.client_info()],
        **content,
    )
