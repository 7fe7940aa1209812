"""Test servers leave no open socket behind, also where a client is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from support.servers import stop_server
from support.simulator_world import free_socket, until

UNSENT = bytes(32 * 1024 * 1024)  # more than the kernel's buffers hold


class SlowClient:
    """A client that asked for 32 MB and reads nothing, and the server's end of the connection."""

    def __init__(self) -> None:
        self.transports: list[asyncio.Transport] = []
        self.writer: asyncio.StreamWriter | None = None

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.transports.append(request.transport)
        return web.Response(body=UNSENT)

    @property
    def server_socket_open(self) -> bool:
        (transport,) = self.transports
        return bool(transport.get_extra_info("socket").fileno() != -1)

    def hang_up(self) -> None:
        assert self.writer is not None
        self.writer.transport.abort()


@asynccontextmanager
async def slow_client() -> AsyncIterator[tuple[SlowClient, web.AppRunner]]:
    client = SlowClient()
    app = web.Application()
    app.router.add_get("/", client.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listening = free_socket()
    await web.SockSite(runner, listening).start()
    _, client.writer = await asyncio.open_connection(*listening.getsockname(), limit=1024)
    client.writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await until(lambda: client.transports and client.transports[0].get_write_buffer_size())
    try:
        yield client, runner
    finally:
        client.hang_up()
        await until(lambda: not client.server_socket_open)


async def test_aiohttp_alone_returns_before_a_slow_clients_connection_is_closed() -> None:
    async with slow_client() as (client, runner):
        await runner.cleanup()
        assert client.server_socket_open


async def test_a_stopped_server_has_closed_a_slow_clients_connection() -> None:
    async with slow_client() as (client, runner):
        stopping = asyncio.ensure_future(stop_server(runner))
        asyncio.get_running_loop().call_later(0.3, client.hang_up)
        await stopping
        assert not client.server_socket_open
