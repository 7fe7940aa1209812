"""Writes the chat request and reads its replies. Pure: bytes in, values of core out."""

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
"""User ids that the gateway takes unchanged, without the three kinds that have rights of their own
(docs/reference/goclaw.md, "User id")."""

_EMPTY = "..."  # the gateway's text for a model that said nothing (docs/reference/goclaw.md, "Reply")
_HTML = "text/html"
_MEDIA = re.compile(r"^MEDIA:\S.*(?:\n|\Z)", re.MULTILINE)

_ERROR = "Error: "
_ERROR_OF_A_RUN = re.compile(r"Error: (?:iter \d+ \w+: |.*?\biter \d+ .{0,40}: llm call\b)")
"""The gateway's wording of a failed run in a stream (docs/reference/goclaw.md, "Stream"); agents do not write so."""


def request_body(question: Question, *, stream: bool = False) -> bytes:
    """The JSON body of a chat request (docs/reference/goclaw.md, "Request").

    Raises: QuestionTooLong, QuestionRejected.
    """
    if not _USER.fullmatch(question.user):
        raise QuestionRejected("user id not usable")
    # lone surrogates have no UTF-8 and are sent as `?`
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
    """The answer in the body of a 200 (docs/reference/goclaw.md, "Reply"). Raises: AnswerEmpty, AnswerUnreadable."""
    try:
        reply: Any = orjson.loads(body)
        content = reply["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        # `from None`: the cause would bring the body into logs
        raise AnswerUnreadable("HTTP 200 with another body than the contract's") from None
    if not isinstance(content, str):
        raise AnswerUnreadable("HTTP 200 without text")
    return answer_in(content)


def answer_in(content: str) -> Answer:
    """The answer for the gateway's final text; "" means that the agent chose silence. Raises: AnswerEmpty."""
    if content == "":
        return Answer("", silent=True)
    if content.strip() in ("", _EMPTY):
        raise AnswerEmpty
    return Answer(content)


class StreamedAnswer:
    """Puts the answer together from the events of a stream (docs/reference/goclaw.md, "Stream").

    Present gateways send the whole answer in the last chunk. Older gateways send raw pieces (then `raw` is true); the
    bridge removes from raw pieces the parts that present gateways hide themselves.
    """

    def __init__(self) -> None:
        self.run = ""  # first characters of the run's id, "" while unknown
        self.raw = False
        self.done = False
        self._pieces: list[str] = []
        self._finished = False

    def take(self, data: bytes) -> None:
        """Add the data of an event. Raises: AnswerUnreadable."""
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
        """Whether the text may be the gateway's report of a failed run. An agent's answer can begin so too."""
        return bool(self._pieces) and self._pieces[-1].startswith(_ERROR)

    @property
    def worded_as_failure(self) -> bool:
        """Whether the text has the exact wording of a failed run."""
        return self.suspect and bool(_ERROR_OF_A_RUN.match(self._pieces[-1]))

    def answer(self) -> Answer:
        """The answer, as a plain reply would hold it. Raises: AnswerEmpty, AnswerUnreadable."""
        if not self._finished:
            raise AnswerUnreadable("a stream without an answer")
        text = "".join(self._pieces)
        return answer_in(_cleaned(text) if self.raw else text)


def _run_in(id_: object) -> str:
    """The first 8 digits of the run's id, with which the answer's id ends (docs/reference/goclaw.md, "Reply")."""
    found = re.fullmatch(r"chatcmpl-([0-9a-f]{8})", id_) if isinstance(id_, str) else None
    return found[1] if found else ""


def _cleaned(raw: str) -> str:
    """A model's raw text without its hidden parts; "" if the agent chose silence."""
    text = _MEDIA.sub("", HIDDEN_TO_THE_END.sub("", raw)).strip() or _EMPTY
    return "" if text.startswith(SILENCE) else text


def failure_of(status: int, content_type: str, body: bytes) -> TurnFailure:
    """The failure for a status other than 200 (docs/reference/goclaw.md, "Errors"), statuses of proxies included.

    `body` may be cut or empty. The error holds no part of the body: a 500 carries the provider's raw words.
    """
    error = _ERROR_BY_STATUS.get(status) or _error_by_class(status)
    if status == 500 and content_type == _HTML:  # a proxy's page; the gateway's 500 is text or JSON
        error = GatewayUnavailable
    elif status == 404 and b"agent not found" in body:  # else no such route: the address is wrong
        error = AgentUnknown
    return error(f"HTTP {status}" + (" with a web page" if content_type == _HTML else ""))


_ERROR_BY_STATUS: dict[int, type[TurnFailure]] = {
    400: QuestionRejected,
    401: GatewayTokenRejected,
    403: GatewayForbidden,
    404: GatewayUnavailable,
    405: GatewayUnavailable,  # the address leads to a server of another kind
    407: GatewayUnavailable,
    408: GatewayUnavailable,
    413: QuestionTooLong,  # a proxy's limit; the gateway answers 400
    429: GatewayBusy,
    500: ProviderFailed,
}


def _error_by_class(status: int) -> type[TurnFailure]:
    if 400 <= status < 500:
        return QuestionRejected
    if 200 <= status < 300:
        return AnswerUnreadable
    return GatewayUnavailable  # redirects are not followed, since the bearer would reach a foreign host
