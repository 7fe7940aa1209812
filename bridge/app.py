"""Composition root: builds the bridge from Settings. bridge/server.py starts and stops the bridge."""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.request import getproxies

import aiohttp
import httpx

from bridge import metrics
from bridge.core import texts
from bridge.core.lease import Lease
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Accepted, NewTurn
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.files_in import FilesIn
from bridge.engine.files_out import FilesOut
from bridge.engine.handler import Handler
from bridge.engine.operator import Operator
from bridge.engine.paced_channel import PacedChannel
from bridge.engine.pipeline import Pipeline
from bridge.from_settings import cloud_of, limits_of, links_of, policy_of, switches_of
from bridge.gateway.chat import GatewayAgent
from bridge.gateway.connection import gateway_connector
from bridge.gateway.files import GatewayFiles
from bridge.gateway.memory import MemoryCheckingAgent
from bridge.gateway.observer import GatewayObserver
from bridge.gateway.probe import GatewayProbe
from bridge.gateway.sessions import GatewaySessions
from bridge.gateway.watch import GatewayWatch
from bridge.settings.model import Settings, is_postgres
from bridge.store.sqlite import sqlite_store
from bridge.tasks import Tasks
from bridge.teams.authentication import Verifier
from bridge.teams.channel import TeamsChannel
from bridge.teams.credentials import OutboundToken
from bridge.teams.files import TeamsFiles
from bridge.teams.inbound import Inbound
from bridge.teams.roster import TeamsRoster

_UNCERTAIN_SECONDS = 0.1
# Text keys for the line of `/status` about the gateway's memory, by the verdict of the check.
_MEMORY: Final = {"ok": "memory_kept", "failed": "memory_lost", "not_checked": "memory_unknown"}
EVENTS_OFF = "no: GOCLAW_EVENTS is false"


class _SystemClock:
    now = staticmethod(time.time)


@dataclass(frozen=True, slots=True)
class Edges:
    """The connections to the outside: store, Teams, gateway. `doctor` uses these without a `Bridge`."""

    store: TurnStore
    token: OutboundToken
    verifier: Verifier
    channel: TeamsChannel
    probe: GatewayProbe
    watch: GatewayWatch
    sessions: GatewaySessions
    observer: GatewayObserver | None
    agent: GatewayAgent
    shared_files: TeamsFiles
    agent_files: GatewayFiles

    @property
    def events(self) -> str:
        """Whether the gateway's events arrive, for operators: `yes`, or `no` with the reason."""
        return self.observer.state if self.observer else EVENTS_OFF


@dataclass(frozen=True, slots=True)
class Bridge:
    """The objects that live as long as the process, composed but not started."""

    edges: Edges
    agent: MemoryCheckingAgent
    dispatcher: Dispatcher
    tasks: Tasks
    inbound: Inbound
    operator: Operator
    files_out: FilesOut

    def ready(self) -> bool:
        """Whether Teams may send activities: store open, signing keys loaded. The gateway's state does not decide."""
        return self.dispatcher.ready and self.edges.verifier.ready

    def details(self) -> dict[str, Any]:
        """The JSON object of the admin listener's health page."""
        edges = self.edges
        refusal = edges.token.refusal
        return {
            "ready": self.ready(),
            "store": self.dispatcher.store_state,
            "store_made": made_on(edges.store.made_at),
            "signing_keys": "ok" if edges.verifier.ready else "not loaded",
            "outbound_token": refusal.detail if refusal else "ok" if edges.token.cached else "not fetched yet",
            "gateway": {
                check.name: f"{check.verdict}: {check.detail}"
                for check in (*edges.watch.state.checks, self.agent.memory)
            },
            "events": edges.events,
            "tasks": self.tasks.failing or "ok",
        }


def made_on(at: float | None) -> str:
    """When the store was made, for operators. `at`: seconds since the epoch."""
    return "unknown" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Edges]:
    """The edges, over HTTP clients that are open as long as the context.

    Endpoints that do not fit together are an error. Raises: ValueError.
    """
    # No limit of connections: the engine bounds running turns, and a full pool would look like an unreachable host.
    teams = aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0, ttl_dns_cache=60)
    trust = ssl.create_default_context()  # shared by both httpx clients, as each context holds 3 MB of certificates
    async with (
        # trust_env: the company's proxy. aiohttp looks the proxy up in a thread for each request, so only if set.
        aiohttp.ClientSession(
            connector=teams, cookie_jar=aiohttp.DummyCookieJar(), trust_env="https" in getproxies()
        ) as to_teams,
        aiohttp.ClientSession(connector=gateway_connector(), cookie_jar=aiohttp.DummyCookieJar()) as to_gateway,
        httpx.AsyncClient(timeout=10.0, verify=trust) as to_login,
    ):
        yield _edges(settings, to_teams, to_gateway, to_login, trust)


