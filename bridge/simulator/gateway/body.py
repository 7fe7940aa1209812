"""Request bodies as the gateway reads them: size limit, JSON, types (docs/reference/goclaw.md, "Request")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from bridge.simulator.gateway import go_json
from bridge.simulator.gateway.replies import coded_error

_LIMIT = 1 << 20
_T = TypeVar("_T")


class InvalidBodyError(ValueError):
    """An unusable body. ``reason`` follows ``invalid request: ``, in words of the stand-in's own where the real
    gateway repeats Go's (docs/reference/goclaw.md, "Errors"). ``closing``: the connection is closed behind the answer.
    """

    def __init__(self, reason: str, *, closing: bool = False) -> None:
        super().__init__(reason)
        self.closing = closing

    def reply(self) -> web.Response:
        answer = coded_error(
            400, "INVALID_REQUEST", f"invalid request: {self}", {"Connection": "close"} if self.closing else None
        )
        if self.closing:
            answer.force_close()
        return answer


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object of the body.

    Raises: InvalidBodyError.
    """
    body = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > _LIMIT:
            raise InvalidBodyError("body too large", closing=True)
    try:
        value = go_json.decode(bytes(body))
    except go_json.NotJsonError as error:
        raise InvalidBodyError("no JSON") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidBodyError("no object")
    return value


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The fields of a chat completion request that the gateway reads."""

    model: str
    stream: bool
    messages: tuple[tuple[str, str], ...]  # (role, content)

    def text(self) -> str:
        """The last user message, "" without user messages."""
        return next((content for role, content in reversed(self.messages) if role == "user"), "")


def chat_request(body: dict[str, Any]) -> ChatRequest:
    """Checks the types of the fields; null means absent, as in Go.

    Raises: InvalidBodyError.
    """
    model = text_field(body, "model")
    stream = _typed(body.get("stream"), bool, False, "stream")
    entries = _typed(body.get("messages"), list, [], "messages")
    messages = []
    for entry in entries:
        member = _typed(entry, dict, {}, "messages")
        messages.append((text_field(member, "role"), text_field(member, "content")))
    return ChatRequest(model, stream, tuple(messages))


def text_field(body: dict[str, Any], name: str) -> str:
    """A string field of the body, "" when absent.

    Raises: InvalidBodyError.
    """
    return _typed(body.get(name), str, "", name)


def _typed(value: Any, wanted: type[_T], absent: _T, name: str) -> _T:
    if value is None:
        return absent
    if isinstance(value, wanted):
        return value
    raise InvalidBodyError(f"wrong type in {name}")
