"""The small HTTP endpoints: health, agents, sessions, wake, API keys, files, and the 404s.

docs/reference/goclaw.md, "Wake", "Files" and "Health and doctor".
"""

from __future__ import annotations

import secrets

from aiohttp import web
from aiohttp.typedefs import Handler

from bridge.simulator.gateway.access import OWNER_ID, USER_HEADER
from bridge.simulator.gateway.body import InvalidBodyError, read_object, text_field
from bridge.simulator.gateway.replies import bare_json, coded_error, in_chunks_when_long, json_reply, plain_error
from bridge.simulator.gateway.runs import RunFailed, Turn
from bridge.simulator.gateway.state import GATEWAY

_LIST_LIMIT = 20
_ENDPOINTS = ("/v1/chat/completions", "/v1/agents", "/v1/sessions", "/v1/files", "/ws", "/health")


async def health(_: web.Request) -> web.Response:
    return bare_json({"status": "ok", "protocol": 3})


async def index(_: web.Request) -> web.Response:
    return bare_json({"service": "goclaw", "status": "ok", "protocol": 3, "endpoints": list(_ENDPOINTS)})


@web.middleware
async def as_go_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Sends long bodies in chunks, and the gateway's 404 for unknown paths and methods."""
    if "\x7f" in "".join(request.headers.values()):
        # Go's net/http refuses such a header value (docs/reference/goclaw.md, "User id")
        bad = web.Response(status=400, body=b"400 Bad Request", headers={"Content-Type": "text/plain; charset=utf-8"})
        bad.force_close()
        return bad
    try:
        response = await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        if request.path.startswith("/v1/"):
            return coded_error(404, "NOT_FOUND", f"API route not found: {request.path}")
        return bare_json({"error": "not found"}, 404)
    in_chunks_when_long(request, response)
    return response


async def agent(request: web.Request) -> web.Response:
    """``GET /v1/agents/{A}``: with a user id the user's grant is checked, and only the owner has a grant here."""
    gateway = request.app[GATEWAY]
    caller = gateway.caller(request)
    if caller is None:
        return plain_error(401, "unauthorized")
    name = request.match_info["agent"]
    if not gateway.has_agent(name):
        return coded_error(404, "NOT_FOUND", f"agent not found: {name}")
    if USER_HEADER in request.headers and gateway.user_id(request, caller) != OWNER_ID:
        return coded_error(403, "UNAUTHORIZED", "no access to this agent")
    return json_reply({"id": gateway.agent_id(), "agent_key": gateway.options.agent, "display_name": "Stand-in agent"})


async def sessions(request: web.Request) -> web.Response:
    """``GET /v1/sessions``: an admin sees all sessions, a key the sessions of the user in the header."""
    gateway = request.app[GATEWAY]
    caller = gateway.caller(request)
    if caller is None:
        return plain_error(401, "unauthorized")
    user = gateway.user_id(request, caller)
    if not user and not caller.may("admin"):
        return coded_error(400, "INVALID_REQUEST", f"{USER_HEADER} header is required")
    return json_reply(
        gateway.sessions.listing(
            agent=request.query.get("agentId", ""),
            channel=request.query.get("channel", ""),
            user=None if caller.may("admin") else user,
            limit=_number(request.query.get("limit", ""), _LIST_LIMIT),
            offset=_number(request.query.get("offset", ""), 0),
        )
    )


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else otherwise


async def wake(request: web.Request) -> web.Response:  # noqa: PLR0911  a return for each check
    """``POST /v1/agents/{A}/wake``: a turn in any session named by the caller, also on gateways that forget."""
    gateway = request.app[GATEWAY]
    caller = gateway.caller(request)
    if caller is None:
        return plain_error(401, "unauthorized")
    if not caller.may("operator"):
        return plain_error(403, f"permission denied: {request.path}")
    try:
        body = await read_object(request)
        text, key, user = (text_field(body, name) for name in ("message", "session_key", "user_id"))
    except InvalidBodyError as error:
        return error.reply()
    if not text:
        return plain_error(400, "message is required")
    name = request.match_info["agent"]
    if not gateway.has_agent(name):
        return plain_error(404, f"agent not found: {name}")
    user = caller.owner_id or user or gateway.user_id(request, caller)
    turn = Turn(name, user, key or f"agent:{name}:wake-{secrets.token_hex(4)}", text, channel="wake")
    try:
        outcome = await gateway.runs.run(turn)
    except RunFailed as failure:
        return plain_error(500, f"agent run failed: {failure}")
    return json_reply({"content": outcome.content, "run_id": turn.run_id, "usage": outcome.usage()})


async def create_key(request: web.Request) -> web.Response:
    gateway = request.app[GATEWAY]
    if refusal := _refuse_admin(request):
        return refusal
    try:
        body = await read_object(request)
        name, owner_id = (text_field(body, field) for field in ("name", "owner_id"))
    except InvalidBodyError as error:
        return error.reply()
    scopes = body.get("scopes")
    try:
        created = gateway.keyring.create(name, list(map(str, scopes)) if isinstance(scopes, list) else [], owner_id)
    except ValueError as error:
        return coded_error(400, "INVALID_REQUEST", str(error))
    return json_reply(created, 201)


async def revoke_key(request: web.Request) -> web.Response:
    if refusal := _refuse_admin(request):
        return refusal
    if not request.app[GATEWAY].keyring.revoke(request.match_info["key"]):
        return coded_error(404, "NOT_FOUND", f"api key not found: {request.match_info['key']}")
    return json_reply({"status": "revoked"})


def _refuse_admin(request: web.Request) -> web.Response | None:
    caller = request.app[GATEWAY].caller(request)
    if caller is None:
        return plain_error(401, "unauthorized")
    return None if caller.may("admin") else plain_error(403, f"permission denied: {request.path}")


async def file(request: web.Request) -> web.StreamResponse:
    gateway = request.app[GATEWAY]
    return await gateway.files.serve(request, bearer_ok=gateway.caller(request) is not None)
