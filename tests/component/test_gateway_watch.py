"""The probe's findings about a gateway, the probe's cost, and the watch after failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from support.servers import stop_server

from bridge.core.errors import AnswerEmpty, GatewayMergesUsers, ProviderFailed, SessionNotDeleted, TurnFailure
from bridge.core.ports.agent import AgentEvent, Answer, Question
from bridge.gateway.probe import AGENT, PERSISTS, REACHABLE, TOKEN, USERS, GatewayProbe
from bridge.gateway.sessions import GatewaySessions
from bridge.gateway.watch import GatewayWatch


@dataclass(slots=True)
class Gateway:
    """The part of a gateway that a probe sees; attributes may change while the server runs."""

    token: str = "t0ken"
    owner: str = ""
    down: bool = False
    websocket: bool = True
    chat: web.Response | None = None
    health: tuple[int, str] = (200, '{"status":"ok","protocol":3}')
    agent: tuple[int, str] = (200, "{}")
    keys: Callable[[str], str] = "agent:sales:http:direct:{}".format
    slots: int = 0
    paths: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.raw_path)
        if self.down:
            return web.Response(status=502, text="<h1>bad gateway</h1>", content_type="text/html")
        if request.path == "/health":
            return web.Response(status=self.health[0], text=self.health[1], content_type="application/json")
        if request.path == "/v1/chat/completions":
            return self._chat(request)
        if request.path == "/ws" and self.websocket:
            return await self._socket(request)
        if request.path.startswith("/v1/agents/"):
            return web.Response(status=self.agent[0], text=self.agent[1])
        return web.Response(status=404)

    def _chat(self, request: web.Request) -> web.Response:
        if self.token and request.headers["Authorization"] != f"Bearer {self.token}":
            return web.Response(status=401, text='{"error":{"message":"invalid authentication"}}\n')
        self.slots += 1
        if self.chat is not None:
            return web.Response(status=self.chat.status, body=self.chat.body)
        return web.Response(status=400, text='{"error":{"message":"messages is required"}}\n')

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        user = ""
        async for message in socket:
            frame = message.json()
            payload: dict[str, object] = {}
            if frame["method"] == "connect":
                user = self.owner or frame["params"]["user_id"]
                if self.token and frame["params"]["token"] != self.token:
                    await socket.send_json(
                        {"type": "res", "id": frame["id"], "ok": False, "error": {"code": "UNAUTHORIZED"}}
                    )
                    continue
                payload = {"role": "operator", "user_id": user}
            else:
                payload = {"sessions": [{"key": self.keys(user), "userID": user}]}
            await socket.send_json({"type": "res", "id": frame["id"], "ok": True, "payload": payload})
        return socket


@asynccontextmanager
async def probing(gateway: Gateway, agent: str = "sales") -> AsyncIterator[GatewayProbe]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(15):
            sessions = GatewaySessions(http=http, base_url=url, token="t0ken", step=2.0)
            yield GatewayProbe(http=http, base_url=url, token="t0ken", agent=agent, sessions=sessions, step=2.0)
    finally:
        await stop_server(runner)


async def verdicts(gateway: Gateway) -> dict[str, str]:
    async with probing(gateway) as probe:
        checks = await probe.without_model_call()
    for check in checks:
        assert check.detail
        assert bool(check.fix) == (check.verdict == "failed")
    return {check.name: check.verdict for check in checks}


ALL_WELL = {REACHABLE: "ok", TOKEN: "ok", AGENT: "ok", USERS: "ok"}


async def test_a_good_gateway_passes_every_check_for_one_rate_slot() -> None:
    gateway = Gateway()
    assert await verdicts(gateway) == ALL_WELL
    assert gateway.slots == 1


def answers(status: int, body: str) -> web.Response:
    return web.Response(status=status, text=body)


BUSY = '{"error":{"message":"rate limit exceeded","type":"rate_limit_error"}}\n'
NO_AGENT = '{"error":{"code":"NOT_FOUND","message":"agent not found: sales"}}'


@pytest.mark.parametrize(
    ("gateway", "different"),
    [
        (Gateway(token="other"), {TOKEN: "failed", USERS: "not_checked"}),
        (Gateway(token=""), {USERS: "failed"}),
        (Gateway(owner="boss"), {USERS: "failed"}),
        (Gateway(websocket=False), {USERS: "not_checked"}),
        (Gateway(chat=answers(403, "permission denied")), {TOKEN: "failed"}),
        (Gateway(chat=answers(429, BUSY)), {}),
        (Gateway(chat=answers(429, BUSY), token=""), {USERS: "failed"}),
        (Gateway(chat=answers(429, "slow down")), {TOKEN: "not_checked"}),
        (Gateway(chat=answers(400, "<h1>http to https</h1>")), {TOKEN: "not_checked"}),
        (Gateway(chat=answers(502, "")), {TOKEN: "not_checked"}),
        (Gateway(chat=answers(502, ""), token=""), {TOKEN: "not_checked", USERS: "not_checked"}),
        (Gateway(agent=(404, NO_AGENT)), {AGENT: "failed"}),
        (Gateway(agent=(404, "route not found")), {AGENT: "not_checked"}),
        (Gateway(agent=(403, "no access to this agent")), {AGENT: "not_checked"}),
    ],
)
async def test_each_check_distinguishes_failed_from_not_made(gateway: Gateway, different: dict[str, str]) -> None:
    assert await verdicts(gateway) == ALL_WELL | different


@pytest.mark.parametrize(
    "gateway",
    [Gateway(down=True), Gateway(health=(200, "[]")), Gateway(health=(200, "<h1>hi")), Gateway(health=(503, "{}"))],
)
async def test_a_server_that_is_no_gateway_gets_no_further_checks(gateway: Gateway) -> None:
    rest = dict.fromkeys((TOKEN, AGENT, USERS), "not_checked")
    assert await verdicts(gateway) == {REACHABLE: "failed", **rest}
    assert gateway.paths == ["/health"]


async def test_an_agent_key_cannot_lead_to_another_path() -> None:
    gateway = Gateway()
    async with probing(gateway, agent="../keys?x") as probe:
        await probe.without_model_call()
    assert "/v1/agents/..%2Fkeys%3Fx" in gateway.paths


@dataclass(slots=True)
class Asker:
    """Gives the chosen answer, and records whose sessions were to be deleted."""

    failure: TurnFailure | None = None
    forget_failure: TurnFailure | None = None
    asked: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    async def ask(self, question: Question, on_event: Callable[[AgentEvent], None] | None = None) -> Answer:
        assert on_event is None
        self.asked.append(question.user)
        if self.failure:
            raise self.failure
        return Answer("ready")

    async def delete_session(self, agent: str, user: str) -> None:
        assert agent == "sales"
        self.forgotten.append(user)
        if self.forget_failure:
            raise self.forget_failure


@pytest.mark.parametrize(
    ("gateway", "asker", "verdict"),
    [
        (Gateway(), Asker(), "ok"),
        (Gateway(), Asker(failure=AnswerEmpty()), "ok"),
        (Gateway(keys="agent:sales:http-{}-0123abcd".format), Asker(), "failed"),
        (Gateway(keys="agent:sales:http-{}".format), Asker(), "not_checked"),
        (Gateway(), Asker(forget_failure=SessionNotDeleted()), "ok"),
    ],
)
async def test_persistence_is_learnt_from_one_run_whose_session_is_deleted(
    gateway: Gateway, asker: Asker, verdict: str
) -> None:
    async with probing(gateway) as probe:
        check = await probe.persistence(asker)
    assert (check.name, check.verdict) == (PERSISTS, verdict)
    assert asker.asked == asker.forgotten
    assert ("left" in check.detail) == (asker.forget_failure is not None)


@pytest.mark.parametrize(
    ("gateway", "asker"),
    [(Gateway(), Asker(failure=ProviderFailed("HTTP 500"))), (Gateway(websocket=False), Asker())],
)
async def test_persistence_without_visible_sessions_is_not_checked(gateway: Gateway, asker: Asker) -> None:
    async with probing(gateway) as probe:
        check = await probe.persistence(asker)
    assert check.verdict == "not_checked"


@asynccontextmanager
async def watching(gateway: Gateway, when_well: float = 0.02) -> AsyncIterator[GatewayWatch]:
    async with probing(gateway) as probe:
        watch = GatewayWatch(probe=probe, when_failing=0.02, when_well=when_well, now=lambda: 42.0)
        task = asyncio.create_task(watch.run())
        try:
            yield watch
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_gateway_that_comes_back_is_noticed_by_the_watch() -> None:
    gateway = Gateway(down=True)
    async with watching(gateway, when_well=3600) as watch:
        await until(lambda: watch.state.failing == (REACHABLE,))
        assert not watch.state.ok
        gateway.down = False
        await until(lambda: watch.state.ok)
        assert watch.state.checked_at == 42.0


@pytest.mark.parametrize(
    ("gateway", "pause"),
    [(Gateway(), 300.0), (Gateway(websocket=False), 60.0), (Gateway(owner="boss"), 15.0), (Gateway(down=True), 15.0)],
)
async def test_failed_checks_are_repeated_soon_and_unknown_checks_less_soon(gateway: Gateway, pause: float) -> None:
    """A check that can never be made must not use up the users' rate limit."""
    async with probing(gateway) as probe:
        watch = GatewayWatch(probe=probe)
        await watch.check()
        assert watch.pause == pause


