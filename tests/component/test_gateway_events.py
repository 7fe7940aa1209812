"""What is heard of runs while they work: whose, from which gateways, and what becomes of a lost or hostile socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from support.gateway_world import (
    ALICE,
    BOB,
    DONE,
    TOKEN,
    Edge,
    Scripted,
    Serving,
    count,
    edge,
    event,
    piece,
    serving,
    stand_in,
    until,
)

from bridge.core.ports.agent import (
    AgentEvent,
    Answer,
    Question,
    RunEnded,
    TextCame,
    TextWithdrawn,
    Thinking,
    ToolBegan,
    ToolEnded,
)
from bridge.simulator.gateway.app import GatewayOptions


@pytest.fixture
def options(tmp_path: Path) -> GatewayOptions:
    return GatewayOptions(data=tmp_path, token=TOKEN, agent="sales")


@asynccontextmanager
async def standing_in(options: GatewayOptions) -> AsyncIterator[tuple[Serving, Edge]]:
    async with serving(stand_in(options)) as server, edge(server.url) as it:
        yield server, it


def text_of(heard: list[AgentEvent]) -> str:
    """What was heard of the text; the last events may come after the reply, and then nobody listens any more."""
    return "".join(event.text for event in heard if isinstance(event, TextCame))


async def key_of(options: GatewayOptions, scope: str) -> str:
    """An API key made at the gateway by its admin; kept with its data."""
    headers = {"Authorization": f"Bearer {options.token}"}
    async with serving(stand_in(options)) as server, aiohttp.ClientSession(headers=headers) as http:
        body = {"name": "bridge", "scopes": [scope]}
        async with http.post(server.url + "/v1/api-keys", json=body) as response:
            return str((await response.json())["key"])


async def test_thoughts_tools_and_text_are_told_in_order(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        answer = await it.says("research penguins")
    assert [event for event in it.heard if not isinstance(event, TextCame)] == [
        Thinking(),
        TextWithdrawn(),
        ToolBegan("web_search", "penguins"),
        ToolEnded("web_search", failed=False),
        TextWithdrawn(),
        ToolBegan("web_fetch", "example.com"),
        ToolEnded("web_fetch", failed=True),
        RunEnded(),
    ]
    last = it.heard.index(ToolEnded("web_fetch", failed=True))
    assert answer.text.startswith(text_of(it.heard[last:]))


async def test_nobody_hears_what_the_agent_does_for_others(options: GatewayOptions) -> None:
    theirs: list[AgentEvent] = []
    async with standing_in(options) as (_, it):
        asking = it.agent.ask(Question("sales", BOB, "what time is it?"), theirs.append)
        mine, _ = await asyncio.gather(it.says("count to 3"), asking)
    assert text_of(it.heard).startswith(count(3, 2))
    assert mine.text.startswith(text_of(it.heard))
    assert not [event for event in it.heard if not isinstance(event, TextCame)]
    assert ToolBegan("datetime", "") in theirs


async def test_two_runs_of_one_user_are_told_apart(options: GatewayOptions) -> None:
    """Only a machine that woke up after its turn was taken over makes two at once; each still hears its own."""
    other: list[AgentEvent] = []
    async with standing_in(options) as (_, it):
        asking = asyncio.create_task(
            it.agent.ask(Question("sales", ALICE, "use a tool for 1 second"), other.append),
        )
        await until(lambda: other)
        await it.says("count to 3")
        await asking
    assert count(3).startswith(text_of(it.heard))
    assert text_of(it.heard).startswith(count(3, 2))
    assert other[:6] == [TextCame(word) for word in ("Let ", "me ", "run ", "that.")] + [
        TextWithdrawn(),
        ToolBegan("exec", ""),
    ]


async def test_nothing_is_told_once_the_answer_is_there(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        await it.says("count to 2")
        told = len(it.heard)
        await it.plainly("what time is it?")
        assert len(it.heard) == told


async def test_a_gateway_that_comes_back_is_heard_again(options: GatewayOptions) -> None:
    async with standing_in(options) as (server, it):
        await server.stop()
        await until(lambda: not it.observer.live)
        await server.start()
        await until(lambda: it.observer.live)
        await it.says("count to 2")
        assert it.observer.connection == 2
    assert text_of(it.heard).startswith(count(2, 1))


async def test_a_socket_that_comes_back_within_a_run_hears_the_rest() -> None:
    """The start of the run was lost; the stream's own id tells which it is."""
    gateway = Scripted(stream=[piece(""), None, piece("one two", "stop"), DONE])
    async with serving(gateway.build) as server, edge(server.url) as it:
        asking = asyncio.create_task(it.says("hello"))
        await until(lambda: gateway.asked)
        for socket in list(gateway.sockets):
            await socket.close()
        await until(lambda: it.observer.connection == 2)
        await gateway.say(event("chunk", run="another", content="zero"))
        await gateway.say(event("chunk", content="one"))
        await until(lambda: it.heard)
        gateway.go_on.set()
        assert (await asking).text == "one two"
    assert it.heard == [TextCame("one")]


