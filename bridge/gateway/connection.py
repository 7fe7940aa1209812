"""TCP connections for runs: a dead peer is noticed, and an idle connection is not used after the server's limit.

A run may send no byte for nine minutes (docs/reference/goclaw.md, "Time limits"). A POST on a closing
connection is lost, and whether the server read the POST is unknown.
"""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.connector import AddrInfoType

REUSE_WITHIN = 4.0
"""Seconds an idle connection may be reused. GoClaw keeps idle connections open (docs/reference/goclaw.md, "Time
limits"), but proxies do not: the shortest usual limit is 5 s (`keepAliveTimeout`, https://nodejs.org/api/http.html)."""

_PROBE_AFTER, _PROBE_EVERY, _PROBES = 30, 10, 6
"""TCP keep-alive, in seconds, seconds and probes: a vanished machine is noticed after 90 s instead of at the turn's
time limit, and firewalls that drop idle flows see traffic."""


def gateway_connector() -> aiohttp.TCPConnector:
    """A connector for runs. Needs a running event loop; the aiohttp session closes the connector.

    The connector has no limit of connections: the engine limits runs, and a wait here would count as a failure to
    connect.
    """
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=REUSE_WITHIN, socket_factory=keepalive_socket)


async def read_up_to(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body in bytes. A body longer than `limit` is cut somewhere behind `limit`, so the caller sees a too long
    result. Raises: aiohttp.ClientError."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)


def keepalive_socket(address: AddrInfoType) -> socket.socket:
    """A TCP socket with keep-alive probes (RFC 1122 §4.2.3.6)."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (("TCP_KEEPIDLE", _PROBE_AFTER), ("TCP_KEEPINTVL", _PROBE_EVERY), ("TCP_KEEPCNT", _PROBES))
    for name, value in options:
        if option := getattr(socket, name, None):  # each operating system has a subset of the three options
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock
