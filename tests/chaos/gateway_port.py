"""The gateway's TCP port, closed for a while on request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from support.servers import stop_server

# Seconds until an idle connection is closed: a kept connection would still work while the port is shut.
_KEEPALIVE_SECONDS = 0.3


class GatewayPort:
    """Serves an application on a port of 127.0.0.1; `shut` refuses connections, but answers accepted requests."""

    def __init__(self, app: web.Application, port: int) -> None:
        app.middlewares.insert(0, self._close_while_shut)  # outermost, around middlewares that answer by themselves
        self._runner = web.AppRunner(
            app, shutdown_timeout=0.2, handler_cancellation=True, keepalive_timeout=_KEEPALIVE_SECONDS
        )
        self._port = port
        self._site: web.TCPSite | None = None

    async def open(self) -> None:
        if self._runner.server is None:
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await self._site.start()

    @asynccontextmanager
    async def shut(self) -> AsyncIterator[None]:
        """Refuse new connections for the time of the block, and close open connections after their next response."""
        site, self._site = self._site, None
        assert site is not None
        await site.stop()
        try:
            yield
        finally:
            await self.open()

    async def remove(self) -> None:
        await stop_server(self._runner)

    @web.middleware
    async def _close_while_shut(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        response = await handler(request)
        if self._site is None:
            response.force_close()
        return response
