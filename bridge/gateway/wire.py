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
from bridge.core.gateway_facts import HIDDEN_TO_THE_END, QUESTION_BYTES, SILENCE
from bridge.core.ports.agent import Answer, Question

CHAT_PATH = "/v1/chat/completions"
USER_HEADER = "X-GoClaw-User-Id"

_USER = re.compile(r"(?!system$|group:|guild:)[!-~]{1,255}")
"""User ids that reach the gateway as they are. The three exceptions get rights of their own there (docs/reference/goclaw.md, "Request")."""

_EMPTY = "..."  # what the gateway shows when the model said nothing (docs/reference/goclaw.md, "Reply")

_HTML = "text/html"


_MEDIA = re.compile(r"^MEDIA:\S.*(?:\n|\Z)", re.MULTILINE)

_ERROR = "Error: "
_ERROR_OF_A_RUN = re.compile(r"Error: (?:iter \d+ \w+: |.*?\biter \d+ .{0,40}: llm call\b)")
"""How the gateway says what failed in a run (docs/reference/goclaw.md, "Reply"); an agent does not begin so."""


def request_body(question: Question, *, stream: bool = False) -> bytes:
    """The JSON body of one run (docs/reference/goclaw.md, "Request"). Raises QuestionTooLong and QuestionRejected, before anything is sent."""
    if not _USER.fullmatch(question.user):
        raise QuestionRejected("user id not usable")
    # lone surrogates cannot be sent; as `?` the rest of the text still can
    text = question.text.encode("utf-8", "replace")
    if len(text) > QUESTION_BYTES:
        raise QuestionTooLong(f"{len(text)} bytes")
    return orjson.dumps(
        {
            "model": f"goclaw:{question.agent}",
            "stream": stream,
            "messages": [{"role": "user", "content": text.decode()}],
        }
    )


def answer_from(body: bytes) -> Answer:
    """The answer in the body of a 200 (docs/reference/goclaw.md, "Reply"). Raises AnswerEmpty, AnswerUnreadable."""
    try:
        reply: Any = orjson.loads(body)
        content = reply["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        # the cause would bring the body along
        raise AnswerUnreadable("HTTP 200 with another body than the contract's") from None
    if not isinstance(content, str):
        raise AnswerUnreadable("HTTP 200 without text")
    return answer_in(content)


def answer_in(content: str) -> Answer:
    """What the gateway's words mean. Raises AnswerEmpty."""
    if content == "":
        return Answer("", silent=True)
    if content.strip() in ("", _EMPTY):
        raise AnswerEmpty
    return Answer(content)


class StreamedAnswer:
    """The answer in the events of a stream (docs/reference/goclaw.md, "Reply"), put together.

    Today's gateways send it whole, as the last chunk. Older ones send raw pieces, which `raw` tells: of these is taken
    out what today's take out themselves.
    """

    def __init__(self) -> None:
        self.run = ""  # the beginning of the run's id, once it is known
        self.raw = False
        self.done = False
        self._pieces: list[str] = []
        self._finished = False

    def take(self, data: bytes) -> None:
        """One event's data. Raises AnswerUnreadable."""
        if data.strip() == b"[DONE]":
            self.done = True
            return
        try:
            chunk: Any = orjson.loads(data)
            self.run = self.run or _run_in(chunk.get("id"))
            for choice in chunk["choices"]:
                self._add(choice["delta"].get("content"), final=choice.get("finish_reason") is not None)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise AnswerUnreadable("a stream of other events than the contract's") from None

    def _add(self, text: object, *, final: bool) -> None:
        self._finished = self._finished or final
        if not isinstance(text, str) or not text:
            return
        self.raw = self.raw or not final
        self._pieces.append(text)

    @property
    def suspect(self) -> bool:
        """Whether it may be the gateway's word of a failed run: an agent's answer can look like that."""
        return bool(self._pieces) and self._pieces[-1].startswith(_ERROR)

    @property
    def told_by_the_gateway(self) -> bool:
        """Whether it is that by its wording."""
        return self.suspect and bool(_ERROR_OF_A_RUN.match(self._pieces[-1]))

    def answer(self) -> Answer:
        """The agent's words, as in a plain reply. Raises AnswerEmpty, AnswerUnreadable."""
        if not self._finished:
            raise AnswerUnreadable("a stream without an answer")
        text = "".join(self._pieces)
        return answer_in(_cleaned(text) if self.raw else text)


def _run_in(id_: object) -> str:
    """An answer's id ends in the first 8 digits of its run's (docs/reference/goclaw.md, "Reply")."""
    found = re.fullmatch(r"chatcmpl-([0-9a-f]{8})", id_) if isinstance(id_, str) else None
    return found[1] if found else ""


def _cleaned(raw: str) -> str:
    """A model's text without what is not for people; empty where the agent chose silence."""
    text = _MEDIA.sub("", HIDDEN_TO_THE_END.sub("", raw)).strip() or _EMPTY
    return "" if text.startswith(SILENCE) else text


def failure_of(status: int, content_type: str, body: bytes) -> TurnFailure:
    """The leaf for every status but 200 (docs/reference/goclaw.md, "Errors"), also for those that only proxies send.

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
