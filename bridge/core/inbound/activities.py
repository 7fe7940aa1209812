"""Parses the JSON of a verified activity into an `Event`. Raises nothing, whatever the JSON.

Teams adds types, names and fields at any time, so unknown ones become `Ignored` with a reason.
Fields: docs/reference/teams.md, "Fields of an activity"; https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference#activity-object
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from bridge.core.access import Facts
from bridge.core.files.kept import Consent
from bridge.core.files.shared import SharedFile
from bridge.core.inbound.feedback import SUBMIT, Rated, rated_by_button, rated_by_reaction
from bridge.core.inbound.json_values import mapping as _dict
from bridge.core.inbound.json_values import objects
from bridge.core.inbound.json_values import text as _str
from bridge.core.inbound.mentions import Mentions
from bridge.core.inbound.message_body import read_body
from bridge.core.inbound.sender import is_bot, reference_and_facts
from bridge.core.no_text import NoText
from bridge.core.turn import Reference, Scope

# Type and `channelData.eventType`: docs/reference/teams.md, "Events".
_EDIT_EVENTS: Final = {
    ("messageUpdate", "editMessage"),
    ("messageUpdate", "undeleteMessage"),
    ("messageDelete", "softDeleteMessage"),
}
_MEMBERSHIP: Final = ("installationUpdate", "conversationUpdate")
_PARSED_TYPES: Final = ("message", "messageUpdate", "messageDelete", "messageReaction", "invoke", *_MEMBERSHIP)


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A message from a person.

    `id` is the key by which a repeat is recognised; `text` is Markdown without the mention of the bot. `no_text`: the
    kinds of content that cannot be read as words.
    """

    id: str
    reference: Reference
    facts: Facts
    text: str
    mentioned: bool
    files: tuple[SharedFile, ...] = ()
    no_text: tuple[NoText, ...] = ()


@dataclass(frozen=True, slots=True)
class CardAction:
    """A press of a card's button (invoke `adaptiveCard/action`), with the verb and data from the bridge's card."""

    id: str
    reference: Reference
    facts: Facts
    verb: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FileConsent:
    """A person accepted or declined an offered file (invoke `fileConsent/invoke`)."""

    id: str
    reference: Reference
    facts: Facts
    consent: Consent


@dataclass(frozen=True, slots=True)
class Installed:
    """The bot was added to a conversation."""

    id: str
    reference: Reference
    facts: Facts


@dataclass(frozen=True, slots=True)
class Ignored:
    """An activity without any effect. `reason` is a metric label from a small fixed set."""

    reason: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A person edited a message, or undid a deletion (`undeleted`).

    `message` has the new text and the message's original key; `id` is the key of the edit. `stamp` is the time of the
    edit by Teams' clock in seconds since the epoch, 0.0 if Teams gave none.
    """

    id: str
    message: UserMessage
    stamp: float
    undeleted: bool = False


@dataclass(frozen=True, slots=True)
class Deleted:
    """A person deleted a message; `message` is the key of its `UserMessage`, `stamp` as in `Edited`."""

    message: str
    reference: Reference
    stamp: float


@dataclass(frozen=True, slots=True)
class Removed:
    """The bot was removed from a conversation; ids of the conversation's turns begin with `id_prefix`."""

    id_prefix: str


Event = UserMessage | CardAction | FileConsent | Installed | Edited | Deleted | Removed | Rated | Ignored


def parse_activity(activity: dict[str, Any]) -> Event:
    """Return the event in a verified activity (a JSON object)."""
    kind = activity.get("type")
    if kind not in _PARSED_TYPES:
        known = kind in ("typing", "event", "endOfConversation")
        return Ignored(f"type_{kind}" if known else "type_unknown")
    if removed := _removed(activity, kind):
        return removed
    reference, facts = reference_and_facts(activity)
    if reference is None or facts is None:
        return Ignored("malformed")
    if is_bot(activity):
        return Ignored("from_bot")
    event: Event
    match kind:
        case "message":
            event = _message(activity, reference, facts)
        case "messageUpdate" | "messageDelete":
            event = _edit(activity, kind, reference, facts)
        case "messageReaction":
            event = rated_by_reaction(activity, reference, facts) or Ignored("reaction_neutral")
        case "invoke":
            event = _invoke(activity, reference, facts)
        case _:
            event = _membership(activity, kind, reference, facts)
    return event


def _message(activity: dict[str, Any], reference: Reference, facts: Facts) -> UserMessage | Ignored:
    if not reference.activity:
        return Ignored("malformed")
    mentions = Mentions(activity)
    body = read_body(activity, mentions)
    id_ = _key("message", reference, reference.activity)
    return UserMessage(id_, reference, facts, body.text, mentions.of_the_bot, body.files, body.no_text)


