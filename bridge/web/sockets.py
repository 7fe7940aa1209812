"""Listening sockets, bound before anything is claimed: a process that cannot listen must not begin people's turns."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

BACKLOG: Final = 1024


@contextmanager
def bound(*addresses: tuple[str, int]) -> Iterator[tuple[socket.socket, ...]]:
    """A socket for each host and port; connections wait in them until they are served. Raises OSError."""
    with ExitStack() as stack:
        yield tuple([stack.enter_context(_bind(host, port)) for host, port in addresses])


def _bind(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)
