"""The applications of both listeners: paths, statuses, the admin token, metrics, health without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, unused_port
from support.servers import client_on_test_port
from support.simulator_world import stage

from bridge import metrics
from bridge.app import Bridge, connected
from bridge.core.errors import CredentialsRefused
from bridge.core.inbound.activities import Event
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.files_out import FilesOut
from bridge.engine.operator import Operator
from bridge.gateway.memory import MemoryCheckingAgent
from bridge.settings.load import load
from bridge.simulator.serve_alone import bot_settings
from bridge.tasks import Tasks
from bridge.teams.inbound import Inbound, Post, Reply
from bridge.web.admin import admin_app
from bridge.web.public import public_app

Client = TestClient[web.Request, web.Application]
# No test in this file runs an operator's command; tests/component/test_admin_api.py does.
NOBODY = cast("Operator", None)
NO_FILES = cast("FilesOut", None)


@asynccontextmanager
async def client(app: web.Application) -> AsyncIterator[Client]:
    async with client_on_test_port(app) as made:
        yield made


@dataclass
class Health:
    """Stands in for the bridge's health details."""

    ready: bool = True

    def details(self) -> dict[str, Any]:
        return {"ready": self.ready, "store": "ok"}


async def refuse(_: Post) -> Reply:
    """Refuses every activity."""
    return Reply(401)


# -- public --


async def test_the_public_health_paths_answer_with_a_bare_status() -> None:
    health = Health()
    async with client(public_app(refuse, ready=lambda: health.ready)) as http:
        for ready, status in ((True, 200), (False, 503), (True, 200)):
            health.ready = ready
            async with http.get("/readyz") as answer:
                assert (answer.status, await answer.read()) == (status, b"")
            async with http.get("/healthz") as answer:
                assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/api/messages", 405, "POST"),
        ("PUT", "/api/messages", 405, "POST"),
        ("OPTIONS", "/api/messages", 405, "POST"),
        ("POST", "/healthz", 405, "GET,HEAD"),
        ("GET", "/", 404, None),
        ("POST", "/api/messages/", 404, None),
        ("GET", "/metrics", 404, None),
        ("POST", "/api/notify", 404, None),
    ],
)
async def test_unknown_paths_and_methods_are_refused_with_an_empty_body(
    method: str, path: str, status: int, allow: str | None
) -> None:
    async with (
        client(public_app(refuse, ready=lambda: True)) as http,
        http.request(method, path, headers={"Authorization": "Bearer x"}) as answer,
    ):
        assert (answer.status, await answer.read(), answer.headers.get("Allow")) == (status, b"", allow)


async def test_only_an_answer_with_a_body_has_a_content_type() -> None:
    async def asked(post: Post) -> Reply:
        return Reply(200, await post.read())

    async with client(public_app(asked, ready=lambda: True)) as http:
        async with http.post("/api/messages", data=b'{"a":1}') as answer:
            assert (answer.content_type, await answer.read()) == ("application/json", b'{"a":1}')
        async with http.post("/api/messages", data=b"") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "0")


# -- admin --

PATHS = ("/healthz", "/readyz", "/metrics")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Bearer tokeñ", "token", "bearer token ", "Basic x"]
)
@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
async def test_the_admin_listener_refuses_requests_without_its_token(header: str | None, path: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with (
        client(admin_app(operator=NOBODY, details=Health().details, token="token")) as http,
        http.get(path, headers=headers) as answer,
    ):
        assert (answer.status, await answer.read()) == (401, b"")


@pytest.mark.parametrize("token", ["token", "tokeñ", ""])
async def test_the_admin_listener_answers_with_the_token_or_on_loopback_without_a_set_token(token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with client(admin_app(operator=NOBODY, details=Health().details, token=token)) as http:
        for path in PATHS:
            async with http.get(path, headers=headers) as answer:
                assert answer.status == 200


async def test_health_details_are_200_when_ready_and_503_when_not() -> None:
    for ready, status in ((True, 200), (False, 503)):
        health = Health(ready)
        async with (
            client(admin_app(operator=NOBODY, details=health.details, token="")) as http,
            http.get("/readyz") as answer,
        ):
            assert (answer.status, orjson.loads(await answer.read())) == (status, health.details())


async def test_metrics_have_the_format_of_prometheus() -> None:
    metrics.INBOUND.labels("accepted").inc()
    async with (
        client(admin_app(operator=NOBODY, details=Health().details, token="")) as http,
        http.get("/metrics") as answer,
    ):
        text = await answer.text()

        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert 'bridge_inbound_requests_total{verdict="accepted"}' in text


def test_no_metric_has_a_label_for_people_conversations_or_turns() -> None:
    allowed = {"verdict", "kind", "outcome", "error", "reaction", "task", "le"}
    labels = {name for family in metrics.REGISTRY.collect() for sample in family.samples for name in sample.labels}

    assert labels <= allowed
    assert all(family.documentation.endswith("?") for family in metrics.REGISTRY.collect())


async def test_health_details_name_the_faults_and_hold_no_secret(tmp_path: Path) -> None:
    """The faults: Entra ID refuses the secret, the gateway is down, and a task fails."""

    async def nothing(_: Event) -> None:
        return None

    async def broken() -> None:
        raise TypeError("the-gateway-token")

    @dataclass
    class Opened:
        ready: bool = True
        store_state: str = "ok"

    async with stage(tmp_path, listening=False) as teams:
        environment = {
            **bot_settings(tmp_path, teams.base),
            "TEAMS_APP_PASSWORD": "not-the-app-password",
            "GOCLAW_URL": f"http://127.0.0.1:{unused_port()}",
            "GOCLAW_TOKEN": "the-gateway-token",
            "BRIDGE_ADMIN_TOKEN": "the-admin-token",
        }
        async with connected(load(environment)) as edges:
            await edges.watch.check()
            with pytest.raises(CredentialsRefused):
                await edges.token.header()
            agent = MemoryCheckingAgent(edges.agent, sessions=edges.sessions, tasks=Tasks())
            tasks = Tasks()
            tasks.keep(broken, "gateway watch")
            await asyncio.sleep(0)
            inbound = Inbound(edges.verifier, nothing)
            bridge = Bridge(edges, agent, cast("Dispatcher", Opened()), tasks, inbound, NOBODY, NO_FILES)
            app = admin_app(operator=NOBODY, details=bridge.details, token="")
            async with client(app) as http, http.get("/healthz") as answer:
                body = await answer.read()
            await tasks.cancel()

        report = orjson.loads(body)
        assert (answer.status, report["ready"], report["signing_keys"]) == (503, False, "not loaded")
        assert report["gateway"]["gateway reachable"].startswith("failed: ")
        assert report["gateway"]["sessions persist"].startswith("not_checked: ")
        assert report["outbound_token"] not in ("ok", "not fetched yet")
        assert report["events"] == "no: not connected yet"
        assert report["tasks"] == {"gateway watch": "failed with TypeError (1 in a row), started again after 1 s"}
        for secret in ("not-the-app-password", "the-gateway-token", "the-admin-token"):
            assert secret.encode() not in body
