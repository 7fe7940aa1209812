"""The chat request and its answers as the gateway writes them. Pure: bytes in, values of core out."""

from __future__ import annotations

import re
from typing import Any

import orjson

from bridge.core.errors import (
    AgentUnknown,
    AnswerEmpty,
    AnswerUnreadable,
    GatewayBusy,
    GatewayForbidden,
    GatewayTokenRejected,
    GatewayUnavailable,
    ProviderFailed,
    QuestionRejected,
    QuestionTooLong,
    TurnFailure,
)
from bridge.core.ports import Answer, Question

CHAT_PATH = "/v1/chat/completions"
USER_HEADER = "X-GoClaw-User-Id"

MAX_TEXT_BYTES = 32_000
"""More is cut silently, with status 200 (goclaw-gateway.md §2)."""

_USER = re.compile(r"(?!system$|group:|guild:)[!-~]{1,255}")
"""User ids that reach the gateway as they are. The three exceptions get rights of their own there (§2)."""

_EMPTY = "..."  # what the gateway shows when the model said nothing (§3)

_HTML = "text/html"


def request_body(question: Question) -> bytes:
    """The JSON body of one run (§2). Raises QuestionTooLong and QuestionRejected, before anything is sent."""
    if not _USER.fullmatch(question.user):
        raise QuestionRejected("user id not usable")
    # lone surrogates cannot be sent; as `?` the rest of the text still can
    text = question.text.encode("utf-8", "replace")
    if len(text) > MAX_TEXT_BYTES:
        raise QuestionTooLong(f"{len(text)} bytes")
    return orjson.dumps(
        {
            "model": f"goclaw:{question.agent}",
            "stream": False,
            "messages": [{"role": "user", "content": text.decode()}],
        }
    )


def answer_from(body: bytes) -> Answer:
    """The answer in the body of a 200 (§3). Raises AnswerEmpty, AnswerUnreadable."""
    try:
        reply: Any = orjson.loads(body)
        content = reply["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        # the cause would bring the body along
        raise AnswerUnreadable("HTTP 200 with another body than the contract's") from None
    if not isinstance(content, str):
        raise AnswerUnreadable("HTTP 200 without text")
    if content == "":
        return Answer("", silent=True)
    if content.strip() in ("", _EMPTY):
        raise AnswerEmpty
    return Answer(content)


def failure_of(status: int, content_type: str, body: bytes) -> TurnFailure:
    """The leaf for every status but 200 (§5), also for those that only proxies send.

    `body` may be cut or empty. Nothing of it goes into the error: a 500 carries the provider's raw words.
    """
    leaf = _LEAVES.get(status) or _leaf_by_class(status)
    if status == 500 and content_type == _HTML:  # the gateway's own is text or JSON
        leaf = GatewayUnavailable
    elif status == 404 and b"agent not found" in body:  # else the address is wrong: no such route
        leaf = AgentUnknown
    return leaf(f"HTTP {status}" + (" with a web page" if content_type == _HTML else ""))


_LEAVES: dict[int, type[TurnFailure]] = {
    400: QuestionRejected,
    401: GatewayTokenRejected,
    403: GatewayForbidden,
    404: GatewayUnavailable,
    405: GatewayUnavailable,  # the address leads to something else
    407: GatewayUnavailable,
    408: GatewayUnavailable,
    413: QuestionTooLong,  # the gateway says 400; a proxy's limit
    429: GatewayBusy,
    500: ProviderFailed,
}


def _leaf_by_class(status: int) -> type[TurnFailure]:
    if 400 <= status < 500:
        return QuestionRejected
    if 200 <= status < 300:
        return AnswerUnreadable
    return GatewayUnavailable  # redirects are not followed: they would carry the bearer elsewhere
