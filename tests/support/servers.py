"""Stops test servers and waits until the last connection is closed.

aiohttp's `cleanup()` asks each transport to close and returns. A transport with unsent bytes stays open until the bytes
are sent or the client hangs up; if the event loop is closed before, the garbage collector warns of the open socket in
whichever test runs then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

CLOSED_WITHIN = 10.0  # seconds; two busy cores
_LOOP_STEPS_OF_AN_ACCEPT = 3


@asynccontextmanager
async def all_connections_closed(runner: web.BaseRunner) -> AsyncIterator[None]:
    """Around a block that stops `runner`: waits at the end until all connections are closed. Raises: TimeoutError."""
    servers = [site._server for site in runner.sites]  # noqa: SLF001  no public way
    listening = [server for server in servers if isinstance(server, asyncio.Server)]
    # begun before the listeners are closed: Python 3.11 waits for no connection of a closed listener
    closed = [asyncio.ensure_future(server.wait_closed()) for server in listening]
    # a connection that asyncio has accepted and not yet set up would outlive its listener, and nothing would close it
    loop = asyncio.get_running_loop()
    for server in listening:
        for accepting in server.sockets:
            loop.remove_reader(accepting.fileno())
    for _ in range(_LOOP_STEPS_OF_AN_ACCEPT):
        await asyncio.sleep(0)
    try:
        yield
        async with asyncio.timeout(CLOSED_WITHIN):
            await asyncio.gather(*closed)
    finally:
        for waiting in closed:
            waiting.cancel()


async def stop_server(runner: web.BaseRunner) -> None:
    """Stop an aiohttp server; returns when all connections are closed. Raises: TimeoutError."""
    async with all_connections_closed(runner):
        await runner.cleanup()


@asynccontextmanager
async def serving_on_test_port(app: web.Application) -> AsyncIterator[TestServer]:
    """Serve `app` on a free port of 127.0.0.1."""
    server = TestServer(app)
    await server.start_server()
    assert server.runner is not None
    try:
        yield server
    finally:
        async with all_connections_closed(server.runner):
            await server.close()


@asynccontextmanager
async def client_on_test_port(app: web.Application) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Serve `app` on a free port of 127.0.0.1; gives a client for the server."""
    client = TestClient(TestServer(app))
    await client.start_server()
    assert client.server.runner is not None
    try:
        yield client
    finally:
        async with all_connections_closed(client.server.runner):
            await client.close()
