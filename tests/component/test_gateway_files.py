"""Files of agents' workspaces, against a local gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from support.servers import serving_on_test_port

from bridge.core.errors import FileExpired, FileFailure, FileRefused, FileTooLarge, FileUnreachable
from bridge.gateway.files import MOST_BYTES, GatewayFiles

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TICKET = "A" * 43 + ".1800000000"
PATH = "/v1/files/workspace/Gr%C3%BC%C3%9Fe.pdf"


@dataclass
class Gateway:
    answer: Handler
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    files: GatewayFiles = field(init=False)

    async def any(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.raw_path)
        self.headers.append(dict(request.headers))
        return await self.answer(request)


@asynccontextmanager
async def gateway(answer: Handler, *, seconds: float = 5.0) -> AsyncIterator[Gateway]:
    here = Gateway(answer)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", here.any)
    async with serving_on_test_port(app) as server, aiohttp.ClientSession() as http:
        base = f"http://127.0.0.1:{server.port}/goclaw/"
        here.files = GatewayFiles(http=http, base_url=base, seconds=seconds)
        yield here


def says(body: bytes = b"bytes", status: int = 200, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def test_a_file_is_fetched_with_its_own_ticket_and_without_the_bridges_bearer() -> None:
    async with gateway(says()) as here:
        assert await here.files.fetch(f"{PATH}?ft={TICKET}&download=true") == b"bytes"

        assert here.paths == [f"/goclaw{PATH}?ft={TICKET}"]
        assert "Authorization" not in here.headers[0]
        assert "X-GoClaw-User-Id" not in here.headers[0]


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/files/../agents?ft={TICKET}",
        f"/v1/files/%2e%2e/%2e%2e/admin?ft={TICKET}",
        f"/v1/agents?ft={TICKET}",
        f"http://127.0.0.1/v1/files/a?ft={TICKET}",
        f"@evil.example/v1/files/a?ft={TICKET}",
        "",
    ],
)
async def test_only_paths_of_files_are_requested(path: str) -> None:
    async with gateway(says()) as here:
        with pytest.raises(FileRefused):
            await here.files.fetch(path)
        assert here.paths == []


async def test_a_link_without_ticket_is_not_requested() -> None:
    async with gateway(says()) as here:
        with pytest.raises(FileExpired):
            await here.files.fetch(PATH)
        assert here.paths == []


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, FileExpired),
        (403, FileExpired),
        (404, FileExpired),
        (302, FileUnreachable),
        (500, FileUnreachable),
        (206, FileUnreachable),
    ],
)
async def test_each_refusal_of_a_file_raises_its_own_error(status: int, failure: type[FileFailure]) -> None:
    async with gateway(says(b"x", status, Location="/elsewhere")) as here:
        with pytest.raises(failure):
            await here.files.fetch(f"{PATH}?ft={TICKET}")
        assert len(here.paths) == 1


async def test_a_file_is_taken_up_to_the_limit_and_refused_above() -> None:
    async with gateway(says(b"x" * MOST_BYTES)) as here:
        assert len(await here.files.fetch(f"{PATH}?ft={TICKET}")) == MOST_BYTES
        here.answer = says(b"x" * (MOST_BYTES + 1))
        with pytest.raises(FileTooLarge):
            await here.files.fetch(f"{PATH}?ft={TICKET}")


async def test_a_file_that_never_ends_is_given_up() -> None:
    stop = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not stop.is_set():
            await response.write(b"x" * 65536)
        return response

    async with gateway(endless) as here:
        with pytest.raises(FileTooLarge):
            await here.files.fetch(f"{PATH}?ft={TICKET}")
        stop.set()


async def test_a_file_that_does_not_arrive_is_given_up_at_the_time_limit() -> None:
    stop = asyncio.Event()

    async def never(_: web.Request) -> web.StreamResponse:
        await stop.wait()
        return web.Response()

    async with gateway(never, seconds=0.2) as here:
        with pytest.raises(FileUnreachable):
            await here.files.fetch(f"{PATH}?ft={TICKET}")
        stop.set()


async def test_a_gateway_that_is_gone_is_unreachable() -> None:
    async with aiohttp.ClientSession() as http:
        files = GatewayFiles(http=http, base_url=f"http://127.0.0.1:{unused_port()}")
        with pytest.raises(FileUnreachable):
            await files.fetch(f"{PATH}?ft={TICKET}")
