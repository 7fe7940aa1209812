"""The simulated tenant as one aiohttp application: chat page, identity services, Bot Connector."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bridge.simulator.teams.actions_api import ActionsApi
from bridge.simulator.teams.chat_api import BridgeControl, ChatApi
from bridge.simulator.teams.clicks import Clicks
from bridge.simulator.teams.connector import Connector
from bridge.simulator.teams.connector_access import BotRequest, ConnectorAccess
from bridge.simulator.teams.delivery import INVOKE_TIMEOUT, Courier, record_attempt
from bridge.simulator.teams.faults import Faults
from bridge.simulator.teams.file_storage import FileStorage
from bridge.simulator.teams.guard import add_headers, guard
from bridge.simulator.teams.identity import Identity
from bridge.simulator.teams.identity_api import IdentityApi
from bridge.simulator.teams.membership import Membership
from bridge.simulator.teams.onedrive import LINK_SECONDS, OneDrive
from bridge.simulator.teams.people import People
from bridge.simulator.teams.stream_endpoint import StreamEndpoint
from bridge.simulator.teams.stream_rules import STREAM_SECONDS
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.traffic import Traffic

TENANT = web.AppKey("tenant", Tenant)
PEOPLE = web.AppKey("people", People)
IDENTITY = web.AppKey("identity", Identity)
FAULTS = web.AppKey("faults", Faults)
COURIER = web.AppKey("courier", Courier)
CONNECTOR_LOG = web.AppKey("connector_log", deque[BotRequest])

# bytes, above every activity accepted by Teams: 100 KB as UTF-16 may be 150 KB as UTF-8, cards add escapes, and a
# picture of 1 MB travels as base64 beside the text
_LARGEST_BODY = 2 * 1024 * 1024
_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class TeamsOptions:
    """How the tenant is set up.

    `data` is the tenant's folder; `bot_endpoint` the URL of the bot's `/api/messages`; `public_base` the
    application's own address (`http://127.0.0.1:P`); `phrases` are suggestions for people (`{"say", "shows"}`);
    `agent_kind` is `stand-in`, `model` or `goclaw`. Times in seconds. `send_limits=False` switches the
    Connector's rate limits off; `clock` gives the limits' time. `streaming=False` refuses every stream;
    `stream_seconds` is a stream's longest time, `link_seconds` the time a link to a file works.
    """

    data: Path
    bot_endpoint: str
    public_base: str
    phrases: list[dict[str, str]]
    agent_label: str
    agent_kind: str
    resend_after: float = 15.0
    retry_for: float = 60.0
    invoke_limit: float = INVOKE_TIMEOUT
    send_limits: bool = True
    streaming: bool = True
    stream_seconds: float = STREAM_SECONDS
    link_seconds: float = LINK_SECONDS
    clock: Callable[[], float] = time.monotonic


def build_app(options: TeamsOptions, *, bridge_control: BridgeControl | None = None) -> web.Application:
    """The application, to be served on loopback at `options.public_base`.

    Reads the data folder, and at first use makes it with two RSA keys (a few tenths of a second): call it
    before the event loop is busy. Raises OSError or ValueError when the folder cannot be used.
    """
    options.data.mkdir(parents=True, exist_ok=True)
    base = options.public_base.rstrip("/")
    identity = Identity(options.data, base)
    tenant = Tenant(options.data, identity.app.app_id, lambda: time.time_ns() // 1_000_000)
    traffic = Traffic(tenant.news)
    courier = Courier(
        options.bot_endpoint,
        identity.channel_token,
        lambda activity, answer, limit: record_attempt(traffic, tenant, activity, answer, limit),
        resend_after=options.resend_after,
        retry_for=options.retry_for,
        invoke_limit=options.invoke_limit,
    )
    faults = Faults()
    access = ConnectorAccess(identity, tenant, traffic, send_limits=options.send_limits, clock=options.clock)
    streams = StreamEndpoint(
        tenant,
        faults,
        access,
        allowed=options.streaming,
        limited=options.send_limits,
        seconds=options.stream_seconds,
        clock=options.clock,
    )
    connector = Connector(tenant, identity, faults, access, streams)
    storage = FileStorage(options.data / "files")
    onedrive = OneDrive(storage, base, identity.service_url, traffic, seconds=options.link_seconds, clock=options.clock)
    membership = Membership(tenant, identity.app, identity.service_url)
    people = People(membership, courier, onedrive)
    clicks = Clicks(membership, courier, streams, onedrive)
    agent = {"kind": options.agent_kind, "label": options.agent_label}
    chat_api = ChatApi(tenant, courier, traffic, agent=agent, phrases=options.phrases, control=bridge_control)

    app = web.Application(middlewares=[guard], client_max_size=_LARGEST_BODY)
    app[TENANT], app[PEOPLE], app[IDENTITY] = tenant, people, identity
    app[FAULTS], app[CONNECTOR_LOG], app[COURIER] = faults, access.log, courier
    app.add_routes([web.get("/", _page), web.static("/static", _STATIC)])
    app.add_routes(IdentityApi(identity, faults, base).routes())
    app.add_routes(connector.routes())
    app.add_routes(onedrive.routes(access))
    app.add_routes([*chat_api.routes(), *ActionsApi(people, clicks).routes()])
    app.on_response_prepare.append(add_headers)
    _close_at_the_end(app, tenant, courier, streams)
    return app


def _close_at_the_end(app: web.Application, tenant: Tenant, courier: Courier, streams: StreamEndpoint) -> None:
    async def stop_listening(_app: web.Application) -> None:
        tenant.news.close()  # else the open event streams would hold up the end of the server

    async def close(_app: web.Application) -> None:
        await courier.close()
        await streams.close()
        await tenant.close()

    app.on_shutdown.append(stop_listening)
    app.on_cleanup.append(close)


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / "index.html")
