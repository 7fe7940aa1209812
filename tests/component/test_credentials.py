"""OutboundToken against a local Entra ID: fetching, caching, renewal, refusals."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from support.servers import serving_on_test_port

from bridge.core.errors import CredentialsRefused
from bridge.teams.clouds import custom
from bridge.teams.credentials import OutboundToken

APP, SECRET, TENANT = "app-id", "s3cret~value", "tenant-id"


@dataclass
class Entra:
    """Entra ID's tenant discovery and token endpoint: counts token requests, gives `answer` where a test sets one."""

    url: str = ""
    expires_in: Any = 3600
    requests: int = 0
    answer: web.Response | None = None
    secret: str = SECRET
    scheme: str = "http"
    admission: asyncio.Event = field(default_factory=asyncio.Event)
    forms: list[dict[str, Any]] = field(default_factory=list)

    async def discovery(self, request: web.Request) -> web.Response:
        if request.match_info["tenant"] != TENANT:
            return web.json_response({"error": "invalid_tenant"}, status=400)
        base = f"{self.scheme}:{self.url.removeprefix('http:')}/{TENANT}"
        return web.json_response(
            {
                "issuer": f"{base}/v2.0",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            }
        )

    async def token(self, request: web.Request) -> web.Response:
        self.requests += 1
        number = self.requests
        form = dict(await request.post())
        self.forms.append(form)
        await self.admission.wait()
        if self.answer is not None:
            return self.answer
        if form.get("client_secret") != self.secret:
            refusal = {
                "error": "invalid_client",
                "error_description": f"AADSTS7000215: Invalid client secret: {form.get('client_secret')!s}",
                "error_codes": [7000215],
            }
            return web.json_response(refusal, status=401)
        return web.json_response(
            {"token_type": "Bearer", "expires_in": self.expires_in, "access_token": f"token.{number}"}
        )


@dataclass
class Times:
    """A clock and sleeps under the test's control: each item in `wake` ends a sleep."""

    monotonic: float = 1000.0
    sleeps: list[float] = field(default_factory=list)
    wake: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await self.wake.get()
        self.monotonic += seconds


@dataclass
class Bench:
    entra: Entra
    token: OutboundToken
    times: Times

    def at_hand(self) -> str | None:
        return self.token.cached


@asynccontextmanager
async def bench(*, secret: str = SECRET, tenant: str = TENANT, scheme: str = "http") -> AsyncIterator[Bench]:
    entra = Entra(scheme=scheme)
    entra.admission.set()
    app = web.Application()
    app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", entra.discovery)
    app.router.add_post("/{tenant}/oauth2/v2.0/token", entra.token)
    async with serving_on_test_port(app) as server:
        entra.url = f"http://127.0.0.1:{server.port}"
        times = Times()
        yield Bench(entra, outbound(entra.url, times, secret=secret, tenant=tenant), times)


def outbound(url: str, times: Times, *, secret: str = SECRET, tenant: str = TENANT) -> OutboundToken:
    cloud = custom(f"{url}/openid", url, ["127.0.0.1:1"])
    return OutboundToken(cloud, APP, secret, tenant, monotonic=lambda: times.monotonic, sleep=times.sleep)


@asynccontextmanager
async def running(token: OutboundToken) -> AsyncIterator[None]:
    task = asyncio.create_task(token.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_fetched_token_is_cached(scheme: str) -> None:
    """The discovery document of a local Entra ID may hold http or https addresses."""
    async with bench(scheme=scheme) as b:
        assert b.at_hand() is None
        assert await b.token.header() == "Bearer token.1"
        assert await b.token.header() == b.token.cached == "Bearer token.1"

        assert b.entra.requests == 1
        assert b.entra.forms[0]["client_id"] == APP
        assert b.entra.forms[0]["grant_type"] == "client_credentials"
        assert b.entra.forms[0]["scope"] == "https://api.botframework.com/.default"


async def test_fifty_callers_at_once_make_a_single_request_to_entra() -> None:
    async with bench() as b:
        b.entra.admission.clear()
        callers = [asyncio.create_task(b.token.header()) for _ in range(50)]
        await until(lambda: b.entra.requests == 1)
        callers[0].cancel()
        b.entra.admission.set()

        assert set(await asyncio.gather(*callers[1:])) == {"Bearer token.1"}
        assert b.entra.requests == 1
        assert callers[0].cancelled()


async def test_a_slow_entra_does_not_block_the_event_loop() -> None:
    """msal blocks in a thread while the event loop goes on."""
    async with bench() as b:
        b.entra.admission.clear()
        caller = asyncio.create_task(b.token.header())
        await until(lambda: b.entra.requests == 1)
        assert not caller.done()
        assert threading.active_count() > 1

        b.entra.admission.set()
        assert await caller == "Bearer token.1"


async def test_a_wrong_secret_is_reported_by_the_code_of_entra_and_never_quoted() -> None:
    async with bench(secret="wr0ng") as b:
        with pytest.raises(CredentialsRefused) as refusal:
            await b.token.header()

        assert refusal.value.detail == "AADSTS7000215"
        assert "wr0ng" not in str(refusal.value)
        assert b.token.refusal is not None
        assert b.token.refusal.detail == "AADSTS7000215"


async def test_callers_get_the_last_refusal_during_the_pause_after_a_refusal() -> None:
    async with bench(secret="wr0ng") as b:
        for _ in range(5):
            with pytest.raises(CredentialsRefused, match="AADSTS7000215"):
                await b.token.header()
        assert b.entra.requests == 1

        b.entra.secret = "wr0ng"
        b.times.monotonic += 5

        assert await b.token.header() == "Bearer token.2"
        assert b.token.refusal is None


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ({"status": 500, "text": "oops"}, "Entra ID gave no usable answer"),
        ({"status": 429, "text": "slow down"}, "Entra ID gave no usable answer"),
        ({"status": 200, "text": "<html>login</html>"}, "Entra ID gave no usable answer"),
        ({"status": 200, "text": "[]"}, "Entra ID gave no usable answer"),
        ({"status": 200, "text": "{}"}, "Entra ID gave no token"),
        ({"status": 400, "text": '{"error":"unauthorized_client"}'}, "Entra ID: unauthorized_client"),
        ({"status": 400, "text": '{"error":"<script>"}'}, "Entra ID gave no token"),
        (
            {"status": 200, "text": '{"access_token":"a\\r\\nX: y","expires_in":3600,"token_type":"Bearer"}'},
            "Entra ID gave no token",
        ),
        (
            {"status": 200, "text": f'{{"access_token":"a","expires_in":1{"0" * 400},"token_type":"Bearer"}}'},
            "Entra ID gave a token without a life",
        ),
        (
            {"status": 200, "text": '{"access_token":"a","expires_in":0,"token_type":"Bearer"}'},
            "Entra ID gave a token without a life",
        ),
    ],
)
async def test_every_unusable_answer_of_entra_raises_credentials_refused(answer: dict[str, Any], detail: str) -> None:
    async with bench() as b:
        b.entra.answer = web.Response(**answer)

        with pytest.raises(CredentialsRefused) as refusal:
            await b.token.header()
        assert refusal.value.detail.startswith(detail)


async def test_an_unknown_tenant_is_named_as_the_possible_cause() -> None:
    async with bench(tenant="nowhere") as b:
        with pytest.raises(CredentialsRefused, match="is the tenant right"):
            await b.token.header()


async def test_an_unreachable_entra_is_reported_as_unreachable() -> None:
    token = outbound(f"http://127.0.0.1:{unused_port()}", Times())

    with pytest.raises(CredentialsRefused, match="unreachable"):
        await token.header()


async def test_the_token_is_renewed_before_it_expires() -> None:
    async with bench() as b, running(b.token):
        await until(lambda: len(b.times.sleeps) == 1)
        assert 0.8 * 3600 <= b.times.sleeps[0] <= 0.9 * 3600

        b.times.wake.put_nowait(None)
        await until(lambda: b.token.cached == "Bearer token.2")
        assert b.entra.requests == 2


async def test_the_old_token_stays_in_use_while_its_renewal_fails() -> None:
    async with bench() as b, running(b.token):
        await until(lambda: len(b.times.sleeps) == 1)
        b.entra.secret = "rotated"
        pauses: list[float] = []
        for n in range(2, 6):
            b.times.wake.put_nowait(None)
            await until(lambda n=n: len(b.times.sleeps) == n)  # type: ignore[misc]
            pauses.append(b.times.sleeps[-1])
            assert await b.token.header() == "Bearer token.1"
        assert pauses == sorted(pauses)
        assert 5 <= pauses[0] <= 5.5
        assert b.token.refusal is not None

        b.entra.secret = SECRET
        b.times.wake.put_nowait(None)
        await until(lambda: b.token.cached == "Bearer token.6")
        assert b.token.refusal is None


async def test_an_expired_token_is_not_used() -> None:
    async with bench() as b:
        await b.token.header()
        b.times.monotonic += 3599
        assert b.token.cached == "Bearer token.1"

        b.times.monotonic += 1
        assert b.at_hand() is None
        assert await b.token.header() == "Bearer token.2"


async def test_a_token_refused_by_the_connector_is_replaced() -> None:
    async with bench() as b:
        refused = await b.token.header()
        b.times.monotonic += 60

        b.token.invalidate(refused)

        assert await b.token.header() == "Bearer token.2"
        b.times.monotonic += 60
        b.token.invalidate(refused)  # a slow call reports the old token, which was replaced before
        assert b.token.cached == "Bearer token.2"


async def test_a_token_under_thirty_seconds_old_is_not_replaced() -> None:
    async with bench() as b:
        header = await b.token.header()
        for _ in range(20):
            b.times.monotonic += 1
            b.token.invalidate(header)
            assert await b.token.header() == header

        assert b.entra.requests == 1
