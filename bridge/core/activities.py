"""Activity JSON in, one of a closed set of events out. Total: no JSON makes it raise.

Unknown types, names and shapes become `Ignored` with a reason; Teams adds new ones at any time.
Fields: teams-platform.md section 5; https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference#activity-object
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.core.access import Facts
from bridge.core.html_text import html_to_text, is_plain_echo
from bridge.core.identity import speaker
from bridge.core.turn import Person, Reference, Scope

BOT_PREFIX = "28:"
"""Ids of bots in Teams; a bot that answered bots could talk with itself forever."""

# Other words in this place would be a user id with a meaning of its own to the gateway: `system` is its owner,
# `group:…` a group (goclaw-gateway.md section 2). Who has none is refused by access.py.
_AAD_ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


_SCOPES = {scope.value: scope for scope in Scope}


@dataclass(frozen=True, slots=True)
class UserMessage:
    """Something a person wrote. `text` is readable, without the bot's own mention; `id` is the dedupe key."""

    id: str
    reference: Reference
    facts: Facts
    text: str
    mentioned: bool
    files: int


@dataclass(frozen=True, slots=True)
class CardAction:
    """A click on a card's button (invoke `adaptiveCard/action`): verb and data are the bridge's own, echoed."""

    id: str
    reference: Reference
    facts: Facts
    verb: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Installed:
    """The bot was added to a conversation."""

    id: str
    reference: Reference
    facts: Facts


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing to do. `reason` is a metric label from a small fixed set."""

    reason: str


Event = UserMessage | CardAction | Installed | Ignored


def parse_activity(activity: dict[str, Any]) -> Event:
    """The event in a verified activity (a JSON object)."""
    kind = activity.get("type")
    if kind not in ("message", "invoke", "installationUpdate", "conversationUpdate"):
        known = kind in (
            "messageUpdate",
            "messageDelete",
            "messageReaction",
            "typing",
            "event",
            "endOfConversation",
        )
        return Ignored(f"type_{kind}" if known else "type_unknown")
    reference, facts = _address(activity)
    if reference is None or facts is None:
        return Ignored("malformed")
    if facts.person.teams_id.startswith(BOT_PREFIX):
        return Ignored("from_bot")
    if kind == "message":
        return _message(activity, reference, facts)
    if kind == "invoke":
        return _invoke(activity, reference, facts)
    return _membership(activity, kind, reference, facts)


def _message(activity: dict[str, Any], reference: Reference, facts: Facts) -> Event:
    if not reference.activity:
        return Ignored("malformed")
    mentions = _mentions(activity, reference.bot)
    text, files = _words(activity, mentions)
    mentioned = any(mention.own for mention in mentions)
    id_ = _key("message", reference, reference.activity)
    return UserMessage(id_, reference, facts, text, mentioned, files)


def _invoke(activity: dict[str, Any], reference: Reference, facts: Facts) -> Event:
    if activity.get("name") != "adaptiveCard/action":
        return Ignored("invoke_unknown")
    action = _dict(_dict(activity.get("value")).get("action"))
    verb = _str(action.get("verb"))
    if not verb:
        return Ignored("invoke_malformed")
    data = _dict(action.get("data"))
    # A retried invoke has a new id, so what was clicked is the key: the message, the person, the button.
    try:
        clicked = orjson.dumps([verb, data], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested deeper than it writes, though not than it reads
        return Ignored("invoke_malformed")
    digest = hashlib.sha256(clicked).hexdigest()[:24]
    key = f"{_str(activity.get('replyToId'))}|{facts.person.aad_id}|{digest}"
    return CardAction(_key("invoke", reference, key), reference, facts, verb, data)


def _membership(activity: dict[str, Any], kind: str, reference: Reference, facts: Facts) -> Event:
    if kind == "installationUpdate":
        # add, add-upgrade, …: https://github.com/microsoft/botframework-sdk/issues/6139
        action = _str(activity.get("action"))
        if action != "add":
            return Ignored("installation_update")
    else:
        added = activity.get("membersAdded")
        ids = [_str(_dict(m).get("id")) for m in added] if isinstance(added, list) else []
        if reference.bot not in ids:
            return Ignored("conversation_update")
    # In a personal chat both events come; one key for both greets once.
    return Installed(_key("installed", reference, ""), reference, facts)


def _address(activity: dict[str, Any]) -> tuple[Reference, Facts] | tuple[None, None]:
    sender, recipient = _dict(activity.get("from")), _dict(activity.get("recipient"))
    conversation, channel_data = _dict(activity.get("conversation")), _dict(activity.get("channelData"))
    ids = (_str(sender.get("id")), _str(recipient.get("id")), _str(conversation.get("id")))
    service_url = _str(activity.get("serviceUrl"))
    if not all(ids) or not service_url:
        return None, None
    scope = _scope(conversation)
    if scope is None:
        return None, None
    tenant = _str(_dict(channel_data.get("tenant")).get("id")) or _str(conversation.get("tenantId"))
    aad_id = _str(sender.get("aadObjectId"))
    person = Person(ids[0], aad_id if _AAD_ID.fullmatch(aad_id) else "", _str(sender.get("name")))
    reference = Reference(
        service_url=service_url,
        conversation=ids[2],
        scope=scope,
        tenant=tenant,
        bot=ids[1],
        user=ids[0],
        activity=_str(activity.get("id")),
        locale=_str(activity.get("locale")),
    )
    facts = Facts(
        person=person,
        scope=scope,
        tenant=tenant,
        meeting="meeting" in channel_data or ids[2].startswith("19:meeting_"),
    )
    return reference, facts


def _scope(conversation: dict[str, Any]) -> Scope | None:
    """Events of a personal chat may leave conversationType out. A group is never taken for one: the answer would
    come from the sender's own session, before everybody's eyes.
    """
    kind = conversation.get("conversationType")
    if isinstance(kind, str) and kind in _SCOPES:
        return _SCOPES[kind]
    group = conversation.get("isGroup") is True or _str(conversation.get("id")).startswith("19:")
    return None if kind or group else Scope.PERSONAL


@dataclass(frozen=True, slots=True)
class _Mention:
    """A mention entity: `text` is how it stands in the message (`<at>Name</at>`), `own` that it is the bot."""

    text: str
    name: str
    own: bool

    @property
    def readable(self) -> str:
        return "" if self.own else f"@{speaker(self.name)}"


def _mentions(activity: dict[str, Any], bot: str) -> list[_Mention]:
    """The mention entities, in order. Who is mentioned is decided by id, never by words."""
    entities = activity.get("entities")
    found = []
    for entity in entities if isinstance(entities, list) else ():
        if isinstance(entity, dict) and entity.get("type") == "mention":
            mentioned = _dict(entity.get("mentioned"))
            found.append(
                _Mention(_str(entity.get("text")), _str(mentioned.get("name")), own=mentioned.get("id") == bot)
            )
    return found


def _words(activity: dict[str, Any], mentions: list[_Mention]) -> tuple[str, int]:
    """Readable text and the number of files. Rich text comes twice: plain, and as a text/html attachment."""
    text = _str(activity.get("text"))
    html = ""
    files = 0
    attachments = activity.get("attachments")
    for attachment in attachments if isinstance(attachments, list) else ():
        kind = _str(_dict(attachment).get("contentType"))
        if kind == "text/html":
            html = _str(_dict(attachment).get("content"))
        elif kind.startswith("image/") or kind == "application/vnd.microsoft.teams.file.download.info":
            files += 1
    if html and not is_plain_echo(html, text):
        rich = html_to_text(html, lambda ident, name: _readable(mentions, ident, name)).strip()
        if rich or not text.strip():
            return rich, files
    for mention in mentions:
        if mention.text:
            text = text.replace(mention.text, mention.readable, 1)
    return text.strip(), files


def _readable(mentions: list[_Mention], ident: str, name: str) -> str:
    """A mention in HTML names its entity by position; where it does not, its name has to do."""
    if ident.isdecimal() and len(ident) < 4 and int(ident) < len(mentions):
        return mentions[int(ident)].readable
    own = any(mention.own and mention.name == name for mention in mentions)
    return "" if own else f"@{speaker(name)}"


def _key(kind: str, reference: Reference, suffix: str) -> str:
    return f"msteams|{reference.conversation}|{kind}|{suffix}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""
