"""What the Bot Connector answers: ids, codes, and which leaf of the error tree a refusal is (docs/reference/teams.md, "Rate limits and retries")."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from bridge.core.errors import (
    ConnectorUnreachable,
    CredentialsRefused,
    DeliveryFailure,
    DeliveryRefused,
    DeliveryRejected,
    DeliveryUnknown,
    Throttled,
)

Answer = dict[str, Any]

LONGEST_ANSWER = 64 * 1024  # bytes of an answer that are worth reading: it holds an id or a code

# 403 that hold for the whole conversation (docs/reference/teams.md, "Rate limits and retries"). InvalidBotApiHost: the reference's host is not its tenant's.
_NEVER_HERE = frozenset(
    {
        "BotDisabledByAdmin",
        "BotNotInConversationRoster",
        "ConversationBlockedByUser",
        "ForbiddenOperationException",
        "InvalidBotApiHost",
        "NotEnoughPermissions",
    }
)


async def read_answer(response: aiohttp.ClientResponse) -> Answer:
    """The object in a 2xx answer. 202 and streams may have an empty body (docs/reference/teams.md, "Streaming")."""
    try:
        return _json(await read_body(response))
    except (aiohttp.ClientError, TimeoutError, OSError):
        return {}  # the status says that it is shown; an unknown id must not send it twice


def id_in(answer: Answer) -> str:
    id_ = answer.get("id")
    return id_ if isinstance(id_, str) else ""


async def read_body(response: aiohttp.ClientResponse) -> bytes:
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
    """`error.code` of the connector's error body; "" for a proxy's page or anything else that is none."""
    error = _json(answer).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and code.isascii() and code.isalnum() and len(code) <= 80 else ""


def error_words(answer: bytes) -> str:
    """`error.message` of the connector's error body: to be matched, never to be shown or logged."""
    error = _json(answer).get("error")
    words = error.get("message") if isinstance(error, dict) else None
    return words if isinstance(words, str) else ""


def failure_of(status: int, code: str, wait: float | None) -> DeliveryFailure:
    """The connector's status and code as a leaf of the error tree: the table of docs/reference/teams.md, "Rate limits and retries", with docs/architecture.md, "A turn's states" and docs/architecture.md, "Guarantees"."""
    detail = f"HTTP {status} {code}".rstrip()
    if status in (412, 429):
        return Throttled(detail, wait)
    if status == 401:
        return CredentialsRefused(detail)
    if status == 503:
        return ConnectorUnreachable(detail)  # "unavailable" refuses the request, it does not lose its result
    # 500 too: the table advises against repeating it, but does not say that nothing was shown, and a doubled
    # answer is better than a lost one (guarantee 6). 408 is a time-out by another name.
    if status == 408 or status >= 500:
        return DeliveryUnknown(detail)
    # A deleted message cannot be edited, but its conversation lives. Another 403 (a stream's message size,
    # a firewall's page) speaks of this message: "refused for good" would silence a chat that works.
    gone = status == 404 and code != "ActivityNotFoundInConversation"
    if gone or (status == 403 and code in _NEVER_HERE):
        return DeliveryRefused(detail)
    return DeliveryRejected(detail)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds: a number or an HTTP date (RFC 9110 §10.2.3); None for anything else.

    A date is held against the answer's own `Date`, so that no clock of ours matters.
    """
    value = headers.get("Retry-After", "")
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        until = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, until.total_seconds())
