"""The admin listener (loopback by default, own token): health in detail and Prometheus metrics."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bridge import metrics


def admin_app(*, details: Callable[[], dict[str, Any]], token: str) -> web.Application:
    """The application of the admin listener. With a token, every request must bring it as a bearer."""

    @web.middleware
    async def only_with_token(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "").encode()
        if token and not hmac.compare_digest(sent, f"Bearer {token}".encode()):
            return web.Response(status=401)
        return await handler(request)

    async def health(_: web.Request) -> web.Response:
        report = details()
        status = 200 if report["ready"] else 503
        return web.Response(status=status, body=orjson.dumps(report), content_type="application/json")

    async def prometheus(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=[only_with_token])
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", health)
    app.router.add_get("/metrics", prometheus)
    return app
