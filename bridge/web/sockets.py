"""Listening sockets: bound before the first turn is claimed, with limits for connections, heads and idle time.

A process that cannot listen must not begin people's turns.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from aiohttp import web

BACKLOG: Final = 1024
HEAD_SECONDS: Final = 15.0  # a client sends the head of a request at once
# Longer than the usual 60 seconds of proxies, so that no proxy sends a request into a connection that is being closed.
KEEP_ALIVE_SECONDS: Final = 75.0
SERVER_NAME: Final = "teams-bridge"
_LINGERING_SECONDS = 2.0  # how long a refused request's body is still read


class CannotListen(Exception):
    """A listener's address cannot be bound; the message names the address and the system's reason."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {error.strerror or error}")
        self.taken = error.errno == errno.EADDRINUSE


@contextmanager
def bound(*addresses: tuple[str, int]) -> Iterator[tuple[socket.socket, ...]]:
    """A listening socket for each host and port; connections wait in the backlog until a site serves the socket.

    Raises: CannotListen.
    """
    with ExitStack() as stack:
        yield tuple([stack.enter_context(_bind(host, port)) for host, port in addresses])


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # "::" means all addresses of the machine, so IPv4 as well.
        both = address[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise CannotListen(host, port, error) from error


class BoundSite(web.BaseSite):
    """A site on a bound socket with at most `most` open connections; further connections are closed as soon as opened.

    So that idle connections free their slots, the first request's head must arrive within `head_seconds`, and each
    later head within KEEP_ALIVE_SECONDS of the last answer.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        sock: socket.socket,
        most: int,
        *,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        super().__init__(runner)
        self._sock = sock
        self._most = most
        self._head_seconds = head_seconds

    @property
    def name(self) -> str:
        """The address, for aiohttp's own messages."""
        host, port, *_ = self._sock.getsockname()
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Start to accept connections."""
        await super().start()
        server = self._runner.server
        assert isinstance(server, web.Server)  # noqa: S101  `runner.setup()` has made the server
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.BaseProtocol:
            if len(server.connections) >= self._most:
                return _Full()
            return _Connection(server, loop, self._head_seconds)

        self._server = await loop.create_server(connection, sock=self._sock, backlog=BACKLOG)


class _Connection(web.RequestHandler):
    """aiohttp's HTTP connection with a time limit for the first request's head, and without inflating bodies.

    aiohttp would inflate a body on the event loop, before the handler has checked the sender: 300 KB of gzip become
    300 MB of zeros, even where the handler refuses without reading.
    """

    __slots__ = ("_head_seconds", "_head_timer")

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, head_seconds: float) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp documents None for no access log
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            lingering_time=_LINGERING_SECONDS,
            auto_decompress=False,
        )
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(self._head_seconds, self._no_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log as aiohttp does, and answer without words: aiohttp's quote the request, and name a parser."""
        super().handle_error(request, status, exc, message)
        refusal = web.Response(status=status)
        refusal.force_close()
        return refusal

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send `resp` without the versions of Python and aiohttp, and aiohttp's own refusals without words.

        Some refusals come before the application's check of the sender, such as 417 for an unknown `Expect`.
        """
        if isinstance(resp, web.HTTPException):
            allow = resp.headers.getall("Allow", [])
            resp = web.Response(status=resp.status, headers=[("Allow", value) for value in allow])
        if not resp.prepared:
            resp.headers["Server"] = SERVER_NAME
        return await super().finish_response(request, resp, start_time)

    def _no_head(self) -> None:
        if not self._request_count:
            self.force_close()


class _Full(asyncio.Protocol):
    """Closes a connection beyond the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
