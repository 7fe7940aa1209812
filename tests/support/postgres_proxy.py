"""A TCP proxy before a PostgreSQL server: connections can be cut, refused, or become silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class PostgresProxy:
    """Passes connections on to the server's Unix socket `target`.

    `silent`: bytes are taken and not passed on. `refusing`: new connections are closed at once.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.silent = False
        self.refusing = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Serve on a free port during the block; gives the connection URI."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"postgresql://postgres@127.0.0.1:{server.sockets[0].getsockname()[1]}/postgres"
        finally:
            server.close()
            self.cut()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if self.refusing:
                raise ConnectionRefusedError
            there, back = await asyncio.open_unix_connection(self._target)
        except OSError:  # as without a proxy: no server, no connection
            writer.transport.abort()
            return
        self._writers += [writer, back]
        other = asyncio.ensure_future(self._pass(there, writer))
        self._tasks.add(other)
        other.add_done_callback(self._tasks.discard)
        await self._pass(reader, back)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent_from_now_on = False
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(65536):
                # once silent, a connection stays silent, as behind a firewall that dropped the flow
                silent_from_now_on = silent_from_now_on or self.silent
                if not silent_from_now_on:
                    writer.write(data)
                    await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.close()
