"""The doctor's checks against the simulator: each fault fails a single check, with a fix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from support.postgres_server import dsn, fresh_schema
from support.servers import serving_on_test_port
from support.simulator_world import stage

from bridge.admin.doctor import KEYS, PUBLIC, STORE, TOKEN, examine
from bridge.app import connected, made_on
from bridge.gateway.probe import AGENT, EVENTS, PERSISTS, REACHABLE, USERS, Check
from bridge.gateway.probe import TOKEN as GATEWAY_TOKEN
from bridge.settings.load import load
from bridge.simulator.gateway.app import GatewayOptions, build_app
from bridge.simulator.serve_alone import bot_settings
from bridge.store.sqlite import sqlite_store

ORDER = ["settings", STORE, TOKEN, KEYS, REACHABLE, GATEWAY_TOKEN, AGENT, USERS, PERSISTS, EVENTS, PUBLIC]
SECRETS = ("the-gateway-token", "not-the-app-password")


@asynccontextmanager
async def chain(data: Path, *, persistent: bool = True) -> AsyncIterator[dict[str, str]]:
    """A working tenant and a working gateway; yields fitting settings."""
    options = GatewayOptions(token=SECRETS[0], agent="demo", data=data / "gateway", persistent=persistent)
    async with stage(data, listening=False) as teams, serving_on_test_port(build_app(options)) as gateway:
        yield {
            **bot_settings(data, teams.base),
            "GOCLAW_URL": f"http://127.0.0.1:{gateway.port}",
            "GOCLAW_TOKEN": SECRETS[0],
            "GOCLAW_AGENT": "demo",
            "BRIDGE_STORE": str(data / "turns.db"),
        }


async def lines(environment: dict[str, str], *, spend_model_call: bool = False) -> dict[str, Check]:
    """The doctor's checks by name; verifies order, fixes and the absence of secrets as well."""
    settings = load(environment)
    async with connected(settings) as edges:
        checks = [check async for check in examine(settings, edges, spend_model_call=spend_model_call)]
    assert [check.name for check in checks] == ORDER
    for check in checks:
        assert check.detail
        assert bool(check.fix) == (check.verdict == "failed")
        assert not [secret for secret in SECRETS if secret in f"{check.detail}{check.fix}"]
    return {check.name: check for check in checks}


def failed(found: dict[str, Check]) -> list[str]:
    return [name for name, check in found.items() if check.verdict == "failed"]


def not_made(found: dict[str, Check]) -> list[str]:
    return [name for name, check in found.items() if check.verdict == "not_checked"]


async def test_every_check_of_a_working_bridge_is_ok(tmp_path: Path) -> None:
    async with chain(tmp_path) as environment:
        found = await lines(environment, spend_model_call=True)

        assert (failed(found), not_made(found)) == ([], [PUBLIC])
        assert found[EVENTS].detail.startswith("yes")


async def test_the_check_of_events_says_that_events_are_switched_off(tmp_path: Path) -> None:
    async with chain(tmp_path) as environment:
        found = await lines({**environment, "GOCLAW_EVENTS": "false"})

        assert found[EVENTS] == Check(EVENTS, "ok", "no: GOCLAW_EVENTS is false")


async def test_without_a_model_call_the_gateways_memory_is_not_checked(tmp_path: Path) -> None:
    async with chain(tmp_path) as environment:
        found = await lines(environment)

        assert (failed(found), not_made(found)) == ([], [PERSISTS, PUBLIC])


async def test_a_gateway_without_memory_fails_the_check_of_sessions(tmp_path: Path) -> None:
    async with chain(tmp_path, persistent=False) as environment:
        found = await lines(environment, spend_model_call=True)

        assert failed(found) == [PERSISTS]


@pytest.mark.parametrize(
    ("name", "value", "broken", "unknown"),
    [
        ("TEAMS_APP_PASSWORD", SECRETS[1], [TOKEN], []),
        ("GOCLAW_AGENT", "nobody", [AGENT], [PERSISTS]),
        ("GOCLAW_TOKEN", "another-token", [GATEWAY_TOKEN], [AGENT, USERS, PERSISTS, EVENTS]),
    ],
)
async def test_a_failed_check_has_a_fix_and_its_dependent_checks_are_not_made(
    name: str, value: str, broken: list[str], unknown: list[str], tmp_path: Path
) -> None:
    async with chain(tmp_path) as environment:
        found = await lines({**environment, name: value}, spend_model_call=True)

        assert (failed(found), not_made(found)) == (broken, [*unknown, PUBLIC])
        assert name in found[broken[0]].fix


async def test_no_further_check_of_an_unreachable_gateway_is_made(tmp_path: Path) -> None:
    async with chain(tmp_path) as environment:
        down = {**environment, "GOCLAW_URL": f"http://127.0.0.1:{unused_port()}"}

        found = await lines(down, spend_model_call=True)

        assert failed(found) == [REACHABLE]
        assert not_made(found) == [GATEWAY_TOKEN, AGENT, USERS, PERSISTS, EVENTS, PUBLIC]


async def test_a_store_that_cannot_be_written_fails_its_check(tmp_path: Path) -> None:
    async with chain(tmp_path) as environment:
        (tmp_path / "a file").touch()
        found = await lines({**environment, "BRIDGE_STORE": str(tmp_path / "a file" / "turns.db")})

        assert failed(found) == [STORE]
        assert "BRIDGE_STORE" in found[STORE].fix


