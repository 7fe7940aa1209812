"""A real model behind the stand-in, played by a local OpenAI-compatible server: tries, cleaning, error forms."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.servers import stop_server

from bridge.simulator.gateway.app import GatewayOptions, build_app
from bridge.simulator.gateway.model import Model, ProviderFailure

GATE = web.AppKey("gate", asyncio.Event)


@dataclass(slots=True)
class Provider:
    """Answers with the next of ``replies`` (text, or a refusal's status); the last reply repeats."""

    replies: list[str | int]
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.asked.append(body)
        said = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(said, int):
            return web.Response(status=said, text='{"error": {"message": "no"}}', headers=self.headers)
        if not body.get("stream"):
            usage = {"prompt_tokens": 11, "completion_tokens": 7}
            return web.json_response({"choices": [{"message": {"content": said}}], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in said.split(" "):
            await response.write(b"data: " + json.dumps({"choices": [{"delta": {"content": word}}]}).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "local-1"}, {"id": "local-2"}]})


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await stop_server(runner)


@asynccontextmanager
async def behind(provider: Provider, data: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a stand-in with the given provider behind."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.answer)
    app.router.add_get("/v1/models", provider.models)
    headers = {"Authorization": "Bearer t", "X-GoClaw-User-Id": "alice"}
    async with (
        served(app) as url,
        served(build_app(GatewayOptions("t", "sales", data, llm_url=url))) as gateway,
        aiohttp.ClientSession(gateway, headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as client,
    ):
        yield client


async def chat(client: aiohttp.ClientSession, text: str, *, stream: bool = False) -> tuple[int, bytes]:
    asked = {"model": "goclaw:sales", "stream": stream, "messages": [{"role": "user", "content": text}]}
    async with client.post("/v1/chat/completions", json=asked) as response:
        return response.status, await response.read()


async def test_the_model_gets_the_sessions_history_and_the_first_model_listed(tmp_path: Path) -> None:
    provider = Provider(["one", "two"])
    async with behind(provider, tmp_path) as client:
        await chat(client, "first")
        status, body = await chat(client, "second")
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "two"
    assert json.loads(body)["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    sent = [(entry["role"], entry["content"]) for entry in provider.asked[1]["messages"][1:]]
    assert sent == [("user", "first"), ("assistant", "one"), ("user", "second")]
    assert provider.asked[1]["model"] == "local-1"


async def test_two_failures_are_invisible_to_the_client(tmp_path: Path) -> None:
    provider = Provider([503, 429, "at last"])
    async with behind(provider, tmp_path) as client:
        status, body = await chat(client, "hello")
    assert (status, len(provider.asked)) == (200, 3)
    assert b'"content":"at last"' in body


async def test_three_failures_are_a_500_with_the_providers_raw_words(tmp_path: Path) -> None:
    provider = Provider([500])
    async with behind(provider, tmp_path) as client:
        status, body = await chat(client, "hello")
    assert (status, len(provider.asked)) == (500, 3)
    words = 'iter 0 think: llm call: HTTP 500: openai: {"error": {"message": "no"}}'
    assert body.decode() == '{"error":{"message":"internal error: ' + words + '"}}\n'


@pytest.mark.parametrize("status", [400, 401])
async def test_a_permanent_refusal_is_not_retried(tmp_path: Path, status: int) -> None:
    provider = Provider([status])
    async with behind(provider, tmp_path) as client:
        assert (await chat(client, "hello"))[0] == 500
    assert len(provider.asked) == 1


async def test_hidden_thoughts_and_silence_are_cleaned_but_silence_is_remembered(tmp_path: Path) -> None:
    provider = Provider(["<think>hm</think>Visible", "NO_REPLY", "x"])
    async with behind(provider, tmp_path) as client:
        assert b'"content":"Visible"' in (await chat(client, "a"))[1]
        assert b'"content":""' in (await chat(client, "b"))[1]
        await chat(client, "c")
    assert [entry["content"] for entry in provider.asked[2]["messages"][2::2]] == ["Visible", "NO_REPLY"]


async def test_a_streamed_turn_asks_the_model_for_a_stream(tmp_path: Path) -> None:
    provider = Provider(["one two"])
    async with behind(provider, tmp_path) as client:
        status, body = await chat(client, "hello", stream=True)
    assert status == 200
    assert provider.asked[0]["stream"] is True
    assert b'"content":"onetwo"' in body


async def test_an_answer_that_is_no_chat_completion_is_a_failure() -> None:
    async def odd(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", odd)
    async with served(app) as url, aiohttp.ClientSession() as http:
        with pytest.raises(ProviderFailure, match="not a chat completion"):
            await Model(http, url, "m").complete([], "hi", on_piece=None)


async def test_a_model_that_stays_silent_fails_after_three_patient_tries() -> None:
    asked = []

    async def silent(request: web.Request) -> web.Response:
        asked.append(await request.read())
        await request.app[GATE].wait()
        return web.Response()

    app = web.Application()
    app[GATE] = asyncio.Event()
    app.router.add_post("/v1/chat/completions", silent)
    async with served(app) as url, aiohttp.ClientSession() as http:
        with pytest.raises(ProviderFailure, match="timeout awaiting response headers"):
            await Model(http, url, "m", silence=0.05).complete([], "hi", on_piece=None)
        app[GATE].set()
    assert len(asked) == 3


async def test_a_model_that_is_down_is_a_request_failure() -> None:
    async with served(web.Application()) as url:
        pass
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ProviderFailure, match=r'^openai: request failed: Post "http://127\.0\.0\.1:\d+/v1/chat'):
            await Model(http, url, "m").complete([], "hi", on_piece=None)