@pytest.mark.parametrize("scope", ["operator.write", "operator.read"])
async def test_a_key_without_admin_rights_hears_nothing_and_says_why_once(options: GatewayOptions, scope: str) -> None:
    key = await key_of(options, scope)
    with capture_logs() as logs:
        async with serving(stand_in(options)) as server, edge(server.url, token=key, live=False, refused=0.02) as it:
            await until(lambda: "role is" in it.observer.state)
            assert it.observer.state.startswith("no: ")
            if scope == "operator.write":
                assert (await it.says("count to 2")).text == count(2)
            await asyncio.sleep(0.1)  # several more tries
    assert it.heard == []
    assert [line["event"] for line in logs].count("gateway_events") == 1


async def test_a_key_that_is_made_an_admins_is_heard_in_time() -> None:
    gateway = Scripted(role="operator")
    async with serving(gateway.build) as server, edge(server.url, live=False, refused=0.02) as it:
        await until(lambda: len(gateway.connects) > 1)
        gateway.role = "owner"
        await until(lambda: it.observer.live)
    assert {connect["user_id"] for connect in gateway.connects} == {""}


async def test_a_wrong_token_is_told_and_tried_rarely(options: GatewayOptions) -> None:
    async with serving(stand_in(options)) as server, edge(server.url, token="wrong", live=False) as it:
        await until(lambda: it.observer.state == "no: the token is not accepted")


async def test_a_gateway_without_events_answers_all_the_same() -> None:
    async def chat(request: web.Request) -> web.Response:
        assert not (await request.json())["stream"]
        return web.json_response({"choices": [{"message": {"content": "hi"}}]})

    def build() -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        return app

    async with serving(build) as server, edge(server.url, live=False) as it:
        await until(lambda: it.observer.state == "no: WebSocket: handshake")
        assert await it.says("hello") == Answer("hi")
    assert it.heard == []


async def test_a_gateway_that_is_down_is_named() -> None:
    server = Serving(Scripted().build)
    await server.start()
    await server.stop()
    async with edge(server.url, live=False) as it:
        await until(lambda: it.observer.state == "no: ClientConnectorError")


async def test_nothing_is_opened_before_the_gateway_may_be_asked() -> None:
    gateway = Scripted()
    allowed: list[bool] = []
    async with serving(gateway.build) as server, edge(server.url, admits=lambda: bool(allowed), live=False) as it:
        await until(lambda: "nothing may be asked" in it.observer.state)
        await asyncio.sleep(0.1)
        assert gateway.connects == []
        allowed.append(True)
        await until(lambda: it.observer.live)


async def test_a_gateway_that_drops_every_socket_is_tried_ever_more_slowly() -> None:
    opened: list[float] = []

    async def drop(request: web.Request) -> web.WebSocketResponse:
        opened.append(time.monotonic())
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    def build() -> web.Application:
        app = web.Application()
        app.router.add_get("/ws", drop)
        return app

    async with serving(build) as server, edge(server.url, live=False, longest=60.0) as it:
        await until(lambda: len(opened) == 6)
        assert it.observer.state == "no: WebSocket: closed"
    # pauses of 0.01, 0.02, … 0.16 s, of which at least a half is waited
    assert opened[-1] - opened[0] > 0.15


async def test_hostile_frames_are_passed_over_and_the_next_event_is_heard() -> None:
    gateway = Scripted(
        frames_of_a_run=[
            "",
            "{",
            "[" * 10_000,
            b"\x00\xff",
            '{"type":"event","event":"agent","payload":{"type":7}}',
            event("run.started"),
            event("chunk", content="x" * 600_000),
            event("chunk", content={"a": 1}),
            event("invented"),
            '{"type":"event","event":"shutdown"}',
            event("chunk", user=BOB, content="not mine"),
            event("chunk", run="another", content="not this run's"),
            event("chunk", content="heard"),
        ],
        stream=[None],
    )
    async with serving(gateway.build) as server, edge(server.url) as it:
        asking = asyncio.create_task(it.says("hello"))
        await until(lambda: it.heard)
        assert it.heard == [TextCame("heard")]
        assert it.observer.connection == 1
        asking.cancel()
        await asyncio.wait({asking})


async def test_a_listener_that_fails_is_heard_no_more_and_harms_nobody(options: GatewayOptions) -> None:
    calls = []

    def fails(told: AgentEvent) -> None:
        calls.append(told)
        raise ValueError("a fault of the display")

    async with standing_in(options) as (_, it):
        asking = it.agent.ask(Question("sales", BOB, "count to 2"), fails)
        answers = await asyncio.gather(asking, it.says("count to 2"))
        assert it.observer.live
    assert [answer.text for answer in answers] == [count(2)] * 2
    assert len(calls) == 1
    assert text_of(it.heard).startswith(count(2, 1))


async def test_an_ending_that_never_comes_is_waited_for_in_vain_and_no_longer() -> None:
    gateway = Scripted()
    async with serving(gateway.build) as server, edge(server.url) as it:
        with it.observer.listening("sales", ALICE, it.heard.append) as listening:
            assert await listening.ending(0.01) is None
            waiting = asyncio.create_task(listening.ending(10.0))
            for frame in (event("run.started"), event("chunk", content="a"), event("run.failed", error="acct-42")):
                await gateway.say(frame)
            assert await waiting == "failed"
            assert await listening.ending(0.0) == "failed"
    assert it.heard == [TextCame("a"), RunEnded()]
