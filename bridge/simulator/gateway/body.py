"""Request bodies as the gateway reads them: the limit, and Go's words of refusal (docs/reference/goclaw.md, "Request" and docs/reference/goclaw.md, "Errors")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bridge.simulator.gateway import go_json
from bridge.simulator.gateway.replies import coded_error

if TYPE_CHECKING:
    from aiohttp import web

_LIMIT = 1 << 20
_T = TypeVar("_T")
_STRUCT = "chatCompletionsRequest"


class InvalidBodyError(ValueError):
    """The body cannot be used; the text follows ``invalid request: ``. ``closing``: the connection ends with it."""

    def __init__(self, words: str, *, closing: bool = False) -> None:
        super().__init__(words)
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

    Raises:
        InvalidBodyError: over 1 MiB, not JSON, or no object.
    """
    body = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > _LIMIT:
            raise InvalidBodyError("http: request body too large", closing=True)
    try:
        value = go_json.decode(bytes(body))
    except go_json.GoJsonError as error:
        raise InvalidBodyError(str(error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidBodyError(f"json: cannot unmarshal {go_json.kind(value)} into Go value of type http.{_STRUCT}")
    return value


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The part of a chat completion request that the gateway uses."""

    model: str
    stream: bool
    messages: tuple[tuple[str, str], ...]  # (role, content)

    def text(self) -> str:
        """The last user message, "" when there is none."""
        return next((content for role, content in reversed(self.messages) if role == "user"), "")


def chat_request(body: dict[str, Any]) -> ChatRequest:
    """Checks the types that Go's struct asks for; null means absent, as in Go.

    Raises:
        InvalidBodyError: in the words of ``json.UnmarshalTypeError``.
    """
    model = _typed(body.get("model"), str, "", f"{_STRUCT}.model", "string")
    stream = _typed(body.get("stream"), bool, False, f"{_STRUCT}.stream", "bool")
    entries = _typed(body.get("messages"), list, [], f"{_STRUCT}.messages", "[]http.chatMessage")
    messages = []
    for entry in entries:
        member = _typed(entry, dict, {}, f"{_STRUCT}.messages", "http.chatMessage")
        role = _typed(member.get("role"), str, "", "chatMessage.messages.role", "string")
        content = _typed(member.get("content"), str, "", "chatMessage.messages.content", "string")
        messages.append((role, content))
    return ChatRequest(model, stream, tuple(messages))


def text_field(body: dict[str, Any], name: str, struct: str) -> str:
    """A string member, "" when absent.

    Raises:
        InvalidBodyError: it is of another type.
    """
    return _typed(body.get(name), str, "", f"{struct}.{name}", "string")


def _typed(value: Any, wanted: type[_T], absent: _T, place: str, go_type: str) -> _T:
    if value is None:
        return absent
    if isinstance(value, wanted):
        return value
    words = f"json: cannot unmarshal {go_json.kind(value)} into Go struct field {place} of type {go_type}"
    raise InvalidBodyError(words)
