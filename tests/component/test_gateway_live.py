"""Runs that are streamed, so that their text can be heard: the answer and every failure stay those of a plain run."""

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
    async with serving(stand_in(options)) as server, edge(server.url) as it:
        yield server, it


@asynccontextmanager
async def scripted(gateway: Scripted, *, verdict: float = 0.05, live_text: bool = True) -> AsyncIterator[Edge]:
    async with serving(gateway.build) as server, edge(server.url, verdict=verdict, live_text=live_text) as it:
        yield it


async def failure_from(gateway: Scripted) -> TurnFailure:
    async with scripted(gateway) as it:
        with pytest.raises(TurnFailure) as caught:
            await it.says("hello")
    assert "acct-42" not in str(caught.value)
    assert len(gateway.asked) == 1
    return caught.value


@pytest.mark.parametrize(
    "text", ["count to 2", "show me markdown", "what can you do?", "stay silent", "speak of an error", "<b>&\u2028x"]
)
async def test_a_streamed_answer_is_the_plain_one(options: GatewayOptions, text: str) -> None:
    async with standing_in(options) as (_, it):
        streamed = await it.says(text)
        assert streamed == await it.plainly(text, BOB)
        assert streamed.text.startswith("".join(it.pieces)) or streamed.silent


async def test_text_is_heard_piece_by_piece_before_the_answer_is_there(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        asking = asyncio.create_task(it.says("count to 4"))
        await until(lambda: "".join(it.pieces).startswith(count(4, 1)))
        assert len(it.pieces) > 1
        assert not asking.done()
        assert (await asking).text == count(4)


async def test_a_long_answer_comes_whole(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        assert await it.says("write a long answer") == await it.plainly("write a long answer", BOB)


async def test_a_model_that_said_nothing_is_an_empty_answer(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        with pytest.raises(AnswerEmpty):
            await it.says("say nothing")


async def test_streamed_and_plain_runs_share_a_session(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        await it.says("I'm Zoe")
        assert "Zoe" in (await it.plainly("What's my name?")).text


async def test_a_failing_provider_is_told_from_an_answer_that_speaks_of_an_error(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        with pytest.raises(ProviderFailed) as caught:
            await it.says("let the provider fail with 401")
        assert "acct" not in str(caught.value)
        assert (await it.says("speak of an error")).text == HONEST


async def test_the_statuses_of_a_streamed_question_keep_their_meaning(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        with pytest.raises(AgentUnknown):
            await it.agent.ask(Question("ghost", ALICE, "hi"), it.heard.append)
        with pytest.raises(QuestionTooLong):
            await it.says("x" * 32_001)
        with pytest.raises(QuestionRejected):
            await it.says("hi", user="system")


async def test_the_rate_limit_refuses_a_streamed_question_before_it_runs(options: GatewayOptions) -> None:
    async with standing_in(replace(options, rate_limit_rpm=1)) as (_, it):
        for n in range(5):
            await it.says("I'm Zoe", user=f"u{n}")
        with pytest.raises(GatewayBusy):
            await it.says("I'm Zoe")


@pytest.mark.parametrize(
    ("status", "leaf"),
    [(401, GatewayTokenRejected), (403, GatewayForbidden), (500, ProviderFailed), (502, GatewayUnavailable)],
)
async def test_a_status_is_a_status(status: int, leaf: type[TurnFailure]) -> None:
    assert type(await failure_from(Scripted(status=status))) is leaf


async def test_a_gateway_that_stops_within_a_run_has_lost_it(options: GatewayOptions) -> None:
    async with standing_in(options) as (server, it):
        asking = asyncio.create_task(it.says("count to 100"))
        await until(lambda: it.heard)
        await server.stop()
        with pytest.raises(RunLost):
            await asking


@pytest.mark.parametrize(
    "stream", [[], [piece("")], [piece(""), piece("hi", "stop")], [piece("hi", "stop"), DONE[:-1]]]
)
async def test_a_stream_without_its_last_word_is_a_lost_run(stream: list[bytes]) -> None:
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
async def test_a_stream_of_something_else_is_unreadable(stream: list[bytes]) -> None:
    assert type(await failure_from(Scripted(stream=stream))) is AnswerUnreadable


async def test_a_stream_that_came_as_a_plain_reply_is_read_as_one() -> None:
    async with scripted(Scripted(type="application/json")) as it:
        assert await it.says("hello") == Answer("plainly")


@pytest.mark.parametrize("after", [[], [b"and more\n\n"], [None]], ids=["the end", "more", "silence"])
async def test_what_comes_after_the_last_word_does_not_matter(after: list[bytes | None]) -> None:
    gateway = Scripted(stream=[piece(""), piece("hi", "stop"), DONE, *after])
    async with scripted(gateway) as it:
        assert [await it.says("hello") for _ in range(2)] == [Answer("hi")] * 2
        one_connection = len(set(gateway.peers)) == 1
        assert one_connection or after


async def test_a_stream_is_read_however_it_is_cut() -> None:
    whole = piece("") + piece("zwei für Zoë 😀", "stop") + DONE
    async with scripted(Scripted(stream=[whole[at : at + 1] for at in range(len(whole))])) as it:
        assert await it.says("hello") == Answer("zwei für Zoë 😀")


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
async def test_an_error_is_one_by_the_runs_own_last_event_or_else_by_its_wording(
    frames: list[str | bytes], text: str, failed: bool
) -> None:
    gateway = Scripted(frames_of_a_run=frames, stream=[piece(""), piece(text, "stop"), DONE])
    async with scripted(gateway, verdict=0.5) as it:
        if failed:
            with pytest.raises(ProviderFailed) as caught:
                await it.says("hello")
            assert "acct-42" not in str(caught.value)
        else:
            assert await it.says("hello") == Answer(text)


async def test_the_verdict_on_an_error_may_come_a_little_later() -> None:
    gateway = Scripted(stream=[piece(""), piece(FAILED, "stop"), DONE])
    async with scripted(gateway, verdict=10.0) as it:
        asking = asyncio.create_task(it.says("hello"))
        await until(lambda: gateway.asked)
        await gateway.say(event("run.started"))
        await gateway.say(event("run.completed", content=FAILED))
        assert await asking == Answer(FAILED)


async def test_cancelling_closes_the_stream_and_only_the_runs_end_is_heard_any_more() -> None:
    gateway = Scripted(stream=[piece(""), None], frames_of_a_run=[event("run.started"), event("chunk", content="a")])
    async with scripted(gateway) as it:
        asking = asyncio.create_task(it.says("hello"))
        await until(lambda: it.heard)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: gateway.cancelled == 1)
        await gateway.say(event("chunk", content="b"))
        await gateway.say(event("run.cancelled"))
        last: list[AgentEvent] = []
        with it.observer.listening("sales", BOB, last.append):
            await gateway.say(event("run.started", user=BOB))
            await gateway.say(event("chunk", user=BOB, content="c"))
            await until(lambda: last)
    assert it.heard == [TextCame("a"), RunEnded()]


async def test_cancelling_is_seen_by_the_gateway_as_a_cancelled_run(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it), asyncio.timeout(10):
        with it.observer.listening("sales", ALICE, it.heard.append) as listening:
            asking = asyncio.create_task(it.says("count to 100"))
            await until(lambda: it.heard)
            asking.cancel()
            assert await listening.ending(5.0) == "cancelled"


async def test_nothing_is_streamed_where_nobody_looks_on_or_the_switch_is_off() -> None:
    gateway = Scripted()
    async with scripted(gateway) as it:
        assert await it.plainly("hello") == Answer("plainly")
        assert await it.says("hello") == Answer("hi")
    async with scripted(gateway, live_text=False) as it:
        assert await it.says("hello") == Answer("plainly")
    assert [asked["stream"] for asked in gateway.asked] == [False, True, False]


async def test_raw_pieces_of_an_older_gateway_are_cleaned_and_not_asked_for_again() -> None:
    old = [piece(""), piece("<think>sec"), piece("ret</think>one "), piece("two"), piece("", "stop"), DONE]
    gateway = Scripted(stream=old)
    async with scripted(gateway) as it:
        assert await it.says("hello") == Answer("one two")
        assert await it.says("hello") == Answer("plainly")
        for socket in list(gateway.sockets):
            await socket.close()
        await until(lambda: it.observer.connection == 2)
        assert await it.says("hello") == Answer("one two")  # another gateway may stand there now


async def test_an_older_gateways_failure_after_some_text_is_a_failure() -> None:
    stream = [piece(""), piece("some "), piece("text"), piece(FAILED, "stop"), DONE]
    assert type(await failure_from(Scripted(stream=stream))) is ProviderFailed


async def test_many_streams_at_once_each_get_their_own(options: GatewayOptions) -> None:
    async with standing_in(options) as (_, it):
        answers = await asyncio.gather(*(it.says(f"I'm Zoe{n}", user=f"u{n}") for n in range(30)))
    assert all(f"Hello Zoe{n}." in answer.text for n, answer in enumerate(answers))


async def test_a_runs_files_may_be_told_a_little_later_than_its_answer() -> None:
    media = [{"path": "/v1/files/workspace/a.txt?ft=" + "A" * 43 + ".1800000000"}]
    gateway = Scripted(frames_of_a_run=[event("run.started"), event("tool.call", name="write")])
    async with scripted(gateway, verdict=5.0) as it:
        asking = asyncio.ensure_future(it.says("q"))
        await until(lambda: len(it.heard) == 1)
        await gateway.say(event("run.completed", media=media))
        assert [file.name for file in (await asking).files] == ["a.txt"]


async def test_nobody_waits_for_files_where_no_tool_was_at_work() -> None:
    gateway = Scripted(frames_of_a_run=[event("run.started")])
    async with scripted(gateway, verdict=600.0) as it:
        assert (await it.says("q")).files == ()


async def test_an_answer_whose_files_are_not_told_is_one_without() -> None:
    gateway = Scripted(frames_of_a_run=[event("run.started"), event("tool.call", name="write")])
    async with scripted(gateway, verdict=0.05) as it:
        assert await it.says("q") == Answer("hi")