def _edges(
    settings: Settings,
    to_teams: aiohttp.ClientSession,
    to_gateway: aiohttp.ClientSession,
    to_login: httpx.AsyncClient,
    trust: ssl.SSLContext,
) -> Edges:
    cloud = cloud_of(settings)
    password = settings.app_password.get_secret_value()
    token = OutboundToken(cloud, settings.app_id, password, settings.tenant_id, trust=trust)
    base, secret = settings.gateway_url, settings.gateway_token.get_secret_value()
    sessions = GatewaySessions(http=to_gateway, base_url=base, token=secret)
    probe = GatewayProbe(http=to_gateway, base_url=base, token=secret, agent=settings.agent, sessions=sessions)
    watch = GatewayWatch(probe=probe)
    observer = (
        GatewayObserver(http=to_gateway, base_url=base, token=secret, admits=watch.admits) if settings.events else None
    )
    return Edges(
        store=_store(settings),
        token=token,
        verifier=Verifier(cloud, settings.app_id, settings.tenants, to_login),
        channel=TeamsChannel(to_teams, token, cloud, metrics.MAYBE_DOUBLED.inc),
        probe=probe,
        watch=watch,
        sessions=sessions,
        observer=observer,
        agent=GatewayAgent(
            http=to_gateway,
            base_url=base,
            token=secret,
            refusal=watch.refusal,
            ensure_probed=watch.ensure_probed,
            sessions=sessions,
            observer=observer,
            live_text=settings.live_text,
        ),
        shared_files=TeamsFiles(to_teams, token, cloud),
        agent_files=GatewayFiles(http=to_gateway, base_url=base),
    )


def _store(settings: Settings) -> TurnStore:
    """The store named by BRIDGE_STORE. A PostgreSQL driver that is not installed is an error. Raises: ValueError."""
    if not is_postgres(settings.store):
        return sqlite_store(Path(settings.store), create=settings.store_create)
    try:
        from bridge.store.postgres import postgres_store  # noqa: PLC0415  the driver is an optional extra
    except ImportError:
        raise ValueError(
            "BRIDGE_STORE: PostgreSQL needs the extra: pip install 'goclaw-teams-bridge[postgres]'"
        ) from None
    return postgres_store(
        settings.store,
        password=settings.store_password.get_secret_value() or None,
        schema=settings.store_schema,
        connections=settings.store_connections,
        create=settings.store_create,
    )


async def _until_certain(lease: Lease) -> None:
    """Wait until the lease is certain; runs before each request to Teams.

    The process may have been frozen, and a second replica may have taken over the turns.
    """
    while not lease.certain(time.monotonic()):
        await asyncio.sleep(_UNCERTAIN_SECONDS)


def _files_in(edges: Edges, clock: Clock, accept: Callable[[NewTurn], Awaitable[Accepted]]) -> FilesIn:
    """The way of a question's files to the agent."""
    return FilesIn(store=edges.store, shared=edges.shared_files, accept=accept, clock=clock)


def _files_out(settings: Settings, edges: Edges, clock: Clock) -> FilesOut:
    """The way of an answer's files to people, as the settings allow."""
    return FilesOut(
        store=edges.store.files,
        made=edges.agent_files,
        shared=edges.shared_files,
        clock=clock,
        new_id=lambda: secrets.token_urlsafe(16),
        base=settings.gateway_url,
        links=links_of(settings),
        offers=cloud_of(settings).exchanges_files,
    )


def compose(settings: Settings, edges: Edges) -> Bridge:
    """Compose the bridge over the edges, without starting anything; puts the admin's own sentences in use."""
    texts.use(settings.texts.sentences)
    clock = _SystemClock()
    tasks = Tasks()
    agent = MemoryCheckingAgent(edges.agent, sessions=edges.sessions, tasks=tasks)
    lease = Lease()
    if edges.store.shared:
        edges.channel.wait_before_sending(lambda: _until_certain(lease))
    files_out = _files_out(settings, edges, clock)
    pipeline = Pipeline(
        store=edges.store,
        agent=agent,
        channel=PacedChannel(edges.channel, monotonic=time.monotonic, shared=edges.store.shared),
        clock=clock,
        tasks=tasks,
        whole_turn=settings.turn_timeout,
        roster=None if settings.guests else TeamsRoster(edges.channel, monotonic=time.monotonic),
        files_in=_files_in(edges, clock, lambda new: dispatcher.accept(new, bounded=False)),
        files_out=files_out,
        rerun=settings.after_crash == "rerun",
        switches=switches_of(settings),
        agent_cards=settings.agent_cards,
        feedback=settings.feedback,
    )
    dispatcher = Dispatcher(
        store=edges.store,
        pipeline=pipeline,
        clock=clock,
        tasks=tasks,
        monotonic=time.monotonic,
        new_owner=lambda: secrets.token_hex(8),
        limits=limits_of(settings),
        lease=lease,
        merge=settings.merge,
    )
    handler = Handler(
        dispatcher=dispatcher,
        policy=policy_of(settings),
        clock=clock,
        gateway_health=lambda: _gateway_health(edges.watch),
        gateway_memory=lambda: _MEMORY[agent.memory.verdict],
    )
    inbound = Inbound(edges.verifier, handler.receive)
    return Bridge(edges, agent, dispatcher, tasks, inbound, Operator(dispatcher, clock), files_out)


def _gateway_health(watch: GatewayWatch) -> str:
    """The text key for the gateway's health in `/status`; only operators see which check failed."""
    if not watch.state.checks:
        return "gateway_unchecked"
    return "gateway_ill" if watch.state.failing else "gateway_well"
