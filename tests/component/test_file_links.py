"""Files behind signed links, served by the public listener to a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
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

    async def open(self, id_: str, expires: str, signature: str) -> KeptFile | None:
        self.asked.append((id_, expires, signature))
        if self.failure is not None:
            raise self.failure
        return self.file if signature == "good" else None


async def refuse(_: Post) -> Reply:
    """Refuses every activity."""
    return Reply(401)


@asynccontextmanager
async def listener(stored: StoredFile) -> AsyncIterator[Client]:
    async with client_on_test_port(public_app(refuse, ready=lambda: True, open_file=stored.open)) as http:
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


async def test_without_kept_files_the_path_of_files_is_404() -> None:
    async with client_on_test_port(public_app(refuse, ready=lambda: True)) as http, http.get("/files/f1") as answer:
        assert answer.status == 404
