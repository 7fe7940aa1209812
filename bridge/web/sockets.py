"""Listening sockets, bound before anything is claimed: a process that cannot listen must not begin people's turns."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from aiohttp import web

BACKLOG: Final = 1024


@contextmanager
def bound(*addresses: tuple[str, int]) -> Iterator[tuple[socket.socket, ...]]:
    """A socket for each host and port; connections wait in them until they are served. Raises OSError."""
    with ExitStack() as stack:
        yield tuple([stack.enter_context(_bind(host, port)) for host, port in addresses])


def _bind(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)


class BoundSite(web.BaseSite):
    """A site on a bound socket that keeps at most `most` connections; of more, each is closed as it comes."""

    def __init__(self, runner: web.AppRunner, sock: socket.socket, most: int) -> None:
        super().__init__(runner)
        self._sock = sock
        self._most = most

    @property
    def name(self) -> str:
        """The address, for aiohttp's own messages."""
        host, port, *_ = self._sock.getsockname()
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Accept connections."""
        await super().start()
        server = self._runner.server
        assert isinstance(server, web.Server)  # noqa: S101  what setting the runner up has made

        def connection() -> asyncio.BaseProtocol:
            return server() if len(server.connections) < self._most else _Full()

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(connection, sock=self._sock, backlog=BACKLOG)


class _Full(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
