"""Composition root: builds everything from settings, starts and stops it in order. The only module that knows all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import structlog
from aiohttp import web

from bridge import metrics
from bridge.core.access import AccessPolicy
from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.core.identity import GroupSession
from bridge.core.intake import Policy
from bridge.engine.dispatcher import Dispatcher, Limits
from bridge.engine.pipeline import Pipeline
from bridge.engine.reception import Reception
from bridge.gateway.chat import GatewayAgent, Patience
from bridge.gateway.connection import gateway_connector
from bridge.gateway.probe import GatewayProbe
from bridge.gateway.sessions import GatewaySessions
from bridge.gateway.watch import GatewayWatch
from bridge.settings import Settings
from bridge.store.sqlite import SqliteStore
from bridge.tasks import Tasks
from bridge.teams.authentication import Verifier
from bridge.teams.channel import TeamsChannel
from bridge.teams.clouds import Cloud, custom, named
from bridge.teams.credentials import OutboundToken
from bridge.teams.inbound import Inbound
from bridge.teams.roster import TeamsRoster
from bridge.web.admin import admin_app
from bridge.web.public import public_app
from bridge.web.sockets import BACKLOG, bound

_log = structlog.get_logger()

_STORE_RETRY_SECONDS = 5.0
_FIRST_CHECK_SECONDS = 5.0
_LINGERING_SECONDS = 2.0


class _SystemClock:
    now = staticmethod(time.time)


def cloud_of(settings: Settings) -> Cloud:
    """The endpoints of the tenant's Microsoft cloud. Raises ValueError where they do not fit together."""
    if settings.cloud == "custom":
        return custom(settings.openid_url or "", settings.login_url or "", settings.service_hosts)
    return named(settings.cloud, settings.service_hosts)


def policy_of(settings: Settings) -> Policy:
    """What the operator decided about access and sessions."""
    access = AccessPolicy(
        tenants=settings.tenants,
        meetings=settings.meetings,
        people=frozenset(settings.people),
    )
    return Policy(
        access=access,
        agent=settings.agent,
        group=GroupSession(settings.group_session),
        channel=GroupSession("conversation" if settings.channel_session == "thread" else settings.channel_session),
        user_prefix=settings.user_prefix,
        welcome=settings.welcome,
    )


@dataclass(frozen=True, slots=True)
class Edges:
    """The ways to the outside: store, Teams, gateway. `doctor` looks at these alone."""

    store: SqliteStore
    token: OutboundToken
    verifier: Verifier
    channel: TeamsChannel
    probe: GatewayProbe
    watch: GatewayWatch
    agent: GatewayAgent


@dataclass(frozen=True, slots=True)
class Bridge:
    """Everything that lives as long as the process."""

    edges: Edges
    dispatcher: Dispatcher
    inbound: Inbound

    def ready(self) -> bool:
        """Ready to be sent activities: store and signing keys. The gateway's state is reported, not decisive."""
        return self.dispatcher.ready and self.edges.verifier.ready

    def details(self) -> dict[str, Any]:
        """What the admin listener's health page says."""
        edges = self.edges
        refusal = edges.token.refusal
        return {
            "ready": self.ready(),
            "store": "ok" if self.dispatcher.ready else "not open",
            "signing_keys": "ok" if edges.verifier.ready else "not loaded",
            "outbound_token": refusal.detail if refusal else "ok" if edges.token.cached else "not fetched yet",
            "gateway": {check.name: f"{check.verdict}: {check.detail}" for check in edges.watch.state.checks},
        }


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Edges]:
    """The edges, over HTTP clients that live as long as the context. Raises ValueError where endpoints do not fit."""
    # No limit of connections: running turns are bounded by the engine, and a full pool would look like a dead host.
    teams = aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0, ttl_dns_cache=60)
    async with (
        aiohttp.ClientSession(connector=teams, cookie_jar=aiohttp.DummyCookieJar()) as to_teams,
        aiohttp.ClientSession(connector=gateway_connector(), cookie_jar=aiohttp.DummyCookieJar()) as to_gateway,
        httpx.AsyncClient(timeout=10.0) as elsewhere,
    ):
        yield _edges(settings, to_teams, to_gateway, elsewhere)


def _edges(
    settings: Settings, to_teams: aiohttp.ClientSession, to_gateway: aiohttp.ClientSession, elsewhere: httpx.AsyncClient
) -> Edges:
    cloud = cloud_of(settings)
    token = OutboundToken(cloud, settings.app_id, settings.app_password.get_secret_value(), settings.tenant_id)
    base, secret = settings.gateway_url, settings.gateway_token.get_secret_value()
    sessions = GatewaySessions(http=to_gateway, base_url=base, token=secret)
    probe = GatewayProbe(http=to_gateway, base_url=base, token=secret, agent=settings.agent, sessions=sessions)
    watch = GatewayWatch(probe=probe)
    return Edges(
        store=SqliteStore(Path(settings.store)),
        token=token,
        verifier=Verifier(cloud, settings.app_id, settings.tenants, elsewhere),
        channel=TeamsChannel(to_teams, token, cloud, metrics.MAYBE_DOUBLED.inc),
        probe=probe,
        watch=watch,
        agent=GatewayAgent(
            http=to_gateway,
            base_url=base,
            token=secret,
            refusal=watch.refusal,
            look=watch.look,
            sessions=sessions,
            patience=Patience(),
        ),
    )


