"""``POST /v1/chat/completions``, plain and streamed (docs/reference/goclaw.md, "Request", "Reply", "Stream")."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from bridge.simulator.gateway import go_json
from bridge.simulator.gateway.access import Caller, bearer_of
from bridge.simulator.gateway.body import ChatRequest, InvalidBodyError, chat_request, read_object
from bridge.simulator.gateway.replies import chat_error, json_reply, text_error, typed_error
from bridge.simulator.gateway.runs import RunFailed, Turn
from bridge.simulator.gateway.state import GATEWAY, Gateway

_INVALID = "invalid_request_error"


async def chat_completions(request: web.Request) -> web.StreamResponse:  # noqa: PLR0911  a return for each check
    """Answers a question. The order of checks is the gateway's; a client that closes the request cancels the run."""
    gateway = request.app[GATEWAY]
    caller = gateway.caller(request)
    if refusal := _refuse_caller(request, gateway, caller):
        return refusal
    assert caller is not None  # noqa: S101  _refuse_caller has answered otherwise
    try:
        asked = chat_request(await read_object(request))
    except InvalidBodyError as error:
        return error.reply()
    if not asked.messages:
        return chat_error(400, "messages is required")
    user = gateway.user_id(request, caller)
    if not user:
        return chat_error(400, "X-GoClaw-User-Id header is required")
    agent = _agent(request, asked.model)
    if not gateway.has_agent(agent):
        return chat_error(404, f"agent not found: {agent}")
    if not asked.text():
        return chat_error(400, "no user message found")
    turn = Turn(agent, user, gateway.chat_key(agent, user), asked.text(), stream=asked.stream)
    if asked.stream:
        return await _streamed(request, gateway, turn, asked)
    return await _plain(gateway, turn, asked)


def _refuse_caller(request: web.Request, gateway: Gateway, caller: Caller | None) -> web.Response | None:
    if request.method != "POST":
        return text_error(405, "method not allowed")
    if caller is None:
        return typed_error(401, "invalid authentication", _INVALID)
    if not caller.may("operator"):
        return typed_error(403, "permission denied: /v1/chat/completions", _INVALID)
    if not gateway.rate.take(bearer_of(request.headers) or _peer(request), time.monotonic()):
        after = {"Retry-After": "60"}
        return typed_error(429, "rate limit exceeded — please wait", "rate_limit_error", after)
    return None


def _peer(request: web.Request) -> str:
    return str(request.transport.get_extra_info("peername") if request.transport else "")


def _agent(request: web.Request, model: str) -> str:
    """The key of the asked agent: by the model's prefix, else by the headers, else ``default``."""
    for prefix in ("goclaw:", "agent:"):
        if model.startswith(prefix):
            return model.removeprefix(prefix)
    return request.headers.get("X-GoClaw-Agent-Id") or request.headers.get("X-GoClaw-Agent") or "default"


async def _plain(gateway: Gateway, turn: Turn, asked: ChatRequest) -> web.Response:
    try:
        outcome = await gateway.runs.run(turn)
    except RunFailed as failure:
        return chat_error(500, f"internal error: {failure}")
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": gateway.files.sign(outcome.content)},
        "finish_reason": "stop",
    }
    return json_reply(
        {
            "id": f"chatcmpl-{turn.run_id[:8]}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.model,
            "choices": [choice],
            "usage": outcome.usage(),
        }
    )


async def _streamed(request: web.Request, gateway: Gateway, turn: Turn, asked: ChatRequest) -> web.StreamResponse:
    """Sends the role at once and the whole text at the end, as the gateway does. A failed run has status 200."""
    headers = {"Cache-Control": "no-cache", "Connection": "keep-alive", "Content-Type": "text/event-stream"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)

    async def send(delta: dict[str, str], finish_reason: str | None) -> None:
        chunk: dict[str, Any] = {
            "choices": [{"delta": delta, "finish_reason": finish_reason, "index": 0}],
            "created": int(time.time()),
            "id": f"chatcmpl-{turn.run_id[:8]}",
            "model": asked.model,
            "object": "chat.completion.chunk",
        }
        await response.write(b"data: " + go_json.encode(chunk) + b"\n\n")

    await send({"role": "assistant", "content": ""}, None)
    try:
        content = gateway.files.sign((await gateway.runs.run(turn)).content)
    except RunFailed as failure:
        content = f"Error: {failure}"
    await send({"role": "", "content": content}, "stop")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response
