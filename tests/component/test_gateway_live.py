"""Streamed runs, whose text comes piece by piece: answer and failures equal the plain run's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
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

from bridge.core.errors import (
    AgentUnknown,
    AnswerEmpty,
    AnswerUnreadable,
    GatewayBusy,
    GatewayForbidden,
    GatewayTokenRejected,
    GatewayUnavailable,
    ProviderFailed,
    QuestionRejected,
    QuestionTooLong,
    RunLost,
    TurnFailure,
)
from bridge.core.ports.agent import AgentEvent, Answer, Question, RunEnded, TextCame
from bridge.gateway.chat import MAX_ANSWER_BYTES
from bridge.simulator.gateway.app import GatewayOptions

FAILED = "Error: iter 0 think: llm call: HTTP 500: openai: {acct-42}"
HONEST = "Error: is how this answer begins, and yet all went well."


@pytest.fixture
def options(tmp_path: Path) -> GatewayOptions:
    return GatewayOptions(data=tmp_path, token=TOKEN, agent="sales")


@asynccontextmanager
async def standing_in(options: GatewayOptions) -> AsyncIterator[tuple[Serving, Edge]]:
    async with serving(stand_in(options)) as server, edge(server.url) as client:
        yield server, client


@asynccontextmanager
async def scripted(gateway: Scripted, *, verdict: float = 0.05, live_text: bool = True) -> AsyncIterator[Edge]:
    async with serving(gateway.build) as server, edge(server.url, verdict=verdict, live_text=live_text) as client:
        yield client


async def failure_from(gateway: Scripted) -> TurnFailure:
    async with scripted(gateway) as client:
        with pytest.raises(TurnFailure) as caught:
            await client.says("hello")
    assert "acct-42" not in str(caught.value)
    assert len(gateway.asked) == 1
    return caught.value


@pytest.mark.parametrize(
    "text", ["count to 2", "show me markdown", "what can you do?", "stay silent", "speak of an error", "<b>&\u2028x"]
)
async def test_a_streamed_answer_equals_the_plain_answer(options: GatewayOptions, text: str) -> None:
    async with standing_in(options) as (_, client):
        streamed = await client.says(text)
        assert streamed == await client.plainly(text, BOB)
        assert streamed.text.startswith("".join(client.pieces)) or streamed.silent


async def test_text_comes_piece_by_piece_before_the_answer(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        asking = asyncio.create_task(client.says("count to 4"))
        await until(lambda: "".join(client.pieces).startswith(count(4, 1)))
        assert len(client.pieces) > 1
        assert not asking.done()
        assert (await asking).text == count(4)


async def test_a_long_streamed_answer_is_complete(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        assert await client.says("write a long answer") == await client.plainly("write a long answer", BOB)


async def test_a_model_that_said_nothing_is_an_empty_answer(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        with pytest.raises(AnswerEmpty):
            await client.says("say nothing")


async def test_streamed_and_plain_runs_share_a_session(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        await client.says("I'm Zoe")
        assert "Zoe" in (await client.plainly("What's my name?")).text


async def test_a_provider_failure_differs_from_an_answer_that_begins_with_error(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        with pytest.raises(ProviderFailed) as caught:
            await client.says("let the provider fail with 401")
        assert "acct" not in str(caught.value)
        assert (await client.says("speak of an error")).text == HONEST


async def test_the_statuses_of_a_streamed_question_keep_their_meaning(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        with pytest.raises(AgentUnknown):
            await client.agent.ask(Question("ghost", ALICE, "hi"), client.events.append)
        with pytest.raises(QuestionTooLong):
            await client.says("x" * 32_001)
        with pytest.raises(QuestionRejected):
            await client.says("hi", user="system")


async def test_the_rate_limit_refuses_a_streamed_question_before_it_runs(options: GatewayOptions) -> None:
    async with standing_in(replace(options, rate_limit_rpm=1)) as (_, client):
        for n in range(5):
            await client.says("I'm Zoe", user=f"u{n}")
        with pytest.raises(GatewayBusy):
            await client.says("I'm Zoe")


@pytest.mark.parametrize(
    ("status", "leaf"),
    [(401, GatewayTokenRejected), (403, GatewayForbidden), (500, ProviderFailed), (502, GatewayUnavailable)],
)
async def test_a_refused_stream_raises_the_failure_of_its_status(status: int, leaf: type[TurnFailure]) -> None:
    assert type(await failure_from(Scripted(status=status))) is leaf


async def test_a_gateway_that_stops_during_a_streamed_run_loses_the_run(options: GatewayOptions) -> None:
    async with standing_in(options) as (server, client):
        asking = asyncio.create_task(client.says("count to 100"))
        await until(lambda: client.events)
        await server.stop()
        with pytest.raises(RunLost):
            await asking


@pytest.mark.parametrize(
    "stream", [[], [piece("")], [piece(""), piece("hi", "stop")], [piece("hi", "stop"), DONE[:-1]]]
)
async def test_a_stream_without_done_is_a_lost_run(stream: list[bytes]) -> None:
    assert type(await failure_from(Scripted(stream=stream))) is RunLost


@pytest.mark.parametrize(
    "stream",
    [
        [b"data: {acct-42\n\n", DONE],
        [b'data: {"error":"acct-42"}\n\n', DONE],
        [DONE],
        [piece("hi"), DONE],
        [b"data: " + b"x" * (MAX_ANSWER_BYTES + 1)],
    ],
)
async def test_a_stream_of_foreign_events_is_unreadable(stream: list[bytes]) -> None:
    assert type(await failure_from(Scripted(stream=stream))) is AnswerUnreadable


async def test_a_plain_reply_to_a_streamed_request_is_read_as_a_plain_reply() -> None:
    async with scripted(Scripted(type="application/json")) as client:
        assert await client.says("hello") == Answer("plainly")


@pytest.mark.parametrize("after", [[], [b"and more\n\n"], [None]], ids=["the end", "more", "silence"])
async def test_bytes_behind_done_are_ignored(after: list[bytes | None]) -> None:
    gateway = Scripted(stream=[piece(""), piece("hi", "stop"), DONE, *after])
    async with scripted(gateway) as client:
        assert [await client.says("hello") for _ in range(2)] == [Answer("hi")] * 2
        one_connection = len(set(gateway.peers)) == 1
        assert one_connection or after


async def test_a_stream_is_read_wherever_its_bytes_are_cut() -> None:
    whole = piece("") + piece("zwei für Zoë 😀", "stop") + DONE
    async with scripted(Scripted(stream=[whole[at : at + 1] for at in range(len(whole))])) as client:
        assert await client.says("hello") == Answer("zwei für Zoë 😀")


@pytest.mark.parametrize(
    ("frames", "text", "failed"),
    [
        ([], FAILED, True),
        ([], HONEST, False),
        ([event("run.started"), event("run.failed", error="acct-42")], "Error: acct-42", True),
        ([event("run.started"), event("run.failed", error="acct-42")], FAILED, True),
        ([event("run.started"), event("run.completed", content="")], FAILED, False),
        ([event("run.started"), event("run.cancelled")], FAILED, True),
        ([event("run.started", run="c0ffee00"), event("run.failed", run="c0ffee00")], HONEST, False),
        ([event("run.started", user=BOB), event("run.failed", user=BOB)], HONEST, False),
        ([event("run.started"), event("run.failed", error="x")], "No Error: this", False),
    ],
)
async def test_a_failed_run_is_known_by_its_last_event_or_else_by_the_wording(
    frames: list[str | bytes], text: str, failed: bool
) -> None:
    gateway = Scripted(frames_of_a_run=frames, stream=[piece(""), piece(text, "stop"), DONE])
    async with scripted(gateway, verdict=2.0) as client:
        if failed:
            with pytest.raises(ProviderFailed) as caught:
                await client.says("hello")
            assert "acct-42" not in str(caught.value)
        else:
            assert await client.says("hello") == Answer(text)


async def test_the_last_event_of_a_failed_run_may_come_after_the_reply() -> None:
    gateway = Scripted(stream=[piece(""), piece(FAILED, "stop"), DONE])
    async with scripted(gateway, verdict=10.0) as client:
        asking = asyncio.create_task(client.says("hello"))
        await until(lambda: gateway.asked)
        await gateway.say(event("run.started"))
        await gateway.say(event("run.completed", content=FAILED))
        assert await asking == Answer(FAILED)


async def test_after_cancelling_a_stream_only_the_runs_end_is_passed_on() -> None:
    gateway = Scripted(stream=[piece(""), None], frames_of_a_run=[event("run.started"), event("chunk", content="a")])
    async with scripted(gateway) as client:
        asking = asyncio.create_task(client.says("hello"))
        await until(lambda: client.events)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: gateway.cancelled == 1)
        await gateway.say(event("chunk", content="b"))
        await gateway.say(event("run.cancelled"))
        last: list[AgentEvent] = []
        with client.observer.listening("sales", BOB, last.append):
            await gateway.say(event("run.started", user=BOB))
            await gateway.say(event("chunk", user=BOB, content="c"))
            await until(lambda: last)
    assert client.events == [TextCame("a"), RunEnded()]


async def test_cancelling_a_streamed_run_cancels_the_run_in_the_gateway(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client), asyncio.timeout(10):
        with client.observer.listening("sales", ALICE, client.events.append) as listening:
            asking = asyncio.create_task(client.says("count to 100"))
            await until(lambda: client.events)
            asking.cancel()
            assert await listening.ending(5.0) == "cancelled"


async def test_runs_without_a_listener_or_with_live_text_off_are_not_streamed() -> None:
    gateway = Scripted()
    async with scripted(gateway) as client:
        assert await client.plainly("hello") == Answer("plainly")
        assert await client.says("hello") == Answer("hi")
    async with scripted(gateway, live_text=False) as client:
        assert await client.says("hello") == Answer("plainly")
    assert [asked["stream"] for asked in gateway.asked] == [False, True, False]


async def test_raw_pieces_of_an_older_gateway_are_cleaned_and_later_runs_not_streamed() -> None:
    old = [piece(""), piece("<think>sec"), piece("ret</think>one "), piece("two"), piece("", "stop"), DONE]
    gateway = Scripted(stream=old)
    async with scripted(gateway) as client:
        assert await client.says("hello") == Answer("one two")
        assert await client.says("hello") == Answer("plainly")
        for socket in list(gateway.sockets):
            await socket.close()
        await until(lambda: client.observer.connection == 2)
        assert await client.says("hello") == Answer("one two")  # the new connection may lead to a different gateway


async def test_a_failure_behind_raw_pieces_of_an_older_gateway_is_a_failure() -> None:
    stream = [piece(""), piece("some "), piece("text"), piece(FAILED, "stop"), DONE]
    assert type(await failure_from(Scripted(stream=stream))) is ProviderFailed


async def test_many_streams_at_once_each_get_their_own_answer(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, client):
        answers = await asyncio.gather(*(client.says(f"I'm Zoe{n}", user=f"u{n}") for n in range(30)))
    assert all(f"Hello Zoe{n}." in answer.text for n, answer in enumerate(answers))


async def test_a_runs_files_may_come_after_the_answer() -> None:
    media = [{"path": "/v1/files/workspace/a.txt?ft=" + "A" * 43 + ".1800000000"}]
    gateway = Scripted(frames_of_a_run=[event("run.started"), event("tool.call", name="write")])
    async with scripted(gateway, verdict=5.0) as client:
        asking = asyncio.ensure_future(client.says("q"))
        await until(lambda: len(client.events) == 1)
        await gateway.say(event("run.completed", media=media))
        assert [file.name for file in (await asking).files] == ["a.txt"]


async def test_a_run_without_tools_is_not_delayed_by_waiting_for_files() -> None:
    gateway = Scripted(frames_of_a_run=[event("run.started")])
    async with scripted(gateway, verdict=600.0) as client:
        assert (await client.says("q")).files == ()


async def test_an_answer_without_its_last_event_has_no_files() -> None:
    gateway = Scripted(frames_of_a_run=[event("run.started"), event("tool.call", name="write")])
    async with scripted(gateway, verdict=0.05) as client:
        assert await client.says("q") == Answer("hi")
