"""What Teams sends to a bot: activities in the form the real service gives them. Pure.

Sources: learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/conversation-basics and
…/subscribe-to-conversation-events, learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/
universal-actions-for-adaptive-cards (reference: docs/reference/teams.md, "Inbound activities").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

from bridge.simulator.teams.message_parts import Written, content_of
from bridge.simulator.teams.typed_text import Mention
from bridge.simulator.teams.world import BOT_NAME, Person, Place, team_id, teams_bot_id, teams_user_id


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who acts, where and when: what all activities of one act have in common. `at` is in UTC."""

    app_id: str
    tenant_id: str
    service_url: str
    person: Person
    place: Place
    at: datetime

    def activity(self, kind: str, activity_id: str, **content: Any) -> dict[str, Any]:
        """An activity of the given type with the given fields beside the common ones."""
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
        group = {} if self.place.chat.kind == "personal" else {"isGroup": True}
        return {
            **group,
            "conversationType": self.place.chat.kind,
            "tenantId": self.tenant_id,
            "id": self.place.conversation,
        }

    def _channel_data(self) -> dict[str, Any]:
        tenant = {"tenant": {"id": self.tenant_id}}
        if self.place.chat.kind != "channel":
            return tenant
        channel, team = self.place.chat.conversation, team_id()
        return {
            "teamsChannelId": channel,
            "teamsTeamId": team,
            "channel": {"id": channel},
            "team": {"id": team},
            **tenant,
        }

    def client_info(self) -> dict[str, Any]:
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
    """A person's plain message."""
    return written(envelope, message_id, Written(text, mentions))


def written(envelope: Envelope, message_id: str, what: Written) -> dict[str, Any]:
    """A person's message with whatever it holds."""
    return _with_content("message", envelope, message_id, what)


def _with_content(kind: str, envelope: Envelope, message_id: str, what: Written) -> dict[str, Any]:
    content = content_of(what)
    content["entities"].append(envelope.client_info())
    return envelope.activity(kind, message_id, locale=envelope.person.locale, **content)


def edit(envelope: Envelope, message_id: str, text: str, mentions: Sequence[Mention] = ()) -> dict[str, Any]:
    """A person's new text for an earlier message."""
    return _update(envelope, message_id, Written(text, mentions), "editMessage")


def undelete(envelope: Envelope, message_id: str, what: Written) -> dict[str, Any]:
    """A deleted message is there again."""
    return _update(envelope, message_id, what, "undeleteMessage")


def _update(envelope: Envelope, message_id: str, what: Written, event: str) -> dict[str, Any]:
    activity = _with_content("messageUpdate", envelope, message_id, what)
    activity["channelData"] |= {"eventType": event}
    return activity


def delete(envelope: Envelope, message_id: str) -> dict[str, Any]:
    """A person takes an earlier message back."""
    activity = envelope.activity("messageDelete", message_id)
    activity["channelData"] |= {"eventType": "softDeleteMessage"}
    return activity


def reaction(envelope: Envelope, activity_id: str, message_id: str, kind: str, *, added: bool = True) -> dict[str, Any]:
    """A person reacts to the bot's message `message_id`, or takes the reaction (such as `like`) back."""
    field = "reactionsAdded" if added else "reactionsRemoved"
    return envelope.activity("messageReaction", activity_id, replyToId=message_id, **{field: [{"type": kind}]})


def installation(envelope: Envelope, activity_id: str, action: str) -> dict[str, Any]:
    """`action` is `add`, `remove` or `add-upgrade` (botframework-sdk issue 6139, docs/reference/teams.md, "Inbound activities")."""
    activity = envelope.activity(
        "installationUpdate",
        activity_id,
        action=action,
        entities=[envelope.client_info()],
        locale=envelope.person.locale,
    )
    if envelope.place.chat.kind == "channel":
        activity["channelData"]["settings"] = {"selectedChannel": {"id": envelope.place.chat.conversation}}
    return activity


def bot_added(envelope: Envelope, activity_id: str) -> dict[str, Any]:
    """The conversationUpdate that follows an installation."""
    members = [{"id": teams_bot_id(envelope.app_id)}]
    return envelope.activity("conversationUpdate", activity_id, membersAdded=members)


def card_execute(envelope: Envelope, activity_id: str, message_id: str, action: dict[str, Any]) -> dict[str, Any]:
    """A click on an `Action.Execute`: an invoke that waits for its answer."""
    clicked = {name: action[name] for name in ("type", "id", "verb", "data") if name in action}
    value = {"action": clicked, "trigger": "manual"}
    return invoke(envelope, activity_id, "adaptiveCard/action", value, message_id)


def feedback(envelope: Envelope, activity_id: str, message_id: str, reaction: str, text: str) -> dict[str, Any]:
    """Feedback on a message of the bot; the person's words travel as JSON inside the JSON.

    learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content (docs/reference/teams.md, "Labels and feedback" "Feedback").
    """
    words = orjson.dumps({"feedbackText": text}).decode()
    value = {"actionName": "feedback", "actionValue": {"reaction": reaction, "feedback": words}}
    return invoke(envelope, activity_id, "message/submitAction", value, message_id)


def invoke(envelope: Envelope, activity_id: str, name: str, value: dict[str, Any], message_id: str) -> dict[str, Any]:
    """What waits for the bot's answer: something was pressed in its message."""
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
    """A click on an `Action.Submit`: a message without typed text whose `value` is the action's data.

    `data.msteams` of type `messageBack` or `imBack` puts a text into it
    (learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-actions).
    """
    data = action.get("data")
    told = data.get("msteams") if isinstance(data, dict) else None
    content: dict[str, Any] = {"value": data}
    match told:
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
