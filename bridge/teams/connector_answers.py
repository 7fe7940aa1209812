"""Reads the Bot Connector's answers: ids, error codes, and the error of core/errors.py for each refusal.

Codes and statuses: docs/reference/teams.md, "What each status means".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from bridge.core.errors import (
    ConnectorForbids,
    ConnectorUnreachable,
    CredentialsRefused,
    DeliveryDelayed,
    DeliveryFailure,
    DeliveryRefused,
    DeliveryRejected,
    DeliveryUnknown,
    Throttled,
)

Answer = dict[str, Any]

_LONGEST_ID = 1024  # characters; ids of messages have about 20, of conversations up to 200
LONGEST_ANSWER = 64 * 1024  # bytes; an answer holds an id or a code, so the rest is not read

# Words about a size, in codes (`MessageSizeTooBig`) and messages; docs/reference/teams.md, "Size of a message".
_TOO_LARGE = re.compile(r"too ?(?:big|large|long)|size ?(?:limit|exceed)|exceeds? .{0,40}(?:size|limit)", re.IGNORECASE)
# Codes of 403 answers that hold for the whole conversation. InvalidBotApiHost: the host belongs to another cloud.
CLOSED_CONVERSATION = frozenset(
    {
        "BotDisabledByAdmin",
        "BotNotInConversationRoster",
        "ConversationBlockedByUser",
        "ForbiddenOperationException",
        "InvalidBotApiHost",
        "NotEnoughPermissions",
    }
)

# Statuses that say that nothing was shown; 403 only with an empty body. 503 "unavailable": the request was not taken.
_NOT_TAKEN: dict[int, type[DeliveryDelayed]] = {
    401: CredentialsRefused,
    403: ConnectorForbids,
    503: ConnectorUnreachable,
}

_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([\w:.;=@-]{1,200})"', re.ASCII)


async def read_answer(response: aiohttp.ClientResponse) -> Answer:
    """The JSON object in a 2xx answer; empty where the body is empty (202, streams) or cannot be read.

    Of a body that breaks off, the id where it has arrived: without id, progress could not be replaced by the answer.
    """
    content = bytearray()
    try:
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > LONGEST_ANSWER:
                break
    except (aiohttp.ClientError, TimeoutError, OSError):
        # Teams took the message; an unknown id must not cause a second sending
        arrived = _ID.match(content)
        return {"id": arrived[1].decode()} if arrived else {}
    return _json(bytes(content))


def id_in(answer: Answer) -> str:
    """The `id` of an answer; "" where there is none, or none that can be stored and written into an address."""
    id_ = answer.get("id")
    return id_ if isinstance(id_, str) and len(id_) <= _LONGEST_ID and id_.isprintable() else ""


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """The body; reading stops soon after LONGEST_ANSWER bytes. Raises: aiohttp.ClientError, TimeoutError, OSError."""
    length = response.content_length
    if length is not None and length <= LONGEST_ANSWER:
        return await response.read()
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > LONGEST_ANSWER:
            break
    return bytes(content)


def _json(answer: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def error_code(answer: bytes) -> str:
    """`error.code` of the connector's error body; "" for other bodies, such as a proxy's page."""
    error = _json(answer).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and code.isascii() and code.isalnum() and len(code) <= 80 else ""


def error_message(answer: bytes) -> str:
    """`error.message` of the connector's error body: for matching only, never shown or logged."""
    error = _json(answer).get("error")
    words = error.get("message") if isinstance(error, dict) else None
    return words if isinstance(words, str) else ""


def failure_of(
    status: int, code: str, wait: float | None, message: str = "", *, empty: bool = False
) -> DeliveryFailure:
    """The error for a refusal with this status, code and message; `wait`: `Retry-After` in seconds; `empty`: no body.

    Follows docs/reference/teams.md, "What each status means" and docs/architecture.md, "Guarantees".
    """
    detail = f"HTTP {status} {code}".rstrip()
    if status in (412, 429):
        return Throttled(detail, wait)
    if status in _NOT_TAKEN and (status != 403 or empty):
        return _NOT_TAKEN[status](detail)
    # 500 too: Microsoft advises against a repeat, but does not say that the message was not shown, and a doubled
    # answer is better than a lost answer. 408 is a time-out as well.
    if status == 408 or status >= 500:
        return DeliveryUnknown(detail)
    # A deleted message cannot be edited, but the conversation goes on. A 403 with a code not listed above (a stream's
    # message size, a firewall's page) rejects the message only: DeliveryRefused would silence a chat that works.
    gone = status == 404 and code != "ActivityNotFoundInConversation"
    if gone or (status == 403 and code in CLOSED_CONVERSATION):
        return DeliveryRefused(detail)
    too_large = status == 413 or bool(_TOO_LARGE.search(f"{code} {message}"))
    return DeliveryRejected(detail, too_large=too_large, content=status in (400, 422))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds, from a number or an HTTP date (RFC 9110 §10.2.3); None for all else.

    A date is compared with the answer's own `Date` header, so the local clock does not matter.
    """
    value = headers.get("Retry-After", "")
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        until = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):  # OverflowError: a year or an offset of twenty digits
        return None
    return max(0.0, until.total_seconds())
