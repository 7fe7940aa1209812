"""The gateway's memory is learnt from the first answers, without a model call or a delay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from support.servers import stop_server

from bridge.core.errors import ProviderFailed
from bridge.core.ports.agent import AgentEvent, Answer, Question
from bridge.gateway.chat import GatewayAgent
from bridge.gateway.memory import MemoryCheckingAgent
from bridge.gateway.sessions import GatewaySessions
from bridge.simulator.gateway.app import GatewayOptions, build_app
from bridge.tasks import Tasks

ALICE = "1f0c0f3e-0000-4000-8000-000000000001"
HELLO = Question("sales", ALICE, "hello")


@dataclass
class Edge:
    agent: MemoryCheckingAgent
    tasks: Tasks

    async def learns(self) -> str:
        """Ask once, wait for the check, and return its verdict."""
        assert (await self.agent.ask(HELLO)).text
        await self.tasks.finish(10)
        return self.agent.memory.verdict


@asynccontextmanager
async def edge(options: GatewayOptions, *, token: str = "", pause: float = 300.0) -> AsyncIterator[Edge]:
    runner = web.AppRunner(build_app(options), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url, tasks = f"http://127.0.0.1:{runner.addresses[0][1]}", Tasks()
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(20):
            sessions = GatewaySessions(http=http, base_url=url, token=token or options.token)
            agent = GatewayAgent(
                http=http, base_url=url, token=options.token, refusal=lambda: None, sessions=sessions, connect=5.0
            )
            yield Edge(MemoryCheckingAgent(agent, sessions=sessions, tasks=tasks, pause=pause), tasks)
            await tasks.cancel()
    finally:
        await stop_server(runner)


@pytest.fixture
def options(tmp_path: Path) -> GatewayOptions:
    return GatewayOptions(token="t0ken", agent="sales", data=tmp_path)


@pytest.mark.parametrize(("persistent", "verdict"), [(True, "ok"), (False, "failed")])
async def test_the_first_answer_shows_whether_the_gateway_remembers(
    options: GatewayOptions, persistent: bool, verdict: str
) -> None:
    async with edge(replace(options, persistent=persistent)) as client:
        assert client.agent.memory.verdict == "not_checked"
        assert await client.learns() == verdict


async def test_a_memory_check_without_a_result_is_repeated_later(options: GatewayOptions) -> None:
    async with edge(options, token="wrong", pause=0.05) as client:
        assert await client.learns() == "not_checked"
        first = client.agent.memory
        await asyncio.sleep(0.1)
        assert await client.learns() == "not_checked"
        assert first is not client.agent.memory


async def test_the_gateways_memory_is_not_checked_at_each_answer(options: GatewayOptions) -> None:
    async with edge(options, token="wrong") as client:
        await client.learns()
        first = client.agent.memory
        await client.learns()
        assert first is client.agent.memory


class _Failing:
    async def ask(self, question: Question, on_event: Callable[[AgentEvent], None] | None = None) -> Answer:
        raise ProviderFailed(f"{question.text} {on_event}")

    async def delete_session(self, agent: str, user: str) -> None:
        raise ProviderFailed(agent + user)


async def test_a_failed_run_raises_its_failure_and_shows_no_memory(options: GatewayOptions) -> None:
    async with aiohttp.ClientSession() as http:
        sessions, tasks = GatewaySessions(http=http, base_url="http://127.0.0.1:9", token=options.token), Tasks()
        agent = MemoryCheckingAgent(_Failing(), sessions=sessions, tasks=tasks)
        with pytest.raises(ProviderFailed):
            await agent.ask(HELLO)
        with pytest.raises(ProviderFailed):
            await agent.delete_session("sales", ALICE)
        assert await tasks.finish(0) == 0
        assert agent.memory.verdict == "not_checked"
