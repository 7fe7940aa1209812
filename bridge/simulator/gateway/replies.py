"""The forms of the gateway's HTTP answers: content type, line end, error body (docs/reference/goclaw.md, "Errors").

The gateway writes answers in three ways: Go's ``http.Error`` (text, ``nosniff``), Go's JSON encoder (a line end behind
the value) and a few plain writes without line end.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import hdrs, web

from bridge.simulator.gateway import go_json

# net/http buffers so many bytes before the choice between a length and chunks: https://pkg.go.dev/net/http#ResponseWriter
_GO_BUFFER = 2048


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """The value through Go's JSON encoder: ``application/json`` and a line end."""
    body = go_json.encode(value) + b"\n"
    return web.Response(body=body, status=status, headers={hdrs.CONTENT_TYPE: "application/json", **(headers or {})})


def bare_json(value: object, status: int = 200) -> web.Response:
    """JSON without line end, as ``/health``, ``/`` and the 404 outside ``/v1/`` are written."""
    return web.Response(body=go_json.encode(value), status=status, headers={hdrs.CONTENT_TYPE: "application/json"})


def text_error(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Go's ``http.Error``: the text and a line end, as ``text/plain`` with ``nosniff``."""
    return web.Response(
        body=text.encode("utf-8", "replace") + b"\n",
        status=status,
        headers={
            hdrs.CONTENT_TYPE: "text/plain; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
            **(headers or {}),
        },
    )


def chat_error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A refusal of chat completions. The message is not escaped, as in the gateway: a 500 is no JSON."""
    return text_error(status, '{"error":{"message":"' + message + '"}}', headers)


def typed_error(status: int, message: str, kind: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """As `chat_error`, with the ``type`` field of refusals that come before the body is read."""
    return text_error(status, '{"error":{"message":"' + message + '","type":"' + kind + '"}}', headers)


def coded_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The newer form: JSON with a code such as ``INVALID_REQUEST``."""
    return json_reply({"error": {"code": code, "message": message}}, status, headers)


def plain_error(status: int, message: str) -> web.Response:
    """The form of ``wake``, and of a missing bearer outside chat: ``{"error":"unauthorized"}``."""
    return json_reply({"error": message}, status)


def in_chunks_when_long(request: web.Request, response: web.StreamResponse) -> None:
    """Send a long body in chunks instead of with a length, as net/http does."""
    long = isinstance(response, web.Response) and isinstance(response.body, bytes) and len(response.body) > _GO_BUFFER
    if long and request.version >= (1, 1):
        response.enable_chunked_encoding()


async def without_server_header(_: web.Request, response: web.StreamResponse) -> None:
    """Remove aiohttp's ``Server`` header; for ``on_response_prepare``."""
    response.headers.popall(hdrs.SERVER, None)
