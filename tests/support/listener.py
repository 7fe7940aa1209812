"""An HTTP listener opened in the same way as the bridge's listeners, and requests written byte by byte."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from bridge.web.sockets import HEAD_SECONDS, BoundSite, bound
from support.servers import stop_server

Lines = tuple[str, ...]

ZEROS = gzip.compress(bytes(8 * 1024 * 1024))
"""8 MB of zeros as 8 KB of gzip; the inflated size exceeds the largest body of a listener."""

# https://www.rfc-editor.org/rfc/rfc9110#section-8.4: names in any case, a list in a single header or in several
COMPRESSED: list[Lines] = [
    ("Content-Encoding: gzip",),
    ("Content-Encoding: GZIP",),
    ("content-encoding:\tGzip \t",),
    ("Content-Encoding: x-gzip",),
    ("Content-Encoding: deflate",),
    ("Content-Encoding: br",),
    ("Content-Encoding: zstd",),
    ("Content-Encoding: compress",),
    ("Content-Encoding: identity, gzip",),
    ("Content-Encoding: gzip, identity",),
    ("Content-Encoding: identity;gzip",),
    ("Content-Encoding: gzip", "Content-Encoding: identity"),
    ("Content-Encoding: identity", "Content-Encoding: gzip"),
    ("Content-Encoding: ", "Content-Encoding: gzip"),
    ("Content-Encoding: é",),
]
UNCOMPRESSED: list[Lines] = [
    ("Content-Encoding: identity",),
    ("Content-Encoding: Identity",),
    ("content-encoding:\tIDENTITY \t",),
    ("Content-Encoding:",),
    ("Content-Encoding: ,",),
    ("Content-Encoding: identity, identity",),
    ("Content-Encoding: identity", "Content-Encoding: "),
]


@dataclass
class Listener:
    """An open listener: its port, and the requests that were answered."""

    port: int
    answered: list[web.Request] = field(default_factory=list)

    async def exchange(self, *requests: bytes) -> bytes:
        """All bytes of the answers to `requests` on a single connection, until the listener closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"".join(requests))
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


def request(target: str, *lines: str, body: bytes = b"", last: bool = True) -> bytes:
    """The bytes of a request: `target` such as "POST /api/messages", header lines, body; `last` asks to close."""
    head = [f"{target} HTTP/1.1", "Host: 127.0.0.1", *lines, *(["Connection: close"] if last else [])]
    if not any(line.startswith("Transfer-Encoding:") for line in lines):
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


@asynccontextmanager
async def listening(
    app: web.Application, host: str = "127.0.0.1", *, most: int = 100, head_seconds: float = HEAD_SECONDS
) -> AsyncIterator[Listener]:
    """Serve `app` through the bridge's BoundSite on a free port."""

    async def note(answered: web.Request, _: web.StreamResponse) -> None:
        listener.answered.append(answered)

    app.on_response_prepare.append(note)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    with bound((host, 0)) as (sock,):
        listener = Listener(sock.getsockname()[1])
        await runner.setup()
        await BoundSite(runner, sock, most, head_seconds=head_seconds).start()
        try:
            yield listener
        finally:
            await stop_server(runner)
