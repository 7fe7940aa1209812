"""JSON bodies of requests and answers, for all HTTP handlers of the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with `body` as JSON."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


def error_answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error in the Bot Connector's form.

    Source: "ErrorResponse object" of
    https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
    """
    return json_answer({"error": {"code": code, "message": message}}, status, headers)


async def body_up_to(request: web.Request, most: int) -> bytes:
    """The body of at most `most` bytes, regardless of the application's limit. Raises: HTTPRequestEntityTooLarge."""
    read = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        read += chunk
        if len(read) > most:
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=len(read))
    return bytes(read)


async def json_object(request: web.Request, most: int | None = None) -> dict[str, Any]:
    """The JSON object in the request's body, of at most `most` bytes (None: the application's limit).

    `ValueError`: the body is no JSON object. Raises: ValueError, HTTPRequestEntityTooLarge.
    """
    body = orjson.loads(await (request.read() if most is None else body_up_to(request, most)))
    if not isinstance(body, dict):
        raise ValueError("the body is no JSON object")  # noqa: TRY004  the same error as for a body without JSON
    return body
