"""The connections that carry runs: a dead peer is noticed, one that may be closing is not used again.

A run shows no byte for up to nine minutes, and a POST on a connection that its server has just given up is
lost without anybody knowing whether it was read. Both are settled here, below HTTP.
"""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.connector import AddrInfoType

REUSE_WITHIN = 4.0
"""Seconds an idle connection may be reused. GoClaw itself keeps idle ones open (docs/reference/goclaw.md, "Errors"), but
proxies do not: the shortest usual limit is 5 s (`keepAliveTimeout` of https://nodejs.org/api/http.html)."""

_PROBE_AFTER, _PROBE_EVERY, _PROBES = 30, 10, 6
"""TCP keep-alive: a machine that vanished is noticed after 90 s instead of at the turn's time limit, and
firewalls that forget idle flows see traffic."""


def gateway_connector() -> aiohttp.TCPConnector:
    """A connector for runs; needs a running event loop, and the session that gets it closes it.

    It has no limit: the engine limits runs, and waiting for a slot here would count as failing to connect.
    """
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=REUSE_WITHIN, socket_factory=watched_socket)


async def read_up_to(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body; given up, and so longer than `limit`, once it has more bytes than that. Raises ClientError."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)


def watched_socket(address: AddrInfoType) -> socket.socket:
    """A socket whose peer is asked now and then whether it is still there (RFC 1122 §4.2.3.6)."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (("TCP_KEEPIDLE", _PROBE_AFTER), ("TCP_KEEPINTVL", _PROBE_EVERY), ("TCP_KEEPCNT", _PROBES))
    for name, value in options:
        if option := getattr(socket, name, None):  # each system has its own subset of the three
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock
