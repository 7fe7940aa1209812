"""The admin listener's API for operators: commands, wrong requests, refusal of web pages and of compressed bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from support.engine_world import World
from support.listener import COMPRESSED, UNCOMPRESSED, ZEROS, Lines, Listener, listening, request
from support.servers import client_on_test_port

from bridge.core.feedback import Rating, Reaction
from bridge.core.turn import Kind, Lane, Outcome
from bridge.engine.operator import Operator
from bridge.web.admin import admin_app

COMMANDS = [
    ("GET", "/api/turns"),
    ("GET", "/api/turns/1"),
    ("POST", "/api/turns/1/again"),
    ("POST", "/api/turns/1/drop"),
    ("GET", "/api/feedback"),
    ("POST", "/api/pause"),
    ("POST", "/api/resume"),
]
EVERYTHING = [*COMMANDS, ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")]


@dataclass
class AdminHttp:
    """A client of the admin listener, over an engine in which T-1 was answered."""

    world: World
    http: TestClient[web.Request, web.Application]

    async def ask(self, method: str, path: str, **headers: str) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        async with self.http.request(method, path, headers=headers) as answer:
            assert answer.content_type == "application/json"
            return answer.status, orjson.loads(await answer.read())

    def is_unchanged(self) -> bool:
        """Whether no command had an effect: no new turn, no pause."""
        return len(self.world.memory.rows) == 1 and not self.world.memory.paused


@asynccontextmanager
async def admin_application(token: str = "") -> AsyncIterator[tuple[World, web.Application]]:
    """An engine in which T-1 was answered, and the admin listener's application."""
    async with World() as world:
        await world.ask("q")
        await world.closed("q")
        operator = Operator(world.dispatcher, world.clock)
        yield world, admin_app(details=lambda: {"ready": True}, token=token, operator=operator)


@asynccontextmanager
async def admin_http(token: str = "") -> AsyncIterator[AdminHttp]:
    async with admin_application(token) as (world, app), client_on_test_port(app) as http:
        yield AdminHttp(world, http)


@asynccontextmanager
async def admin_listener(token: str = "") -> AsyncIterator[tuple[World, Listener]]:
    """The admin listener, opened in the same way as in the bridge."""
    async with admin_application(token) as (world, app), listening(app) as listener:
        yield world, listener


async def test_turns_are_listed_by_filters_with_the_state_of_the_pause() -> None:
    async with admin_http() as at:
        await at.world.ask("new", kind=Kind.NEW)
        await at.world.closed("new")

        async def names(query: str) -> list[str]:
            status, body = await at.ask("GET", f"/api/turns{query}")
            assert (status, body["paused"]) == (200, False)
            return [turn["name"] for turn in body["turns"]]

        assert await names("") == ["T-2", "T-1"]
        assert await names("?limit=1") == ["T-2"]
        assert await names("?kind=ask&state=closed&outcome=delivered&user=user-chat") == ["T-1"]
        assert await names("?before=T-2") == await names("?before=2") == ["T-1"]
        assert await names("?user=user") == []


async def test_one_turn_is_shown_by_its_name_or_number() -> None:
    async with admin_http() as at:
        answers = [await at.ask("GET", f"/api/turns/{name}") for name in ("1", "T-1", "t-1")]

        assert {status for status, _ in answers} == {200}
        assert {body["name"] for _, body in answers} == {"T-1"}
        assert [step["what"] for step in answers[0][1]["history"]] == ["running", "answered", "closed:delivered"]


async def test_asking_again_names_the_new_turn_and_works_once() -> None:
    async with admin_http() as at:
        assert await at.ask("POST", "/api/turns/T-1/again") == (200, {"of": "T-1", "n": 2, "name": "T-2"})
        await at.world.closed("again|1")
        status, body = await at.ask("POST", "/api/turns/T-1/again")
        assert (status, "again already" in body["error"]) == (409, True)
        assert at.world.agent.asked == ["q", "q"]


async def test_dropping_a_turn_answers_with_the_verdict() -> None:
    async with admin_http() as at:
        at.world.agent.takes["long"] = 50
        await at.world.ask("long")
        await at.world.ask("behind")

        assert await at.ask("POST", "/api/turns/3/drop") == (200, {"n": 3, "name": "T-3", "verdict": "dropped"})
        assert await at.ask("POST", "/api/turns/2/drop") == (200, {"n": 2, "name": "T-2", "verdict": "stopping"})
        assert (await at.world.closed("behind")).outcome is Outcome.DROPPED
        assert (await at.ask("POST", "/api/turns/3/drop"))[0] == 409


async def test_feedback_comes_oldest_first_in_pages_with_ids_and_words_and_no_names() -> None:
    async with admin_http() as at:
        lane, now = Lane("chat"), at.world.clock.now()
        for number, person in enumerate(("aad-ann", "aad-bob")):
            await at.world.store.rate(Rating(lane, "m1", person, Reaction.LIKE, "Good", now + number))

        status, body = await at.ask("GET", "/api/feedback?limit=1")
        (first,) = body["feedback"]
        (second,) = (await at.ask("GET", f"/api/feedback?limit=1&after={first['after']}"))[1]["feedback"]

        assert status == 200
        assert (first["turn"], first["person"], first["reaction"], first["words"]) == ("T-1", "aad-ann", "like", "Good")
        assert (first["outcome"], first["session"]) == ("delivered", "agent:helper:http:direct:user-chat")
        assert second["person"] == "aad-bob"
        assert "Ann" not in str(body)
        assert (await at.ask("GET", f"/api/feedback?after={second['after']}"))[1] == {"feedback": []}


@pytest.mark.parametrize(("since", "found"), [("2000-01-01", 1), ("2020-01-01T00:00:00Z", 1), ("2100-01-01", 0)])
async def test_feedback_may_begin_at_a_time(since: str, found: int) -> None:
    async with admin_http() as at:
        await at.world.store.rate(Rating(Lane("chat"), "m1", "aad-ann", Reaction.LIKE, "", at.world.clock.now()))
        assert len((await at.ask("GET", f"/api/feedback?since={since}"))[1]["feedback"]) == found


@pytest.mark.parametrize(
    "query", ["since=soon", "since=", "after=1", "after=x,1,a", "limit=0", "person=a", "since=1&since=2"]
)
async def test_a_wrong_query_for_feedback_is_answered_with_the_right_form(query: str) -> None:
    async with admin_http() as at:
        status, body = await at.ask("GET", f"/api/feedback?{query}")
        assert (status, ": " in body["error"]) == (400, True)


async def test_a_pause_is_reported_until_it_is_resumed() -> None:
    async with admin_http() as at:
        for path, paused in (("/api/pause", True), ("/api/pause", True), ("/api/resume", False)):
            assert await at.ask("POST", path) == (200, {"paused": paused})
            assert (await at.ask("GET", "/api/turns"))[1]["paused"] is paused


@pytest.mark.parametrize(
    "query",
    [
        "state=open",
        "outcome=",
        "kind=ASK",
        "before=x",
        "before=-1",
        "limit=0",
        "limit=1001",
        "limit=1e3",
        "limit=５",
        "stat=queued",
        "limit=1&limit=2",
        "before=99999999999999999999",
    ],
)
async def test_a_wrong_filter_is_refused_and_not_ignored(query: str) -> None:
    async with admin_http() as at:
        status, body = await at.ask("GET", f"/api/turns?{query}")
        assert status == 400
        assert body["error"].endswith(".")


@pytest.mark.parametrize("name", ["x", "T-", "-1", "1.0", "T-１", "1%20", "99999999999999999999", "T-1'--"])
async def test_a_name_that_is_no_turn_number_is_refused(name: str) -> None:
    async with admin_http() as at:
        for method, path in (("GET", ""), ("POST", "/again"), ("POST", "/drop")):
            assert (await at.ask(method, f"/api/turns/{name}{path}"))[0] == 400
        assert at.is_unchanged()


async def test_an_unknown_turn_is_404() -> None:
    async with admin_http() as at:
        for method, path in (("GET", ""), ("POST", "/again"), ("POST", "/drop")):
            status, body = await at.ask(method, f"/api/turns/999{path}")
            assert (status, body["error"].startswith("T-999 is not known")) == (404, True)


async def test_an_unavailable_store_is_503() -> None:
    async with admin_http() as at:
        at.world.memory.outages = {"turns": 1, "find": 3, "ratings": 1, "pause": 1}
        for method, path in COMMANDS[:6]:
            status, body = await at.ask(method, path)
            assert (status, body["error"].startswith("The store cannot be used now")) == (503, True)


# -- web pages, host names, the token --


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_every_request_of_a_web_page_is_refused(method: str, path: str) -> None:
    for token, headers in (("", {}), ("token", {"Authorization": "Bearer token"})):
        async with admin_http(token) as at:
            for origin in ("https://evil.example", "http://127.0.0.1:3979", "null"):
                status, body = await at.ask(method, path, Origin=origin, **headers)
                assert (status, list(body)) == (403, ["error"])
            assert at.is_unchanged()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3979", "127.0.0.1.evil.example", "10.0.0.1", "[", "a@b:x"]
)
@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_without_a_token_a_foreign_host_name_is_refused(method: str, path: str, host: str) -> None:
    async with admin_http() as at:
        status, body = await at.ask(method, path, Host=host)
        assert (status, list(body)) == (403, ["error"])
        assert at.is_unchanged()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:3979", "127.1.2.3:1", "localhost", "LocalHost:9", "[::1]:3979"]
)
async def test_without_a_token_every_name_of_loopback_is_accepted(host: str) -> None:
    async with admin_http() as at:
        assert (await at.ask("GET", "/api/turns", Host=host))[0] == 200


async def test_with_the_token_every_host_name_is_accepted() -> None:
    async with admin_http("token") as at:
        headers = {"Host": "bridge-admin.svc:3979", "Authorization": "Bearer token"}
        assert (await at.ask("GET", "/api/turns", **headers))[0] == 200


@pytest.mark.parametrize(("method", "path"), COMMANDS)
async def test_without_the_token_every_path_is_an_empty_401(method: str, path: str) -> None:
    async with admin_http("token") as at:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Origin": "https://evil.example"}):
            async with at.http.request(method, path, headers=headers) as answer:
                assert (answer.status, await answer.read()) == (401, b"")
        assert at.is_unchanged()


async def test_a_token_that_is_not_utf_8_is_refused() -> None:
    async with admin_http("token") as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.http.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: bridge\r\nAuthorization: Bearer t\xff\r\n\r\n")
        async with asyncio.timeout(30):
            assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
        writer.close()


@pytest.mark.parametrize(("method", "path"), COMMANDS)
async def test_each_command_takes_a_single_method(method: str, path: str) -> None:
    other = "POST" if method == "GET" else "GET"
    async with admin_http() as at:
        async with at.http.request(other, path) as answer:
            assert answer.status == 405
        assert at.is_unchanged()


# -- compressed bodies --

PATHS = [f"{method} {path}" for method, path in EVERYTHING] + ["POST /nowhere"]


@pytest.mark.parametrize("target", PATHS)
@pytest.mark.parametrize("authorization", ["X-Nothing: x", "Authorization: Bearer wrong"])
async def test_a_strangers_compressed_body_is_401_and_not_inflated(authorization: str, target: str) -> None:
    """The listener took in as many bytes of the body as were sent."""
    async with admin_listener("token") as (world, listener):
        for coding in COMPRESSED:
            answer = await listener.exchange(request(target, authorization, *coding, body=ZEROS))
            assert (answer[:13], coding) == (b"HTTP/1.1 401 ", coding)
        assert {seen.content.total_bytes for seen in listener.answered} == {len(ZEROS)}
        assert not world.memory.paused


@pytest.mark.parametrize("target", PATHS)
@pytest.mark.parametrize(("token", "authorization"), [("token", "Authorization: Bearer token"), ("", "X-Nothing: x")])
async def test_a_compressed_body_of_an_operator_is_415_and_not_inflated(
    token: str, authorization: str, target: str
) -> None:
    async with admin_listener(token) as (world, listener):
        for coding in COMPRESSED:
            answer = await listener.exchange(request(target, authorization, *coding, body=ZEROS))
            assert (answer[:13], coding) == (b"HTTP/1.1 415 ", coding)
        assert {seen.content.total_bytes for seen in listener.answered} == {len(ZEROS)}
        assert len(world.memory.rows) == 1
        assert not world.memory.paused


async def test_a_compressed_body_of_a_web_page_is_403_like_every_request_of_a_page() -> None:
    async with admin_listener("token") as (_, listener):
        lines = ("Authorization: Bearer token", "Origin: https://evil.example", "Content-Encoding: gzip")
        assert (await listener.exchange(request("POST /api/pause", *lines, body=ZEROS))).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("coding", UNCOMPRESSED)
async def test_a_body_declared_as_not_compressed_is_taken(coding: Lines) -> None:
    async with admin_listener("token") as (world, listener):
        answer = await listener.exchange(
            request("POST /api/pause", "Authorization: Bearer token", *coding, body=b"words")
        )
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert world.memory.paused