@pytest.mark.parametrize("fault", ["owner", "token"])
async def test_a_gateway_that_merges_users_is_refused_until_a_probing_shows_separate_users(fault: str) -> None:
    gateway = Gateway()
    async with watching(gateway) as watch:
        await until(lambda: watch.state.ok)
        assert watch.refusal() is None
        setattr(gateway, fault, "boss" if fault == "owner" else "")
        await until(lambda: isinstance(watch.refusal(), GatewayMergesUsers))
        gateway.down = True
        await until(lambda: REACHABLE in watch.state.failing)
        assert isinstance(watch.refusal(), GatewayMergesUsers)
        setattr(gateway, fault, "" if fault == "owner" else "t0ken")
        gateway.down = False
        await until(lambda: watch.state.ok)
        assert watch.refusal() is None


async def test_a_single_check_before_the_first_turn_is_enough_to_refuse() -> None:
    async with probing(Gateway(owner="boss")) as probe:
        watch = GatewayWatch(probe=probe)
        assert watch.refusal() is None
        await watch.check()
        assert isinstance(watch.refusal(), GatewayMergesUsers)
        assert watch.refusal() is not watch.refusal()


async def test_a_gateway_never_reached_is_probed_before_the_first_question() -> None:
    """The gateway may have started just now, and without a token (docs/architecture.md, "Guarantees")."""
    gateway = Gateway(token="", down=True)
    async with probing(gateway) as probe:
        watch = GatewayWatch(probe=probe)
        await watch.check()
        assert watch.refusal() is None
        gateway.down = False

        await asyncio.gather(*(watch.ensure_probed() for _ in range(20)))

        assert isinstance(watch.refusal(), GatewayMergesUsers)
        before = gateway.slots
        await watch.ensure_probed()
        assert gateway.slots == before
