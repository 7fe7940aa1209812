"""Files behind signed links, served by the public listener to a browser."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from support.listener import listening, request
from support.servers import client_on_test_port

from bridge.core.errors import StoreUnavailable
from bridge.core.files.kept import FileState, KeptFile
from bridge.teams.inbound import Post, Reply
from bridge.web.public import public_app

Client = TestClient[web.Request, web.Application]
FILE = KeptFile("f1", 1, "report.pdf", "application/pdf", b"%PDF-", FileState.LINKED, "chat", "aad-ann", 0.0, 1.0)


@dataclass
class StoredFile:
    """Stands in for kept files: a link with the signature `good` opens `file`."""

    file: KeptFile = FILE
    failure: StoreUnavailable | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def is_signed(self, _id: str, _expires: str, signature: str) -> bool:
        return signature == "good"

    async def open(self, id_: str, expires: str, signature: str) -> KeptFile | None:
        self.asked.append((id_, expires, signature))
        if self.failure is not None:
            raise self.failure
        return replace(self.file, id=id_) if signature == "good" else None


async def refuse(_: Post) -> Reply:
    """Refuses every activity."""
    return Reply(401)


@asynccontextmanager
async def listener(stored: StoredFile) -> AsyncIterator[Client]:
    async with client_on_test_port(public_app(refuse, ready=lambda: True, files=stored)) as http:
        yield http


async def test_a_file_is_served_as_a_download_that_browsers_never_open() -> None:
    stored = StoredFile()
    async with listener(stored) as http, http.get("/files/f1?exp=5&sig=good") as answer:
        assert (answer.status, await answer.read()) == (200, b"%PDF-")
        assert answer.headers["Content-Type"] == "application/pdf"
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''report.pdf"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "sandbox" in policy
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert stored.asked == [("f1", "5", "good")]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Grüße ✓.txt", "Gr%C3%BC%C3%9Fe%20%E2%9C%93.txt"),
        ('a";\r\nSet-Cookie: x.txt', "a%22%3B%0D%0ASet-Cookie%3A%20x.txt"),
    ],
)
async def test_a_file_name_cannot_break_out_of_the_header(name: str, header: str) -> None:
    stored = StoredFile(replace(FILE, name=name, type="text/plain", content=b"<html>"))
    async with listener(stored) as http, http.get("/files/f1?sig=good") as answer:
        assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{header}"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/files/f1", "/files/f1?sig=bad", "/files/f1?sig=&exp=", "/files/f1?exp=%00&sig=%ff"])
async def test_every_faulty_link_gets_the_same_answer(path: str) -> None:
    async with listener(StoredFile()) as http, http.get(path) as answer:
        assert (answer.status, await answer.read()) == (404, b"")


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/files/f1", 405), ("GET", "/files/", 404)])
async def test_paths_and_methods_beside_a_link_are_not_served(method: str, path: str, status: int) -> None:
    stored = StoredFile()
    async with listener(stored) as http, http.request(method, path) as answer:
        assert (answer.status, await answer.read()) == (status, b"")
    assert stored.asked == []


async def test_a_file_is_answered_503_while_the_store_is_unavailable() -> None:
    async with listener(StoredFile(failure=StoreUnavailable())) as http, http.get("/files/f1?sig=good") as answer:
        assert (answer.status, await answer.read()) == (503, b"")


async def test_many_downloads_at_once_are_all_served() -> None:
    async with listener(StoredFile(replace(FILE, content=b"x" * 2_000_000))) as http:

        async def size() -> int:
            async with http.get("/files/f1?sig=good") as answer:
                return len(await answer.read())

        assert await asyncio.gather(*(size() for _ in range(12))) == [2_000_000] * 12


@asynccontextmanager
async def deaf_reader(port: int, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A connection that sends `sent` and reads nothing, with the smallest buffers."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1)
    writer.write(sent)
    try:
        yield reader
    finally:
        writer.transport.abort()


async def downloaded(port: int, target: str) -> bytes:
    """The answer to a download by a reader that reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request(f"GET {target}"))
        return await reader.read()
    finally:
        writer.close()


async def test_a_link_of_a_stranger_takes_neither_a_slot_nor_the_store() -> None:
    stored = StoredFile(failure=StoreUnavailable())
    async with listener(stored) as http:
        for path in ("/files/f1?sig=bad", "/files/f1", "/files/unknown?exp=1&sig=x"):
            async with http.get(path) as answer:
                assert answer.status == 404
    assert stored.asked == []


async def test_strangers_without_a_link_do_not_keep_people_from_their_files() -> None:
    app = public_app(refuse, ready=lambda: True, files=StoredFile())
    flood = request("GET /files/f1?sig=bad", last=False) * 2_000
    async with listening(app) as listener, AsyncExitStack() as strangers:
        for _ in range(8):
            await strangers.enter_async_context(deaf_reader(listener.port, flood))
        async with asyncio.timeout(10):
            assert (await downloaded(listener.port, "/files/f1?sig=good")).endswith(b"%PDF-")


async def test_readers_that_do_not_read_share_a_slot_and_are_cut() -> None:
    stored = StoredFile(replace(FILE, content=b"x" * 8_000_000))
    app = public_app(refuse, ready=lambda: True, files=stored, file_grace=30.0)
    async with listening(app) as listener, AsyncExitStack() as slow:
        link = request("GET /files/slow?sig=good")
        for _ in range(8):
            await slow.enter_async_context(deaf_reader(listener.port, link))
        async with asyncio.timeout(10):
            while not stored.asked:
                await asyncio.sleep(0.01)
            assert len(await downloaded(listener.port, "/files/other?sig=good")) > 8_000_000
        assert [asked[0] for asked in stored.asked] == ["slow", "other"]


async def test_readers_that_do_not_read_leave_their_slots_to_the_next() -> None:
    stored = StoredFile(replace(FILE, content=b"x" * 8_000_000))
    app = public_app(refuse, ready=lambda: True, files=stored, file_grace=0.3)
    async with listening(app) as listener, AsyncExitStack() as slow:
        for n in range(4):
            await slow.enter_async_context(deaf_reader(listener.port, request(f"GET /files/slow{n}?sig=good")))
        async with asyncio.timeout(10):
            while len(stored.asked) < 4:
                await asyncio.sleep(0.01)
            assert len(await downloaded(listener.port, "/files/next?sig=good")) > 8_000_000


async def test_the_head_of_a_file_is_answered_without_its_content() -> None:
    async with listener(StoredFile()) as http, http.head("/files/f1?sig=good") as answer:
        assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (200, "5", b"")


async def test_without_kept_files_the_path_of_files_is_404() -> None:
    async with client_on_test_port(public_app(refuse, ready=lambda: True)) as http, http.get("/files/f1") as answer:
        assert answer.status == 404
