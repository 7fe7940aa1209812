"""Reads the sender of an activity, and the conversation to answer in.

Fields: docs/reference/teams.md, "Fields of an activity".
"""

from __future__ import annotations

import re
from typing import Any

from bridge.core.access import Facts
from bridge.core.inbound.json_values import mapping, text
from bridge.core.turn import Person, Reference, Scope

_SCOPES = {scope.value: scope for scope in Scope}

# Only a GUID may become the gateway's user id: `system` would be the gateway's owner, `group:…` a group
# (docs/reference/goclaw.md, "User id"). access.py refuses a sender without a GUID.
_AAD_ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


# Begins of `from.role` in lower case: bot, skill, agenticUser, agenticAppInstance (docs/reference/teams.md, "Fields of
# an activity").
_BOT_ROLES = ("bot", "skill", "agent")

BOT_PREFIX = "28:"
"""How ids of bots begin in Teams."""


def is_bot(activity: dict[str, Any]) -> bool:
    """Whether a bot or an agent sent the activity: two of them could answer each other for ever.

    Told by the id, the role, or fields that only agents have; an agent with a user account has an Entra object id
    like a person (docs/reference/teams.md, "Fields of an activity").
    """
    sender = mapping(activity.get("from"))
    ident, role = text(sender.get("id")), text(sender.get("role")).strip().casefold()
    return (
        ident.startswith(BOT_PREFIX)
        or (ident != "" and ident == mapping(activity.get("recipient")).get("id"))
        or role.startswith(_BOT_ROLES)
        or any(value and name.casefold().startswith("agent") for name, value in sender.items())
    )


def reference_and_facts(activity: dict[str, Any]) -> tuple[Reference, Facts] | tuple[None, None]:
    """Return the conversation and the facts about the sender; (None, None) if a needed field is missing."""
    sender, recipient = mapping(activity.get("from")), mapping(activity.get("recipient"))
    conversation, channel_data = mapping(activity.get("conversation")), mapping(activity.get("channelData"))
    ids = (text(sender.get("id")), text(recipient.get("id")), text(conversation.get("id")))
    service_url = text(activity.get("serviceUrl"))
    if not all(ids) or not service_url:
        return None, None
    scope = _scope(conversation)
    if scope is None:
        return None, None
    tenant = text(mapping(channel_data.get("tenant")).get("id")) or text(conversation.get("tenantId"))
    aad_id = text(sender.get("aadObjectId"))
    person = Person(ids[0], aad_id if _AAD_ID.fullmatch(aad_id) else "", text(sender.get("name")))
    reference = Reference(
        service_url=service_url,
        conversation=ids[2],
        scope=scope,
        tenant=tenant,
        bot=ids[1],
        user=ids[0],
        activity=text(activity.get("id")),
        locale=text(activity.get("locale")),
    )
    facts = Facts(
        person=person,
        scope=scope,
        tenant=tenant,
        meeting="meeting" in channel_data or ids[2].startswith("19:meeting_"),
    )
    return reference, facts


def _scope(conversation: dict[str, Any]) -> Scope | None:
    """Return the scope of a conversation, None if unknown.

    Personal chats may lack `conversationType`. A group must never count as a personal chat: all members would read an
    answer from the sender's own session.
    """
    kind = conversation.get("conversationType")
    if isinstance(kind, str) and kind in _SCOPES:
        return _SCOPES[kind]
    group = conversation.get("isGroup") is True or text(conversation.get("id")).startswith("19:")
    return None if kind or group else Scope.PERSONAL
