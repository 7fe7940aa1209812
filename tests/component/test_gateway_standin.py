"""The bridge's gateway edge against the stand-in gateway, which shares no code with the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from support.servers import stop_server

from bridge.core.errors import (
    AgentUnknown,
    GatewayBusy,
    GatewayMergesUsers,
    GatewayTokenRejected,
    ProviderFailed,
    TurnFailure,
)
from bridge.core.ports.agent import Answer, Question
from bridge.gateway.chat import GatewayAgent
from bridge.gateway.connection import gateway_connector
from bridge.gateway.probe import GatewayProbe
from bridge.gateway.sessions import GatewaySessions
from bridge.gateway.watch import GatewayWatch
from bridge.simulator.gateway.app import GatewayOptions, build_app

ALICE = "1f0c0f3e-0000-4000-8000-000000000001"
BOB = "1f0c0f3e-0000-4000-8000-000000000002"


@dataclass(frozen=True, slots=True)
class Edge:
    """The whole gateway edge, built as in the app."""

    agent: GatewayAgent
    watch: GatewayWatch
    probe: GatewayProbe
    sessions: GatewaySessions
    http: aiohttp.ClientSession
    url: str

    async def says(self, user: str, text: str) -> str:
        return (await self.agent.ask(Question("sales", user, text))).text


@asynccontextmanager
async def edge(options: GatewayOptions, token: str = "", agent: str = "sales") -> AsyncIterator[Edge]:
    runner = web.AppRunner(build_app(options), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    token = token or options.token
    try:
        async with (
            aiohttp.ClientSession(connector=gateway_connector(), cookie_jar=aiohttp.DummyCookieJar()) as http,
            asyncio.timeout(20),
        ):
            sessions = GatewaySessions(http=http, base_url=url, token=token)
            probe = GatewayProbe(http=http, base_url=url, token=token, agent=agent, sessions=sessions)
            watch = GatewayWatch(probe=probe)
            chat = GatewayAgent(
                http=http,
                base_url=url,
                token=token,
                refusal=watch.refusal,
                sessions=sessions,
            )
            yield Edge(chat, watch, probe, sessions, http, url)
    finally:
        await stop_server(runner)


@pytest.fixture
def options(tmp_path: Path) -> GatewayOptions:
    return GatewayOptions(data=tmp_path, token="t0ken", agent="sales", rate_limit_rpm=0)


async def test_a_user_has_a_session_that_lasts_until_new(options: GatewayOptions) -> None:
    async with edge(options) as client:
        await client.says(ALICE, "I'm Zoe")
        assert "Zoe" in await client.says(ALICE, "What's my name?")
        assert "Zoe" not in await client.says(BOB, "What's my name?")
        await client.says(BOB, "I'm Bob")
        await client.agent.delete_session("sales", ALICE)
        assert "Zoe" not in await client.says(ALICE, "What's my name?")
        assert "Bob" in await client.says(BOB, "What's my name?")


async def test_new_works_before_the_first_question(options: GatewayOptions) -> None:
    async with edge(options) as client:
        await client.agent.delete_session("sales", ALICE)


async def test_new_deletes_with_an_operators_key(options: GatewayOptions) -> None:
    async with edge(options, token=await key_of(options)) as client:
        await client.says(ALICE, "I'm Zoe")
        await client.agent.delete_session("sales", ALICE)
        assert await client.sessions.keys("sales", ALICE) == frozenset()


async def test_silence_failure_and_an_unknown_agent_keep_their_meaning(options: GatewayOptions) -> None:
    async with edge(options) as client:
        assert await client.agent.ask(Question("sales", ALICE, "stay silent")) == Answer("", silent=True)
        with pytest.raises(ProviderFailed) as caught:
            await client.says(ALICE, "let the provider fail")
        assert "acct" not in str(caught.value)
        with pytest.raises(AgentUnknown):
            await client.agent.ask(Question("ghost", ALICE, "hi"))


async def test_a_wrong_token_is_reported_by_runs_and_by_new(options: GatewayOptions) -> None:
    async with edge(options, token="wrong") as client:
        with pytest.raises(GatewayTokenRejected):
            await client.says(ALICE, "hi")
        with pytest.raises(GatewayTokenRejected):
            await client.agent.delete_session("sales", ALICE)


async def test_the_shared_rate_limit_refuses_questions_that_come_too_fast(options: GatewayOptions) -> None:
    async with edge(replace(options, rate_limit_rpm=1)) as client:
        results = await asyncio.gather(*(client.says(f"u{n}", "I'm Zoe") for n in range(8)), return_exceptions=True)
    assert [type(r) for r in results].count(GatewayBusy) == 3
    assert sum(isinstance(r, str) for r in results) == 5


async def test_a_good_gateway_passes_every_check(options: GatewayOptions) -> None:
    async with edge(options) as client:
        assert (await client.watch.check()).ok, client.watch.state
        assert (await client.probe.persistence(client.agent)).verdict == "ok"


async def test_all_cheap_checks_cost_one_slot(options: GatewayOptions) -> None:
    async with edge(replace(options, rate_limit_rpm=1)) as client:
        for _ in range(5):  # the burst
            assert (await client.watch.check()).ok
        with pytest.raises(GatewayBusy):
            await client.says(ALICE, "hi")


async def test_a_forgetful_gateway_is_detected_and_new_leaves_no_session(options: GatewayOptions) -> None:
    async with edge(replace(options, persistent=False)) as client:
        check = await client.probe.persistence(client.agent)
        assert check.verdict == "failed"
        await client.says(ALICE, "I'm Zoe")
        assert len(await client.sessions.keys("sales", ALICE)) == 1
        await client.agent.delete_session("sales", ALICE)
        assert await client.sessions.keys("sales", ALICE) == frozenset()


async def test_a_key_bound_to_an_owner_stops_every_run(options: GatewayOptions) -> None:
    async with edge(options, token=await key_of(options, owner_id="boss")) as client:
        assert client.watch.refusal() is None
        assert (await client.watch.check()).failing == ("user ids honoured",)
        failures: tuple[type[TurnFailure], ...] = (GatewayMergesUsers,)
        with pytest.raises(failures):
            await client.says(ALICE, "hi")


async def test_a_viewers_key_and_a_wrong_agent_are_named(options: GatewayOptions) -> None:
    viewer = await key_of(options, scope="operator.read")
    async with edge(options, token=viewer, agent="ghost") as client:
        assert (await client.watch.check()).failing == ("gateway token accepted", "agent exists")


async def key_of(options: GatewayOptions, scope: str = "operator.write", **more: str) -> str:
    """An API key made by the gateway's admin and kept in the gateway's data."""
    async with edge(options) as client:
        body = {"name": "bridge", "scopes": [scope], **more}
        headers = {"Authorization": f"Bearer {options.token}"}
        async with client.http.post(client.url + "/v1/api-keys", json=body, headers=headers) as response:
            assert response.status == 201
            key: str = (await response.json())["key"]
            return key
