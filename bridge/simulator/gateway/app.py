"""Builds the stand-in gateway as an aiohttp application, which starts and stops its parts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from bridge.simulator.gateway import endpoints, rpc
from bridge.simulator.gateway.access import Keyring, RateLimit
from bridge.simulator.gateway.agent import phrases
from bridge.simulator.gateway.chat import chat_completions
from bridge.simulator.gateway.events import Events
from bridge.simulator.gateway.files import Files
from bridge.simulator.gateway.model import Model
from bridge.simulator.gateway.replies import without_server_header
from bridge.simulator.gateway.runs import Runs
from bridge.simulator.gateway.sessions import Sessions
from bridge.simulator.gateway.state import GATEWAY, Gateway, GatewayOptions

__all__ = ["GatewayOptions", "build_app", "phrases"]

_HEADERS_LIMIT = 1 << 20  # Go's default for all headers together: https://pkg.go.dev/net/http#pkg-constants
# Options of aiohttp's server, so that a run ends with its request, and headers and bodies are handled as in Go:
# https://docs.aiohttp.org/en/stable/web_advanced.html#peer-disconnection
_SERVER = {
    "handler_cancellation": True,
    "auto_decompress": False,
    "max_line_size": _HEADERS_LIMIT,
    "max_field_size": _HEADERS_LIMIT,
    "access_log": None,  # paths hold agent keys and signed links
}


def build_app(options: GatewayOptions) -> web.Application:
    """The gateway as an application for `aiohttp.web.AppRunner` (the gateway's grace is ``shutdown_timeout=5``).

    At the start the application creates the folder ``options.data`` and reads the sessions in the folder.
    """
    # bodies are limited by bridge.simulator.gateway.body, with the gateway's status and form
    app = web.Application(middlewares=[endpoints.as_go_answers], handler_args=_SERVER, client_max_size=0)
    app[GATEWAY] = _gateway(options)
    app[rpc.SOCKETS] = rpc.Sockets()
    app.add_routes(
        [
            web.route("*", "/v1/chat/completions", chat_completions),
            web.route("*", "/health", endpoints.health),
            web.get("/", endpoints.index),
            web.get("/ws", rpc.websocket),
            web.get("/v1/agents/{agent}", endpoints.agent),
            web.post("/v1/agents/{agent}/wake", endpoints.wake),
            web.get("/v1/sessions", endpoints.sessions),
            web.post("/v1/api-keys", endpoints.create_key),
            web.post("/v1/api-keys/{key}/revoke", endpoints.revoke_key),
            web.get("/v1/files/{path:.+}", endpoints.file),
        ]
    )
    app.on_response_prepare.append(without_server_header)
    app.on_shutdown.append(rpc.close_sockets)
    app.cleanup_ctx.append(_state_on_disk)
    app.cleanup_ctx.append(_model_behind)
    return app


def _gateway(options: GatewayOptions) -> Gateway:
    sessions, events = Sessions(options.data / "sessions"), Events()
    files = Files(options.data / "workspace", hashlib.sha256(b"file links\n" + options.token.encode()).digest())
    return Gateway(
        options=options,
        keyring=Keyring(options.token, options.data / "api-keys.json"),
        rate=RateLimit(options.rate_limit_rpm),
        sessions=sessions,
        events=events,
        files=files,
        runs=Runs(sessions, events, files),
    )


async def _state_on_disk(app: web.Application) -> AsyncIterator[None]:
    gateway = app[GATEWAY]
    await asyncio.to_thread(gateway.sessions.load)
    await asyncio.to_thread(gateway.keyring.load)
    yield


async def _model_behind(app: web.Application) -> AsyncIterator[None]:
    gateway = app[GATEWAY]
    options = gateway.options
    if options.llm_url is None:
        yield
        return
    async with aiohttp.ClientSession() as http:
        gateway.runs.model = Model(http, options.llm_url, options.llm_model, options.llm_key)
        yield
