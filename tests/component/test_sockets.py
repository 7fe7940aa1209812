"""The listening sockets: limits of time and connections, compressed bodies, IPv6."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from support.listener import COMPRESSED, ZEROS, Lines, listening, request
from typer.testing import CliRunner

from bridge.cli.main import app as command_line
from bridge.web.sockets import HEAD_SECONDS, CannotListen, bound

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
REQUEST = b"GET / HTTP/1.1\r\nHost: bridge\r\n\r\n"


async def greet(_: web.Request) -> web.Response:
    return web.Response(text="hello")


@asynccontextmanager
async def site(host: str = "127.0.0.1", *, most: int = 10, head_seconds: float = HEAD_SECONDS) -> AsyncIterator[int]:
    """A site with a greeting at `/`; yields the port."""
    app = web.Application()
    app.router.add_get("/", greet)
    async with listening(app, host, most=most, head_seconds=head_seconds) as listener:
        yield listener.port


@asynccontextmanager
async def connection(port: int, host: str = "127.0.0.1") -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def greeted(streams: Streams) -> bool:
    reader, writer = streams
    writer.write(REQUEST)
    async with asyncio.timeout(30):
        return (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", REQUEST[:-2]])
async def test_a_connection_without_a_whole_head_in_time_is_closed(sent: bytes) -> None:
    async with site(head_seconds=0.5) as port, connection(port) as (reader, writer):
        writer.write(sent)
        async with asyncio.timeout(30):
            assert await reader.read() == b""


async def test_after_a_first_request_a_connection_may_be_idle_longer_than_the_limit_for_heads() -> None:
    async with site(head_seconds=0.5) as port, connection(port) as streams:
        assert await greeted(streams)
        await asyncio.sleep(1.0)  # twice the limit for heads
        assert await greeted(streams)


async def test_connections_beyond_the_limit_are_closed_until_an_open_connection_ends() -> None:
    async with site(most=1) as port:
        async with connection(port) as first:
            assert await greeted(first)
            async with connection(port) as (reader, _), asyncio.timeout(30):
                assert await reader.read() == b""
        async with asyncio.timeout(30):
            while True:
                async with connection(port) as streams:
                    try:
                        assert await greeted(streams)
                        break
                    except (asyncio.IncompleteReadError, ConnectionError):
                        await asyncio.sleep(0.01)


@pytest.mark.parametrize("coding", COMPRESSED)
async def test_a_compressed_body_reaches_the_handler_without_being_inflated(coding: Lines) -> None:
    async def echo(asked: web.Request) -> web.Response:
        return web.Response(body=await asked.read())

    app = web.Application()
    app.router.add_post("/", echo)
    async with listening(app) as listener:
        answer = await listener.exchange(request("POST /", *coding, body=ZEROS))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n" + ZEROS)


SECRET = "Secret1234"
MALFORMED = {
    "no HTTP": b"%s\r\n\r\n",
    "a method of signs": b"{%s} / HTTP/1.1\r\n\r\n",
    "a version": b"GET /%s HTTP/9.9\r\n\r\n",
    "a target": b"GET %s\x7f\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization %s\r\n\r\n",
    "a header with a control": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\x00\r\n\r\n",
    "a header's name": b"GET / HTTP/1.1\r\nHost: x\r\nA(%s): x\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s" + b"x" * 20_000 + b"\r\n\r\n",
    "a long target": b"GET /%s" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n",
    "two lengths": b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: %s\r\nContent-Length: 1\r\n\r\na",
    "a chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%s\r\n",
    "an expectation": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: %s\r\n\r\n",
    "an expectation elsewhere": b"GET /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: %s\r\n\r\n",
    "an unknown path": b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a wrong method": b"PUT /?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a fault of the handler": b"GET /fault?%s HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n",
    "an upgrade": b"GET /no HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: %s\r\n\r\n\x00\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_no_refusal_of_the_http_layer_carries_words_or_versions(sent: bytes) -> None:
    async def fault(_: web.Request) -> web.Response:
        raise ValueError(SECRET)

    async def read(asked: web.Request) -> web.Response:
        await asked.read()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", greet)
    app.router.add_post("/", read)
    app.router.add_get("/fault", fault)
    async with listening(app) as listener:
        answer = await listener.exchange(sent.replace(b"%s", SECRET.encode(), 1))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] [45]\d\d ", head), answer
    assert body == b""
    assert not re.search(rb"Secret|aiohttp|Python|\d\.\d+\.\d", answer), answer


async def test_no_answer_names_a_version() -> None:
    async with site() as port, connection(port) as (reader, writer):
        writer.write(REQUEST)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"hello")
    assert b"Server: teams-bridge\r\n" in head


def test_an_address_that_cannot_be_bound_is_named_and_only_a_taken_port_counts_as_taken() -> None:
    with bound(("127.0.0.1", 0)) as (sock,):
        port = sock.getsockname()[1]
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1 port {port}: ") as taken, _bound(port):
            pass
    with (
        pytest.raises(CannotListen, match=r"cannot listen on 203\.0\.113\.1 port 1") as elsewhere,
        bound(("203.0.113.1", 1)),
    ):
        pass
    assert (taken.value.taken, elsewhere.value.taken) == (True, False)


def _bound(port: int) -> AbstractContextManager[tuple[socket.socket, ...]]:
    return bound(("127.0.0.1", port))


@pytest.mark.skipif(
    not socket.has_dualstack_ipv6() and os.environ.get("CI") != "true", reason="this machine has no IPv6"
)
async def test_a_listener_on_all_ipv6_addresses_takes_ipv4_connections_too() -> None:
    async with site("::") as port, connection(port, "127.0.0.1") as over_four:
        assert await greeted(over_four)


def test_the_command_healthcheck_reaches_a_listener_on_ipv6() -> None:
    settings = {
        "TEAMS_APP_ID": "11111111-1111-1111-1111-111111111111",
        "TEAMS_TENANT_ID": "22222222-2222-2222-2222-222222222222",
        "TEAMS_APP_PASSWORD": "secret",
        "GOCLAW_URL": "http://127.0.0.1:1",
        "GOCLAW_TOKEN": "token",
        "BRIDGE_HOST": "::1",
        "BRIDGE_PORT": str(unused_port()),
    }
    result = CliRunner().invoke(command_line, ["healthcheck"], env=settings)

    assert result.exit_code == 1
    assert "not reachable: ConnectError" in result.output
