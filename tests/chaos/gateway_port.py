"""Where the gateway listens, and where nobody reaches it for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

# Idle connections are closed so soon that while the door is shut they are of no use.
_KEPT_SECONDS = 0.3


class Door:
    """An application on a port that can be closed and opened again; what came in is answered."""

    def __init__(self, app: web.Application, port: int) -> None:
        app.middlewares.insert(0, self._see_off)  # around those that answer by themselves
        self._runner = web.AppRunner(
            app, shutdown_timeout=0.2, handler_cancellation=True, keepalive_timeout=_KEPT_SECONDS
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
        """New connections are refused, and whoever has one leaves with the next answer."""
        site, self._site = self._site, None
        assert site is not None
        await site.stop()
        try:
            yield
        finally:
            await self.open()

    async def remove(self) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _see_off(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        response = await handler(request)
        if self._site is None:
            response.force_close()
        return response
