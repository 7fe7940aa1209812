"""Agent events during runs: to whom the events go, from which gateways, and lost or hostile sockets."""

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
    async with serving(stand_in(options)) as server, edge(server.url) as client:
        yield server, client


def text_of(events: list[AgentEvent]) -> str:
    """The text in the events; the last events may come after the reply, when the listener has gone."""
    return "".join(event.text for event in events if isinstance(event, TextCame))


async def key_of(options: GatewayOptions, scope: str) -> str:
    """An API key made by the gateway's admin and kept in the gateway's data."""
    headers = {"Authorization": f"Bearer {options.token}"}
    async with serving(stand_in(options)) as server, aiohttp.ClientSession(headers=headers) as http:
        body = {"name": "bridge", "scopes": [scope]}
        async with http.post(server.url + "/v1/api-keys", json=body) as response:
            return str((await response.json())["key"])


async def test_events_of_thoughts_tools_and_text_come_in_order(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        answer = await client.says("research penguins")
    assert [event for event in client.events if not isinstance(event, TextCame)] == [
        Thinking(),
        TextWithdrawn(),
        ToolBegan("web_search", "penguins"),
        ToolEnded("web_search", failed=False),
        TextWithdrawn(),
        ToolBegan("web_fetch", "example.com"),
        ToolEnded("web_fetch", failed=True),
        RunEnded(),
    ]
    last = client.events.index(ToolEnded("web_fetch", failed=True))
    assert answer.text.startswith(text_of(client.events[last:]))


async def test_a_listener_gets_no_events_of_runs_of_another_user(options: GatewayOptions) -> None:
    theirs: list[AgentEvent] = []
    async with standing_in(options) as (_, client):
        asking = client.agent.ask(Question("sales", BOB, "what time is it?"), theirs.append)
        mine, _ = await asyncio.gather(client.says("count to 3"), asking)
    assert text_of(client.events).startswith(count(3, 2))
    assert mine.text.startswith(text_of(client.events))
    assert not [event for event in client.events if not isinstance(event, TextCame)]
    assert ToolBegan("datetime", "") in theirs


async def test_events_of_two_runs_of_the_same_user_reach_their_own_listeners(options: GatewayOptions) -> None:
    """Two runs of a user overlap only after a takeover; each listener still gets the events of the own run."""
    other: list[AgentEvent] = []
    async with standing_in(options) as (_, client):
        asking = asyncio.create_task(
            client.agent.ask(Question("sales", ALICE, "use a tool for 1 second"), other.append),
        )
        await until(lambda: other)
        await client.says("count to 3")
        await asking
    assert count(3).startswith(text_of(client.events))
    assert text_of(client.events).startswith(count(3, 2))
    assert other[:6] == [TextCame(word) for word in ("Let ", "me ", "run ", "that.")] + [
        TextWithdrawn(),
        ToolBegan("exec", ""),
    ]


async def test_no_event_is_passed_on_after_the_answer(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        await client.says("count to 2")
        before = len(client.events)
        await client.plainly("what time is it?")
        assert len(client.events) == before


async def test_events_come_again_after_the_gateway_restarted(options: GatewayOptions) -> None:
    async with standing_in(options) as (server, client):
        await server.stop()
        await until(lambda: not client.observer.live)
        await server.start()
        await until(lambda: client.observer.live)
        await client.says("count to 2")
        assert client.observer.connection == 2
    assert text_of(client.events).startswith(count(2, 1))


async def test_a_socket_reconnected_during_a_run_gets_the_rest_of_its_events() -> None:
    """The event `run.started` was lost; the id in the stream identifies the run."""
    gateway = Scripted(stream=[piece(""), None, piece("one two", "stop"), DONE])
    async with serving(gateway.build) as server, edge(server.url) as client:
        asking = asyncio.create_task(client.says("hello"))
        await until(lambda: gateway.asked)
        for socket in list(gateway.sockets):
            await socket.close()
        await until(lambda: client.observer.connection == 2)
        await gateway.say(event("chunk", run="another", content="zero"))
        await gateway.say(event("chunk", content="one"))
        await until(lambda: client.events)
        gateway.go_on.set()
        assert (await asking).text == "one two"
    assert client.events == [TextCame("one")]


@pytest.mark.parametrize("scope", ["operator.write", "operator.read"])
async def test_a_key_without_admin_rights_gets_no_events_and_the_reason_is_logged_once(
    options: GatewayOptions, scope: str
) -> None:
    key = await key_of(options, scope)
    with capture_logs() as logs:
        async with (
            serving(stand_in(options)) as server,
            edge(server.url, token=key, live=False, refused=0.02) as client,
        ):
            await until(lambda: "role is" in client.observer.state)
            assert client.observer.state.startswith("no: ")
            if scope == "operator.write":
                assert (await client.says("count to 2")).text == count(2)
            await asyncio.sleep(0.1)  # several more tries
    assert client.events == []
    assert [line["event"] for line in logs].count("gateway_events") == 1


async def test_a_key_that_later_gets_admin_rights_gets_events() -> None:
    gateway = Scripted(role="operator")
    async with serving(gateway.build) as server, edge(server.url, live=False, refused=0.02) as client:
        await until(lambda: len(gateway.connects) > 1)
        gateway.role = "owner"
        await until(lambda: client.observer.live)
    assert {connect["user_id"] for connect in gateway.connects} == {""}


async def test_a_wrong_token_is_named_in_the_observers_state(options: GatewayOptions) -> None:
    async with serving(stand_in(options)) as server, edge(server.url, token="wrong", live=False) as client:
        await until(lambda: client.observer.state == "no: the token is not accepted")


async def test_a_gateway_without_websocket_still_answers_questions() -> None:
    async def chat(request: web.Request) -> web.Response:
        assert not (await request.json())["stream"]
        return web.json_response({"choices": [{"message": {"content": "hi"}}]})

    def build() -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        return app

    async with serving(build) as server, edge(server.url, live=False) as client:
        await until(lambda: client.observer.state == "no: WebSocket: handshake")
        assert await client.says("hello") == Answer("hi")
    assert client.events == []


async def test_the_observers_state_names_a_gateway_that_is_down() -> None:
    server = Serving(Scripted().build)
    await server.start()
    await server.stop()
    async with edge(server.url, live=False) as client:
        await until(lambda: client.observer.state == "no: ClientConnectorError")


async def test_no_socket_is_opened_before_questions_may_be_asked() -> None:
    gateway = Scripted()
    allowed: list[bool] = []
    async with serving(gateway.build) as server, edge(server.url, admits=lambda: bool(allowed), live=False) as client:
        await until(lambda: "nothing may be asked" in client.observer.state)
        await asyncio.sleep(0.1)
        assert gateway.connects == []
        allowed.append(True)
        await until(lambda: client.observer.live)


async def test_a_gateway_that_drops_each_socket_is_tried_with_growing_pauses() -> None:
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

    async with serving(build) as server, edge(server.url, live=False, longest=60.0) as client:
        await until(lambda: len(opened) == 6)
        assert client.observer.state == "no: WebSocket: closed"
    # pauses of 0.01, 0.02, … 0.16 s, of which at least a half is waited
    assert opened[-1] - opened[0] > 0.15


async def test_hostile_frames_are_ignored_and_the_next_event_is_passed_on() -> None:
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
    async with serving(gateway.build) as server, edge(server.url) as client:
        asking = asyncio.create_task(client.says("hello"))
        await until(lambda: client.events)
        assert client.events == [TextCame("heard")]
        assert client.observer.connection == 1
        asking.cancel()
        await asyncio.wait({asking})


async def test_a_failing_listener_gets_no_more_events_and_disturbs_no_run(options: GatewayOptions) -> None:
    calls = []

    def fails(event: AgentEvent) -> None:
        calls.append(event)
        raise ValueError("a fault of the display")

    async with standing_in(options) as (_, client):
        asking = client.agent.ask(Question("sales", BOB, "count to 2"), fails)
        answers = await asyncio.gather(asking, client.says("count to 2"))
        assert client.observer.live
    assert [answer.text for answer in answers] == [count(2)] * 2
    assert len(calls) == 1
    assert text_of(client.events).startswith(count(2, 1))


async def test_waiting_for_a_runs_ending_stops_at_the_time_limit() -> None:
    gateway = Scripted()
    async with serving(gateway.build) as server, edge(server.url) as client:
        with client.observer.listening("sales", ALICE, client.events.append) as listening:
            assert await listening.ending(0.01) is None
            waiting = asyncio.create_task(listening.ending(10.0))
            for frame in (event("run.started"), event("chunk", content="a"), event("run.failed", error="acct-42")):
                await gateway.say(frame)
            assert await waiting == "failed"
            assert await listening.ending(0.0) == "failed"
    assert client.events == [TextCame("a"), RunEnded()]