async def test_a_store_in_use_by_a_running_bridge_is_ok(tmp_path: Path) -> None:
    running = sqlite_store(tmp_path / "turns.db")
    await running.open()
    try:
        async with chain(tmp_path) as environment:
            found = await lines(environment)
    finally:
        await running.close()

    assert failed(found) == []
    assert "running" in found[STORE].detail


async def test_a_store_that_will_be_made_is_said_to_be_new_and_empty(tmp_path: Path) -> None:
    async with chain(tmp_path) as environment:
        missing = await lines(environment)
        (tmp_path / "turns.db").touch()
        empty = await lines(environment)

    assert "will be made" in missing[STORE].detail
    assert "is empty" in empty[STORE].detail
    assert all("new and empty" in found[STORE].detail for found in (missing, empty))
    assert all("BRIDGE_STORE_CREATE=false" in found[STORE].detail for found in (missing, empty))
    assert (tmp_path / "turns.db").stat().st_size == 0


@pytest.mark.parametrize("empty", [False, True])
async def test_a_missing_or_empty_store_that_may_not_be_made_fails_its_check(empty: bool, tmp_path: Path) -> None:
    if empty:
        (tmp_path / "turns.db").touch()
    async with chain(tmp_path) as environment:
        found = await lines({**environment, "BRIDGE_STORE_CREATE": "false"})

    assert failed(found) == [STORE]
    assert "put the store back" in found[STORE].fix


async def test_the_day_on_which_the_store_was_made_is_shown(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "turns.db")
    await store.open()
    made = made_on(store.made_at)
    await store.close()
    async with chain(tmp_path) as environment:
        found = await lines({**environment, "BRIDGE_STORE_CREATE": "false"})

    assert found[STORE] == Check(STORE, "ok", f"can be opened and written; made, new and empty: {made}")


@pytest.mark.parametrize(
    ("page", "verdict", "words"),
    [
        ({"store": "ok", "store_made": "2026-11-28 10:00 UTC"}, "ok", "new and empty: 2026-11-28 10:00 UTC"),
        ({"store": "turns.db was deleted while the bridge was running"}, "failed", "turns.db was deleted"),
        ({"store": ["x"], "store_made": {}}, "ok", "in use by a running bridge"),
        ([], "ok", "in use by a running bridge"),
    ],
)
async def test_of_a_store_in_use_the_running_bridge_is_asked(
    page: object, verdict: str, words: str, tmp_path: Path
) -> None:
    async def health(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer the-admin-token"
        return web.json_response(page, status=503)

    app = web.Application()
    app.router.add_get("/readyz", health)
    running = sqlite_store(tmp_path / "turns.db")
    await running.open()
    try:
        async with chain(tmp_path) as environment, serving_on_test_port(app) as admin:
            more = {"BRIDGE_ADMIN_PORT": str(admin.port), "BRIDGE_ADMIN_TOKEN": "the-admin-token"}
            found = await lines({**environment, **more})
    finally:
        await running.close()

    assert found[STORE].verdict == verdict
    assert words in found[STORE].detail


async def test_a_database_that_accepts_the_role_is_ok(tmp_path: Path) -> None:
    async with chain(tmp_path) as environment:
        found = await lines({**environment, "BRIDGE_STORE": dsn(), "BRIDGE_STORE_SCHEMA": fresh_schema()})

        assert found[STORE].verdict == "ok"
        assert found[STORE].detail.startswith("can be opened and written; made, new and empty: 20")


@pytest.mark.parametrize("where", ["nobody@/postgres?host={server}", "postgres@127.0.0.1:{port}/postgres"])
async def test_an_unusable_database_fails_its_check_with_a_fix(where: str, tmp_path: Path) -> None:
    server = parse_qs(urlsplit(dsn()).query)["host"][0]
    async with chain(tmp_path) as environment:
        store = f"postgresql://{where.format(server=server, port=unused_port())}"
        found = await lines({**environment, "BRIDGE_STORE": store})

        assert failed(found) == [STORE]
        assert "postgres" in found[STORE].detail
        assert "BRIDGE_STORE_PASSWORD" in found[STORE].fix


async def refuses(_: web.Request) -> web.Response:
    return web.Response(status=401)


async def explains(_: web.Request) -> web.Response:
    return web.Response(status=401, text="Sign in")


async def welcomes(_: web.Request) -> web.Response:
    return web.Response(text="It works!")


async def sends_away(_: web.Request) -> web.Response:
    raise web.HTTPFound("/login")


@pytest.mark.parametrize(
    ("handler", "verdict"), [(refuses, "ok"), (explains, "failed"), (welcomes, "failed"), (sends_away, "failed")]
)
async def test_the_public_address_must_answer_an_unsigned_post_with_an_empty_401(
    handler: Callable[[web.Request], Awaitable[web.Response]], verdict: str, tmp_path: Path
) -> None:
    app = web.Application()
    app.router.add_post("/base/api/messages", handler)
    async with chain(tmp_path) as environment, serving_on_test_port(app) as public:
        found = await lines({**environment, "BRIDGE_PUBLIC_URL": f"http://127.0.0.1:{public.port}/base/"})

        assert found[PUBLIC].verdict == verdict


async def test_a_public_address_without_an_answer_fails_its_check(tmp_path: Path) -> None:
    async with chain(tmp_path) as environment:
        found = await lines({**environment, "BRIDGE_PUBLIC_URL": f"http://127.0.0.1:{unused_port()}"})

        assert failed(found) == [PUBLIC]
