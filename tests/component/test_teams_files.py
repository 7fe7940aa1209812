"""TeamsFiles against local stand-ins for the connector, SharePoint and a foreign host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from support.servers import serving_on_test_port

from bridge.core.errors import FileExpired, FileFailure, FileRefused, FileTooLarge, FileUnreachable
from bridge.core.files.shared import FileKind, SharedFile
from bridge.teams.clouds import custom
from bridge.teams.credentials import OutboundToken
from bridge.teams.files import MOST_BYTES, MOST_REDIRECTS, TeamsFiles

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PNG = b"\x89PNG\r\n\x1a\n..."
PICTURE = "/emea/tenant-1/v3/attachments/0-weu-d1-abc/views/original"


@dataclass
class Host:
    """A server that answers by path and records the requests."""

    answers: dict[str, Handler] = field(default_factory=dict)
    seen: list[web.BaseRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""

    async def any(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.paths.append(request.raw_path)
        self.bodies.append(await request.read())
        return await self.answers[request.path](request)

    @property
    def bearers(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.seen]


@dataclass
class Bench:
    connector: Host
    sharepoint: Host
    stranger: Host
    files: TeamsFiles

    async def download(self, path: str = "/file", host: Host | None = None) -> bytes:
        url = f"{(host or self.sharepoint).url}{path}?tempauth=eyJ0.a-b_c%20&x=(1)"
        return await self.files.fetch(SharedFile("f", url, FileKind.DOWNLOAD))

    async def picture(self, path: str = PICTURE, host: Host | None = None) -> bytes:
        return await self.files.fetch(SharedFile("p", f"{(host or self.connector).url}{path}", FileKind.PICTURE))


@asynccontextmanager
async def bench(*, seconds: float = 5.0) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        hosts = [Host(), Host(), Host()]
        for host in hosts:
            app = web.Application(client_max_size=2**26)
            app.router.add_route("*", "/{tail:.*}", host.any)
            server = await stack.enter_async_context(serving_on_test_port(app))
            host.url = f"http://127.0.0.1:{server.port}"
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        connector, sharepoint, stranger = hosts
        login = Host(
            {
                "/t/v2.0/.well-known/openid-configuration": _discovery,
                "/t/token": respond_json({"token_type": "Bearer", "expires_in": 3600, "access_token": "bot.token"}),
            }
        )
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", login.any)
        server = await stack.enter_async_context(serving_on_test_port(app))
        login.url = f"http://127.0.0.1:{server.port}"
        named = [host.url.removeprefix("http://") for host in hosts]
        file_hosts = [named[1], f"127.0.0.1:{unused_port()}", "*.files.example"]
        cloud = custom(f"{login.url}/openid", login.url, [named[0]], file_hosts)
        token = OutboundToken(cloud, "app", "secret", "t")
        files = TeamsFiles(session, token, cloud, fetch_seconds=seconds, save_seconds=seconds)
        yield Bench(connector, sharepoint, stranger, files)


async def _discovery(request: web.Request) -> web.StreamResponse:
    base = f"http://{request.host}"
    endpoints = {"token_endpoint": f"{base}/t/token", "authorization_endpoint": f"{base}/t/a"}
    return web.json_response(endpoints)


def respond_json(value: dict[str, object]) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(value)

    return answer


def respond(body: bytes = b"words", status: int = 200, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


def redirect(url: str, status: int = 302) -> Handler:
    return respond(b"", status, Location=url)


# -- fetching --


async def test_a_download_is_fetched_without_the_bots_token() -> None:
    async with bench() as here:
        here.sharepoint.answers["/file"] = respond()

        assert await here.download() == b"words"
        assert here.sharepoint.bearers == [None]
        assert here.sharepoint.paths == ["/file?tempauth=eyJ0.a-b_c%20&x=(1)"]


@pytest.mark.parametrize("host", ["a..files.example", f"{'a' * 64}.files.example"])
async def test_a_host_name_that_cannot_be_looked_up_is_refused(host: str) -> None:
    async with bench() as here:
        with pytest.raises(FileRefused):
            await here.files.fetch(SharedFile("f", f"https://{host}/file", FileKind.DOWNLOAD))
        with pytest.raises(FileRefused):
            await here.files.save(f"https://{host}/file", b"words")


async def test_a_picture_is_fetched_with_the_bots_token() -> None:
    async with bench() as here:
        here.connector.answers[PICTURE] = respond(PNG)

        assert await here.picture() == PNG
        assert here.connector.bearers == ["Bearer bot.token"]


@pytest.mark.parametrize(
    "path",
    [
        "/v3/conversations/a:1/members",
        "/v3/attachments/x/views/../../conversations",
        "/v3/attachments/x",
        "/v3/attachments/x/views/original?a=b",
        "/v3/attachments/x/views/original/more",
        "",
    ],
)
async def test_the_bots_token_is_sent_to_the_path_of_pictures_only(path: str) -> None:
    async with bench() as here:
        with pytest.raises(FileRefused):
            await here.picture(path)
        assert here.connector.seen == []


async def test_files_and_pictures_are_each_fetched_from_their_own_hosts_only() -> None:
    async with bench() as here:
        for host in (here.stranger, here.sharepoint):
            with pytest.raises(FileRefused):
                await here.picture(host=host)
        for host in (here.stranger, here.connector):
            with pytest.raises(FileRefused):
                await here.download(host=host)
        assert [*here.stranger.seen, *here.connector.seen, *here.sharepoint.seen] == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "http://example.com/file",
        "https://example.com/file",
        "https://contoso.sharepoint.com/file",  # not a host of the custom cloud
        "http://127.0.0.1/file",
        "http://127.0.0.1:80@evil.example/",
        "//127.0.0.1/file",
        "http://127.0.0.1:1\\@evil.example/",
        "http://[::1/",
        "http://127.0.0.1:99999999/",
        "HTTP://127.0.0.1/\n",
        "💥",
    ],
)
@pytest.mark.parametrize("kind", [FileKind.DOWNLOAD, FileKind.PICTURE])
async def test_a_foreign_address_is_refused_before_any_request(url: str, kind: FileKind) -> None:
    async with bench() as here:
        with pytest.raises(FileRefused):
            await here.files.fetch(SharedFile("f", url, kind))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_among_the_hosts_of_files_are_followed(status: int) -> None:
    async with bench() as here:
        here.sharepoint.answers["/file"] = redirect("/next", status)
        here.sharepoint.answers["/next"] = redirect(f"{here.sharepoint.url}/there?a=b%2Fc", status)
        here.sharepoint.answers["/there"] = respond()

        assert await here.download() == b"words"
        assert here.sharepoint.paths[1:] == ["/next", "/there?a=b%2Fc"]
        assert here.sharepoint.bearers == [None, None, None]


async def test_a_redirect_to_a_foreign_host_is_not_followed() -> None:
    async with bench() as here:
        here.stranger.answers["/file"] = respond()
        here.sharepoint.answers["/file"] = redirect(f"{here.stranger.url}/file")

        with pytest.raises(FileRefused):
            await here.download()
        assert here.stranger.seen == []


async def test_a_download_never_becomes_a_request_to_the_connector() -> None:
    async with bench() as here:
        here.connector.answers[PICTURE] = respond()
        here.sharepoint.answers["/file"] = redirect(f"{here.connector.url}{PICTURE}")

        with pytest.raises(FileRefused):
            await here.download()
        assert here.connector.seen == []


async def test_the_bots_token_follows_no_redirect_out_of_the_connector() -> None:
    async with bench() as here:
        for target in (here.stranger, here.sharepoint):
            here.connector.answers[PICTURE] = redirect(f"{target.url}{PICTURE}")
            with pytest.raises(FileRefused):
                await here.picture()
        assert [*here.stranger.seen, *here.sharepoint.seen] == []


@pytest.mark.parametrize("location", ["", "http://[", "javascript:alert(1)", "https://", "//"])
async def test_a_redirect_without_a_usable_address_is_refused(location: str) -> None:
    async with bench() as here:
        here.sharepoint.answers["/file"] = respond(b"", 302, Location=location)
        with pytest.raises(FileRefused):
            await here.download()


async def test_more_than_three_redirects_are_refused() -> None:
    async with bench() as here:
        here.sharepoint.answers["/file"] = redirect("/file")
        with pytest.raises(FileRefused):
            await here.download()
        assert len(here.sharepoint.seen) == 1 + MOST_REDIRECTS


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_expired_link_raises_file_expired(status: int) -> None:
    async with bench() as here:
        here.sharepoint.answers["/file"] = respond(status=status)
        with pytest.raises(FileExpired):
            await here.download()


@pytest.mark.parametrize("status", [204, 206, 400, 429, 500, 503])
async def test_an_answer_of_any_other_status_raises_file_unreachable(status: int) -> None:
    async with bench() as here:
        here.sharepoint.answers["/file"] = respond(b"" if status == 204 else b"x", status)
        with pytest.raises(FileUnreachable):
            await here.download()


async def test_a_file_of_the_largest_size_is_taken_and_a_larger_file_is_not() -> None:
    async with bench() as here:
        here.sharepoint.answers["/file"] = respond(b"x" * MOST_BYTES)
        assert len(await here.download()) == MOST_BYTES
        here.sharepoint.answers["/file"] = respond(b"x" * (MOST_BYTES + 1))
        with pytest.raises(FileTooLarge):
            await here.download()


async def test_an_endless_file_is_given_up_at_the_largest_size() -> None:
    stop = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not stop.is_set():
            await response.write(b"x" * 65536)
        return response

    async with bench() as here:
        here.sharepoint.answers["/file"] = endless
        with pytest.raises(FileTooLarge):
            await here.download()
        stop.set()


async def test_a_file_that_does_not_arrive_is_given_up_after_the_time_limit() -> None:
    stop = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await stop.wait()
        return response

    async with bench(seconds=0.2) as here:
        here.sharepoint.answers["/file"] = slow
        with pytest.raises(FileUnreachable):
            await here.download()
        stop.set()


async def test_a_host_without_a_listener_is_unreachable() -> None:
    async with bench() as here:
        cloud = custom(f"{here.connector.url}/o", here.connector.url, ["h"], [f"127.0.0.1:{(port := unused_port())}"])
        async with aiohttp.ClientSession() as session:
            files = TeamsFiles(session, OutboundToken(cloud, "app", "secret", "t"), cloud)
            with pytest.raises(FileUnreachable):
                await files.fetch(SharedFile("f", f"http://127.0.0.1:{port}/", FileKind.DOWNLOAD))


# -- saving --


async def test_a_file_is_saved_by_a_single_put_without_the_bots_token() -> None:
    async with bench() as here:
        here.sharepoint.answers["/up"] = respond(b"{}", 201)
        await here.files.save(f"{here.sharepoint.url}/up?guid='1'", b"12345")

        (request,) = here.sharepoint.seen
        assert (request.method, here.sharepoint.bodies) == ("PUT", [b"12345"])
        assert request.headers["Content-Range"] == "bytes 0-4/5"
        assert request.headers["Content-Length"] == "5"
        assert here.sharepoint.bearers == [None]


async def test_a_file_is_saved_at_the_hosts_of_files_only() -> None:
    async with bench() as here:
        for host in (here.stranger, here.connector):
            with pytest.raises(FileRefused):
                await here.files.save(f"{host.url}/up", b"1")
        assert [*here.stranger.seen, *here.connector.seen] == []


@pytest.mark.parametrize(
    ("status", "failure"), [(202, FileUnreachable), (302, FileUnreachable), (404, FileExpired), (500, FileUnreachable)]
)
async def test_a_refused_upload_raises_an_error(status: int, failure: type[FileFailure]) -> None:
    async with bench() as here:
        here.stranger.answers["/up"] = respond()
        here.sharepoint.answers["/up"] = respond(b"", status, Location=f"{here.stranger.url}/up")
        with pytest.raises(failure):
            await here.files.save(f"{here.sharepoint.url}/up", b"1")
        assert here.stranger.seen == []