def _edit(activity: dict[str, Any], kind: str, reference: Reference, facts: Facts) -> Event:
    """Parse an edit, a deletion or an undone deletion. The activity's id is the id of the edited message.

    https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/conversation-messages
    """
    event_type = _str(_dict(activity.get("channelData")).get("eventType"))
    if (kind, event_type) not in _EDIT_EVENTS:
        return Ignored("change_unknown")
    stamp = _stamp(_str(activity.get("timestamp")))
    message = _message(activity, reference, facts)
    if isinstance(message, Ignored):
        return message
    if kind == "messageDelete":
        return Deleted(message.id, reference, stamp)
    key = _key(kind, reference, f"{reference.activity}|{_str(activity.get('timestamp'))}")
    return Edited(key, message, stamp, undeleted=event_type == "undeleteMessage")


def _invoke(activity: dict[str, Any], reference: Reference, facts: Facts) -> Event:
    if activity.get("name") == SUBMIT:
        return rated_by_button(activity, reference, facts) or Ignored("invoke_malformed")
    if activity.get("name") == "fileConsent/invoke":
        return _file_consent(activity, reference, facts)
    if activity.get("name") != "adaptiveCard/action":
        return Ignored("invoke_unknown")
    action = _dict(_dict(activity.get("value")).get("action"))
    verb = _str(action.get("verb"))
    if not verb:
        return Ignored("invoke_malformed")
    data = _dict(action.get("data"))
    # A retried invoke has a new id, so the key is made of the message, the person and the button's data.
    try:
        clicked = orjson.dumps([verb, data], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # orjson reads deeper nesting than orjson writes
        return Ignored("invoke_malformed")
    digest = hashlib.sha256(clicked).hexdigest()[:24]
    key = f"{_str(activity.get('replyToId'))}|{facts.person.aad_id}|{digest}"
    return CardAction(_key("invoke", reference, key), reference, facts, verb, data)


def _file_consent(activity: dict[str, Any], reference: Reference, facts: Facts) -> Event:
    """Parse the answer to an offered file. Shape: docs/reference/teams.md, "Offering a file"."""
    value = _dict(activity.get("value"))
    file, action = _str(_dict(value.get("context")).get("file")), value.get("action")
    if not file or action not in ("accept", "decline") or reference.scope is not Scope.PERSONAL:
        return Ignored("invoke_malformed")
    upload = _dict(value.get("uploadInfo"))
    consent = Consent(
        file=file,
        accepted=action == "accept",
        card=_str(activity.get("replyToId")),
        upload_url=_str(upload.get("uploadUrl")),
        content_url=_str(upload.get("contentUrl")),
        unique_id=_str(upload.get("uniqueId")),
        file_type=_str(upload.get("fileType")),
    )
    # Accepting and declining share a key, so the first press counts: retried invokes have new ids, and the card can
    # be pressed again until the bridge replaces the card.
    return FileConsent(_key("invoke", reference, f"file|{facts.person.aad_id}|{file}"), reference, facts, consent)


def _removed(activity: dict[str, Any], kind: str) -> Removed | None:
    """Parse the bot's removal, which needs no field but the conversation: nothing is answered there any more."""
    conversation, bot = (_str(_dict(activity.get(name)).get("id")) for name in ("conversation", "recipient"))
    members = [member.get("id") for member in objects(activity.get("membersRemoved"))]
    told = activity.get("action") == "remove" if kind == "installationUpdate" else bot and bot in members
    return Removed(_id_prefix(conversation)) if kind in _MEMBERSHIP and told and conversation else None


def _membership(activity: dict[str, Any], kind: str, reference: Reference, facts: Facts) -> Event:
    if kind == "installationUpdate":
        # add, add-upgrade, …: https://github.com/microsoft/botframework-sdk/issues/6139
        if activity.get("action") != "add":
            return Ignored("installation_update")
    elif all(member.get("id") != reference.bot for member in objects(activity.get("membersAdded"))):
        return Ignored("conversation_update")
    # A personal chat sends both events; with the same key for both the bot greets once.
    return Installed(_key("installed", reference, ""), reference, facts)


def _key(kind: str, reference: Reference, suffix: str) -> str:
    return f"{_id_prefix(reference.conversation)}|{kind}|{suffix}"


def _id_prefix(conversation: str) -> str:
    return f"msteams|{conversation}"


def _stamp(timestamp: str) -> float:
    try:
        at = datetime.fromisoformat(timestamp)
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0.0
