"""Runs against servers with the exact bytes of the gateway and of proxies."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from bridge.core.errors import (
    AgentUnknown,
    AnswerEmpty,
    AnswerUnreadable,
    GatewayBusy,
    GatewayDown,
    GatewayForbidden,
    GatewayMergesUsers,
    GatewayTokenRejected,
    GatewayUnavailable,
    ProviderFailed,
    QuestionRejected,
    QuestionTooLong,
    RunLost,
    TurnFailure,
)
from bridge.core.ports.agent import Agent, Answer, Question
from bridge.gateway.chat import MAX_ANSWER_BYTES, GatewayAgent
from bridge.gateway.connection import gateway_connector, keepalive_socket
from bridge.gateway.sessions import GatewaySessions

HELLO = Question("sales", "teams-u1", "hello")
WITHIN = 10.0


def http(status: int, body: bytes, type_: str = "text/plain; charset=utf-8", *more: str) -> bytes:
    lines = (f"HTTP/1.1 {status} X", f"Content-Type: {type_}", f"Content-Length: {len(body)}", *more)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ok(content: str) -> bytes:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}
    return http(200, orjson.dumps(body) + b"\n", "application/json")


BUSY = http(429, b'{"error":{"message":"rate limit exceeded"}}\n', "text/plain", "Retry-After: 60")

Reply = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads whole requests, lets `reply` write the answer, and notices closed connections."""

    def __init__(self, reply: Reply) -> None:
        self.requests: list[bytes] = []
        self.received = asyncio.Event()
        self.hung_up = asyncio.Event()
        self._reply = reply
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                self.received.set()
                await self._reply(self.requests[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.hung_up.set()
        finally:
            writer.close()
            self._writers.discard(writer)

    def drop_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()


@asynccontextmanager
async def serving(reply: Reply, sock: socket.socket | None = None) -> AsyncIterator[tuple[Server, str]]:
    server = Server(reply)
    sock = sock or free_socket()
    port = sock.getsockname()[1]
    listener = await asyncio.start_server(server.serve, sock=sock)
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        listener.close()
        server.drop_all()
        await listener.wait_closed()


def free_socket() -> socket.socket:
    """A socket bound but not listening: connections are refused, and the port stays reserved."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


def says(*replies: bytes) -> Reply:
    """Answers each request with the next reply; the last reply repeats."""
    left = list(replies)

    async def reply(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return reply


def says_and_closes(data: bytes, *, reset: bool = False) -> Reply:
    async def reply(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        else:
            writer.close()

    return reply


@asynccontextmanager
async def asking(
    base_url: str,
    *,
    refusal: Callable[[], TurnFailure | None] = lambda: None,
    connect: float = 0.5,
    connector: aiohttp.BaseConnector | None = None,
    trace: aiohttp.TraceConfig | None = None,
) -> AsyncIterator[Agent]:
    async with aiohttp.ClientSession(
        connector=connector or gateway_connector(), trace_configs=[trace] if trace else []
    ) as session:
        yield GatewayAgent(
            http=session,
            base_url=base_url,
            token="t0ken",
            refusal=refusal,
            sessions=GatewaySessions(http=session, base_url=base_url, token="t0ken", step=1.0),
            connect=connect,
        )


async def failure_from(reply: Reply) -> tuple[TurnFailure, int]:
    """The failure of a question, and the number of requests sent."""
    async with serving(reply) as (server, url), asyncio.timeout(WITHIN), asking(url) as agent:
        with pytest.raises(TurnFailure) as caught:
            await agent.ask(HELLO)
        return caught.value, len(server.requests)


async def test_a_run_is_one_post_with_the_user_in_its_header_and_no_language() -> None:
    async with serving(says(ok("**hi**"))) as (server, url), asking(url + "/") as agent:
        assert await agent.ask(HELLO) == Answer("**hi**")
    [request] = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert {"Authorization: Bearer t0ken", "X-GoClaw-User-Id: teams-u1", "Content-Type: application/json"} <= set(lines)
    assert not any(line.lower().startswith("accept-language") for line in lines)
    assert orjson.loads(body)["model"] == "goclaw:sales"


async def test_chosen_silence_is_an_answer_and_nothing_said_is_a_failure() -> None:
    async with serving(says(ok(""), ok("..."))) as (_, url), asking(url) as agent:
        assert await agent.ask(HELLO) == Answer("", silent=True)
        with pytest.raises(AnswerEmpty):
            await agent.ask(HELLO)


HTML = "text/html"
JSON = "application/json"


@pytest.mark.parametrize(
    ("reply", "leaf"),
    [
        (http(400, b'{"error":{"message":"no user message found"}}\n'), QuestionRejected),
        (http(400, b'{"error":{"code":"INVALID_REQUEST","message":"EOF"}}\n', JSON), QuestionRejected),
        (http(401, b'{"error":{"message":"invalid authentication"}}\n'), GatewayTokenRejected),
        (http(403, b'{"error":{"message":"permission denied"}}\n'), GatewayForbidden),
        (http(404, b'{"error":{"message":"agent not found: sales"}}\n'), AgentUnknown),
        (http(404, b'{"error":{"message":"API route not found"}}\n', JSON), GatewayUnavailable),
        (http(405, b"method not allowed\n"), GatewayUnavailable),
        (http(413, b"<h1>too large</h1>", HTML), QuestionTooLong),
        (http(500, b'{"error":{"message":"internal error: acct-42 {"x": 1}"}}\n'), ProviderFailed),
        (http(502, b"<h1>acct-42</h1>", HTML), GatewayUnavailable),
        (http(503, b"<h1>acct-42</h1>", HTML), GatewayUnavailable),
        (http(504, b"<h1>acct-42</h1>", HTML), GatewayUnavailable),
        (http(302, b"", HTML, "Location: /login"), GatewayUnavailable),
        (http(307, b"", HTML, "Location: /v1/chat/completions"), GatewayUnavailable),
        (http(200, b"<h1>acct-42 log in</h1>", HTML), AnswerUnreadable),
        (http(200, b'{"choices":[{"message":{"content":"acct-42', JSON), AnswerUnreadable),
        (http(200, b'data: {"choices":[]}\n\n', "text/event-stream"), AnswerUnreadable),
        (b"HTTP/1.1 204 X\r\n\r\n", AnswerUnreadable),
        (b"SSH-2.0-acct-42\r\n\r\n", AnswerUnreadable),
    ],
)
async def test_an_unusual_reply_raises_its_failure_after_a_single_request(
    reply: bytes, leaf: type[TurnFailure]
) -> None:
    failure, requests = await failure_from(says(reply))
    assert type(failure) is leaf
    assert requests == 1
    assert "acct-42" not in str(failure)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Ty",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
    ids=["before the headers", "within the headers", "within the body", "within the chunks"],
)
async def test_a_connection_that_breaks_after_the_request_was_sent_is_a_lost_run_and_not_repeated(
    data: bytes, *, reset: bool
) -> None:
    failure, requests = await failure_from(says_and_closes(data, reset=reset))
    assert type(failure) is RunLost
    assert requests == 1


async def test_a_kept_alive_connection_that_breaks_during_the_request_is_a_lost_run() -> None:
    """The server may have read the POST; neither aiohttp nor the bridge repeats a POST."""
    first, dies = says(ok("one")), says_and_closes(b"")

    async def reply(request: bytes, writer: asyncio.StreamWriter) -> None:
        await (first if b"hello" in request else dies)(request, writer)

    async with serving(reply) as (server, url), asking(url) as agent:
        await agent.ask(HELLO)
        with pytest.raises(RunLost):
            await agent.ask(Question("sales", "teams-u1", "again"))
    assert len(server.requests) == 2


async def test_an_error_reply_with_a_cut_body_keeps_its_failure() -> None:
    cut = b"HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n{"
    failure, _ = await failure_from(says_and_closes(cut))
    assert type(failure) is ProviderFailed


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_that_never_ends_is_given_up(*, compressed: bool) -> None:
    body = b" " * (MAX_ANSWER_BYTES + 1)
    reply = http(200, gzip.compress(body), JSON, "Content-Encoding: gzip") if compressed else http(200, body, JSON)
    failure, _ = await failure_from(says(reply))
    assert type(failure) is AnswerUnreadable
    assert str(MAX_ANSWER_BYTES) in failure.detail


async def test_a_question_above_the_gateways_limit_is_not_sent() -> None:
    async with serving(says(ok("x"))) as (server, url), asking(url) as agent:
        with pytest.raises(QuestionTooLong):
            await agent.ask(Question("sales", "teams-u1", "é" * 16_001))
    assert server.requests == []


async def test_no_question_is_asked_and_no_session_deleted_while_the_gateway_would_merge_users() -> None:
    async with (
        serving(says(ok("x"))) as (server, url),
        asking(url, refusal=lambda: GatewayMergesUsers("owner")) as agent,
    ):
        with pytest.raises(GatewayMergesUsers):
            await agent.ask(HELLO)
        with pytest.raises(GatewayMergesUsers):
            await agent.delete_session("sales", "teams-u1")
    assert server.requests == []


async def test_a_refusal_by_the_rate_limit_is_raised_at_once_and_not_retried() -> None:
    failure, requests = await failure_from(says(BUSY))
    assert type(failure) is GatewayBusy
    assert failure.retryable
    assert requests == 1


async def test_a_gateway_that_is_down_is_reported_at_once() -> None:
    with free_socket() as sock:
        async with asking(f"http://127.0.0.1:{sock.getsockname()[1]}") as agent, asyncio.timeout(WITHIN):
            with pytest.raises(GatewayDown):
                await agent.ask(HELLO)
            with pytest.raises(GatewayDown):
                await agent.delete_session("sales", "teams-u1")


async def test_an_address_without_tls_is_a_gateway_that_is_down() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(plain, sock=(sock := free_socket()))
    async with listener, asking(f"https://127.0.0.1:{sock.getsockname()[1]}") as agent:
        with pytest.raises(GatewayDown):
            await agent.ask(HELLO)


class Names(AbstractResolver):
    """A name service without names, or without an answer."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self._silent:
            await asyncio.get_running_loop().create_future()
        raise OSError(f"no {host}:{port} {family}")

    async def close(self) -> None:
        return None


@pytest.mark.parametrize("silent", [False, True])
async def test_a_host_that_cannot_be_reached_in_time_is_a_gateway_that_is_down(*, silent: bool) -> None:
    connector = aiohttp.TCPConnector(resolver=Names(silent=silent))
    async with asking("http://gateway.test", connector=connector, connect=0.1) as agent:
        with pytest.raises(GatewayDown):
            async with asyncio.timeout(WITHIN):
                await agent.ask(HELLO)


async def never(_request: bytes, _writer: asyncio.StreamWriter) -> None:
    return None


async def begins(_request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")


@pytest.mark.parametrize("reply", [never, begins])
async def test_cancelling_closes_the_request_at_the_gateway(reply: Reply) -> None:
    async with serving(reply) as (server, url), asking(url) as agent, asyncio.timeout(WITHIN):
        run = asyncio.create_task(agent.ask(HELLO))
        await server.received.wait()
        run.cancel()
        await server.hung_up.wait()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert len(server.requests) == 1


async def test_fifty_runs_at_once_each_get_their_own_answer() -> None:
    mergeable_count = asyncio.Event()
    waiting = 0

    async def reply(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 50:
            mergeable_count.set()
        await mergeable_count.wait()
        head = request.decode().split("X-GoClaw-User-Id: ")[1]
        writer.write(ok("for " + head.split("\r\n")[0]))

    async with serving(reply) as (_, url), asking(url) as agent, asyncio.timeout(WITHIN):
        answers = await asyncio.gather(*(agent.ask(Question("a", f"u{n}", "hi")) for n in range(50)))
    assert answers == [Answer(f"for u{n}") for n in range(50)]


def test_sockets_of_runs_notice_a_vanished_peer_by_keep_alive() -> None:
    with keepalive_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if option := getattr(socket, "TCP_KEEPIDLE", None):
            assert sock.getsockopt(socket.IPPROTO_TCP, option) == 30
