"""JSON in and out of aiohttp, shared by the simulator's HTTP sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


def error_answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error in the Bot Connector's form (rest-connector-api-reference, "ErrorResponse object")."""
    return json_answer({"error": {"code": code, "message": message}}, status, headers)


async def body_up_to(request: web.Request, most: int) -> bytes:
    """The body, which may be larger than the application's limit. Raises HTTPRequestEntityTooLarge beyond `most`."""
    read = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        read += chunk
        if len(read) > most:
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=len(read))
    return bytes(read)


async def json_object(request: web.Request, most: int | None = None) -> dict[str, Any]:
    """The request's body. `most` bytes may come, else as many as the application lets in.

    Raises:
        ValueError: it is not a JSON object.
        aiohttp.web.HTTPRequestEntityTooLarge: it is larger.
    """
    body = orjson.loads(await (request.read() if most is None else body_up_to(request, most)))
    if not isinstance(body, dict):
        raise ValueError("the body is no JSON object")  # noqa: TRY004 - one error for every body that is not one
    return body
