"""Addresses and bodies of requests to the Bot Connector. Pure.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

import orjson
from yarl import URL

from bridge.core.errors import DeliveryRefused, DeliveryRejected
from bridge.core.turn import Activity, Reference, Scope


def addressed(to: Reference, activity: Activity) -> bytes:
    """The activity as JSON, with `from`, `recipient`, `conversation`, `replyToId` and `locale` from the reference."""
    body = activity | {
        "from": {"id": to.bot},
        "conversation": {"id": to.conversation, "conversationType": to.scope, "tenantId": to.tenant},
        "channelId": "msteams",
        "serviceUrl": to.service_url,
    }
    if to.user:
        body["recipient"] = {"id": to.user}
    if to.activity and to.scope is not Scope.CHANNEL:
        # In channels the conversation's id names the thread, and replyToId routes nothing (docs/reference/teams.md,
        # "Fields of an activity").
        body["replyToId"] = to.activity
    if to.locale:
        body["locale"] = to.locale
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        raise DeliveryRejected("not expressible as JSON") from None


@lru_cache(maxsize=20_000)
def activities_url(service_url: str, conversation: str) -> URL:
    """The connector's address for new messages of the conversation. Raises: DeliveryRefused."""
    return URL(f"{base_url(service_url)}v3/conversations/{segment(conversation)}/activities", encoded=True)


def base_url(service_url: str) -> str:
    """The service URL with its last slash, which Teams sends or leaves out."""
    return service_url if service_url.endswith("/") else f"{service_url}/"


def segment(id_: str) -> str:
    """An id as a single path segment: characters that RFC 3986 §3.3 allows stay raw, all else is escaped.

    Teams' ids hold `:`, `@`, `;messageid=`, and Microsoft's SDK 2.1.1 sends these raw (docs/reference/teams.md,
    "Why the bridge has a client of its own"). An id of dots only would leave the path. Raises: DeliveryRefused.
    """
    if not id_.strip("."):
        raise DeliveryRefused("an id that no path can hold")
    return quote(id_, safe="!$&'()*+,;=:@")