def _compose(settings: Settings, edges: Edges) -> Bridge:
    clock = _SystemClock()
    tasks = Tasks()
    pipeline = Pipeline(
        store=edges.store,
        agent=edges.agent,
        channel=edges.channel,
        clock=clock,
        tasks=tasks,
        whole_turn=settings.turn_timeout,
        roster=None if settings.guests else TeamsRoster(edges.channel, monotonic=time.monotonic),
        rerun=settings.after_crash == "rerun",
    )
    dispatcher = Dispatcher(
        store=edges.store,
        pipeline=pipeline,
        clock=clock,
        tasks=tasks,
        owner=secrets.token_hex(8),
        limits=Limits(keep_text=settings.keep_text_hours * 3600.0, keep_ids=settings.keep_ids_days * 24 * 3600.0),
    )
    reception = Reception(
        dispatcher=dispatcher,
        policy=policy_of(settings),
        clock=clock,
        gateway_health=lambda: _gateway_health(edges.watch),
    )
    return Bridge(edges, dispatcher, Inbound(edges.verifier, reception.receive))


def _gateway_health(watch: GatewayWatch) -> str:
    """The text key of what users may know; which check failed is for operators."""
    if not watch.state.checks:
        return "gateway_unchecked"
    return "gateway_ill" if watch.state.failing else "gateway_well"


async def serve(settings: Settings) -> None:
    """Run the bridge until SIGTERM or SIGINT. Raises StoreInUse, and OSError where a port is taken."""
    stop, hurry = _signals()
    async with connected(settings) as edges:
        bridge = _compose(settings, edges)
        background = Tasks()
        # before anything is claimed: a process that cannot listen must not begin other people's turns
        with bound((settings.admin_host, settings.admin_port), (settings.host, settings.port)) as sockets:
            try:
                await _start(bridge, settings, background)
                async with _listening(bridge, settings, sockets):
                    await _freeze()
                    _log.info("listening", host=settings.host, port=settings.port)
                    await stop.wait()
                    _log.info("stopping", grace=settings.shutdown_grace)
                    # activities that still arrive are committed and answered until the listener closes
                    await _drain(bridge.dispatcher, settings.shutdown_grace, hurry)
            finally:
                await background.cancel()
                await bridge.edges.store.close()
    _log.info("stopped")


async def _start(bridge: Bridge, settings: Settings, background: Tasks) -> None:
    background.start(bridge.edges.verifier.run(), "signing keys")
    background.start(bridge.edges.token.run(), "outbound token")
    # before the first turn runs: a gateway that merges users must not be asked (guarantee 7)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_CHECK_SECONDS):
            await bridge.edges.watch.check()
    background.start(bridge.edges.watch.run(), "gateway watch")
    if not await _open(bridge):
        _log.error("store_not_open", store=Path(settings.store).name)
        background.start(_open_later(bridge), "store")


async def _open(bridge: Bridge) -> bool:
    try:
        await bridge.edges.store.open()
        await bridge.dispatcher.start()
    except StoreInUse:
        raise
    except StoreUnavailable as error:
        _log.error("store_unavailable", detail=error.detail)
        return False
    return True


async def _open_later(bridge: Bridge) -> None:
    while True:
        await asyncio.sleep(_STORE_RETRY_SECONDS)
        with contextlib.suppress(StoreInUse):  # another process was faster; it may end
            if await _open(bridge):
                _log.info("store_open")
                return


@asynccontextmanager
async def _listening(bridge: Bridge, settings: Settings, sockets: tuple[socket.socket, ...]) -> AsyncIterator[None]:
    # a refused request's body is not waited for long
    public = web.AppRunner(
        public_app(bridge.inbound.post, ready=bridge.ready), access_log=None, lingering_time=_LINGERING_SECONDS
    )
    admin = web.AppRunner(
        admin_app(details=bridge.details, token=settings.admin_token.get_secret_value()), access_log=None
    )
    try:
        for runner, listener in zip((admin, public), sockets, strict=True):
            await runner.setup()
            await web.SockSite(runner, listener, backlog=BACKLOG).start()
        yield
    finally:
        await public.cleanup()
        await admin.cleanup()


async def _drain(dispatcher: Dispatcher, grace: float, hurry: asyncio.Event) -> None:
    tasks = Tasks()
    drain = tasks.start(dispatcher.drain(grace), "drain")
    impatience = tasks.start(hurry.wait(), "second signal")
    await asyncio.wait({drain, impatience}, return_when=asyncio.FIRST_COMPLETED)
    await tasks.cancel()


async def _freeze() -> None:
    """What start-up built lives until the end: the collector need not look at it again, nor look often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first and by the second SIGTERM or SIGINT."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def received() -> None:
        (hurry if stop.is_set() else stop).set()

    def on_signal(callback: Callable[[], object]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, callback)
            except NotImplementedError:  # Windows has no signal handlers in the loop
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))

    on_signal(received)
    return stop, hurry
