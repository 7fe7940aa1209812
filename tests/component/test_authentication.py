"""Verifier against a local server with OpenID metadata and signing keys: tokens, activities, fetching of keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from support.servers import serving_on_test_port

from bridge.teams.authentication import CACHED_TOKENS, Refused, Verifier
from bridge.teams.clouds import custom
from bridge.teams.signing_keys import KeysNotFetched, SigningKeys

APP = "00000000-0000-4000-8000-0000000000aa"
TENANT = "00000000-0000-4000-8000-0000000000bb"
ISSUER = "https://api.botframework.com"
KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  weak on purpose


def public_jwk(key: rsa.RSAPrivateKey, kid: str, endorsements: object = ("msteams",)) -> dict[str, Any]:
    numbers = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**numbers, "kid": kid, "use": "sig", "endorsements": endorsements}


@dataclass
class Microsoft:
    """Publishes metadata and keys, signs tokens, and counts fetches of the metadata."""

    keys: list[Any] = field(default_factory=lambda: [public_jwk(KEYS[0], "k0")])
    metadata: dict[str, Any] = field(default_factory=lambda: {"issuer": ISSUER})
    status: int = 200
    fetches: int = 0
    admission: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def openid(self, _request: web.Request) -> web.Response:
        self.fetches += 1
        await self.admission.wait()
        document = {"jwks_uri": f"{self.url}/keys", **self.metadata}
        return web.json_response(document, status=self.status)

    async def jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": self.keys})

    def token(self, key: rsa.RSAPrivateKey = KEYS[0], kid: str | None = "k0", **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), key, "RS256", {"kid": kid} if kid else None)

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims: dict[str, Any] = {"iss": ISSUER, "aud": APP, "nbf": now - 300, "exp": now + 3600}
        claims |= {"serviceurl": f"{self.url}/emea/"} | changes
        return {name: value for name, value in claims.items() if value is not None}

    def activity(self, **changes: Any) -> dict[str, Any]:
        return {
            "type": "message",
            "channelId": "msteams",
            "serviceUrl": f"{self.url}/emea/",
            "conversation": {"id": "a:1", "tenantId": TENANT},
            "channelData": {"tenant": {"id": TENANT}},
        } | changes


@dataclass
class Times:
    """Clocks that tests set. A sleep ends when the monotonic clock gets there, or at once if `awake` is set."""

    wall: float = field(default_factory=time.time)
    monotonic: float = 1000.0
    sleeps: list[float] = field(default_factory=list)
    due: list[float] = field(default_factory=list)  # ends of the sleeps that have not ended
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        end = self.monotonic + seconds
        self.due.append(end)
        try:
            while self.monotonic < end and not self.awake.is_set():
                await asyncio.sleep(0.002)
        finally:
            self.due.remove(end)
        self.monotonic = max(self.monotonic, end)
        await asyncio.sleep(0)


@dataclass
class Steps:
    """A clock that goes from the end of each sleep to the next, so that no sleep lasts too long."""

    monotonic: float = 1000.0
    sleepers: dict[asyncio.Future[None], float] = field(default_factory=dict)

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self.sleepers[sleeper] = self.monotonic + seconds
        try:
            await sleeper
        finally:
            del self.sleepers[sleeper]

    async def go_on(self, seconds: float) -> None:
        end = self.monotonic + seconds
        await self._settle()
        while self.monotonic < end:
            self.monotonic = min([end, *self.sleepers.values()])
            for sleeper, due in self.sleepers.items():
                if due <= self.monotonic and not sleeper.done():
                    sleeper.set_result(None)
            await self._settle()

    async def _settle(self) -> None:
        for _ in range(40):
            await asyncio.sleep(0)


@dataclass
class Bench:
    microsoft: Microsoft
    verifier: Verifier
    times: Times

    async def verdict(self, token: str) -> int:
        """The status of the refusal, or 200 for a verified token."""
        return await self.header_verdict(f"Bearer {token}")

    async def later_verdict(self, token: str) -> int:
        """The verdict on a token whose key id is unknown: the clock goes on by 5 s once the request waits."""
        await until(lambda: not self.times.due)  # sleeps of earlier requests are cancelled
        waiting = asyncio.create_task(self.verdict(token))
        soon = self.times.monotonic + 5
        await until(lambda: waiting.done() or any(end <= soon for end in self.times.due))
        assert not waiting.done()
        self.times.monotonic = soon
        async with asyncio.timeout(5):
            return await waiting

    async def header_verdict(self, header: str | None) -> int:
        return (await self._verdict(header))[0]

    async def reason(self, token: str) -> tuple[int, str]:
        """The status and the reason of the refusal; (200, "") for a verified token."""
        return await self._verdict(f"Bearer {token}")

    async def _verdict(self, header: str | None) -> tuple[int, str]:
        try:
            await self.verifier.verify_header(header)
        except Refused as refused:
            return refused.status, refused.reason
        return 200, ""

    async def bound(self, activity: dict[str, Any]) -> int:
        claims = await self.verifier.verify_header(f"Bearer {self.microsoft.token()}")
        try:
            self.verifier.bind(claims, activity)
        except Refused as refused:
            return refused.status
        return 200


@asynccontextmanager
async def bench(microsoft: Microsoft | None = None) -> AsyncIterator[Bench]:
    if microsoft is None:
        microsoft = Microsoft()
        microsoft.admission.set()
    app = web.Application()
    app.router.add_get("/openid", microsoft.openid)
    app.router.add_get("/keys", microsoft.jwks)
    async with serving_on_test_port(app) as server, httpx.AsyncClient() as http:
        microsoft.url = f"http://127.0.0.1:{server.port}"
        cloud = custom(f"{microsoft.url}/openid", microsoft.url, [f"127.0.0.1:{server.port}"])
        times = Times()
        verifier = Verifier(
            cloud,
            APP,
            frozenset({TENANT}),
            http,
            wall=lambda: times.wall,
            monotonic=lambda: times.monotonic,
            sleep=times.sleep,
        )
        yield Bench(microsoft, verifier, times)


@asynccontextmanager
async def running(verifier: Verifier) -> AsyncIterator[None]:
    task = asyncio.create_task(verifier.run())
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


def part(value: dict[str, Any] | bytes) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes) -> str:
    """A token with the given header and payload bytes, signed by the published key."""
    text = f"{part(header)}.{part(payload)}"
    return f"{text}.{part(RSAAlgorithm(RSAAlgorithm.SHA256).sign(text.encode(), KEYS[0]))}"


def hmac_with_public_key(claims: dict[str, Any]) -> str:
    pem = KEYS[0].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = f"{part({'alg': 'HS256', 'kid': 'k0'})}.{part(claims)}"
    return f"{text}.{part(hmac.new(pem, text.encode(), hashlib.sha256).digest())}"


async def test_a_token_signed_by_microsoft_gives_its_claims() -> None:
    async with bench() as b:
        claims = await b.verifier.verify_header(f"Bearer {b.microsoft.token()}")

    assert claims.service_url == f"{b.microsoft.url}/emea/"
    assert claims.endorsements == {"msteams"}
    assert claims.values["aud"] == APP


BAD_TOKENS: dict[str, Callable[[Microsoft], str]] = {
    "expired": lambda m: m.token(exp=int(time.time()) - 301),
    "not yet valid": lambda m: m.token(nbf=int(time.time()) + 400),
    "without exp": lambda m: m.token(exp=None),
    "exp is text": lambda m: m.token(exp="tomorrow"),
    "exp is true": lambda m: m.token(exp=True),
    "exp beyond a float": lambda m: m.token(exp=10**400),
    "exp is infinite": lambda m: signed({"alg": "RS256", "kid": "k0"}, json.dumps(m.claims(exp=float("inf"))).encode()),
    "nbf is text": lambda m: signed({"alg": "RS256", "kid": "k0"}, m.claims(nbf="now")),
    "nbf is true": lambda m: signed({"alg": "RS256", "kid": "k0"}, m.claims(nbf=True)),
    "signed with another key": lambda m: m.token(KEYS[1]),
    "truncated": lambda m: m.token()[:-20],
    "garbage": lambda _: "garbage",
    "three parts of garbage": lambda _: "a.b.c",
    "another issuer": lambda m: m.token(iss="https://evil.example"),
    "issuer with a slash more": lambda m: signed({"alg": "RS256", "kid": "k0"}, m.claims(iss=f"{ISSUER}/")),
    "without issuer": lambda m: m.token(iss=None),
    "another audience": lambda m: m.token(aud="someone-else"),
    "audience as a list": lambda m: m.token(aud=[APP]),
    "without audience": lambda m: m.token(aud=None),
    "without serviceurl": lambda m: m.token(serviceurl=None),
    "serviceurl is a number": lambda m: m.token(serviceurl=1),
    "without kid": lambda m: m.token(kid=None),
    "kid is a number": lambda m: signed({"alg": "RS256", "kid": 1}, m.claims()),
    "unknown kid": lambda m: m.token(kid="nobody"),
    "alg none": lambda m: f"{part({'alg': 'none', 'kid': 'k0'})}.{part(m.claims())}.AA",
    "alg none without signature": lambda m: f"{part({'alg': 'none', 'kid': 'k0'})}.{part(m.claims())}.",
    "HS256 with the public key": lambda m: hmac_with_public_key(m.claims()),
    "RS512": lambda m: jwt.encode(m.claims(), KEYS[0], "RS512", {"kid": "k0"}),
    "critical extension": lambda m: signed({"alg": "RS256", "kid": "k0", "crit": ["b64"], "b64": True}, m.claims()),
    "a claim twice": lambda m: signed(
        {"alg": "RS256", "kid": "k0"}, b'{"aud":"other",' + json.dumps(m.claims()).encode()[1:]
    ),
    "alg twice": lambda m: signed(b'{"alg":"none","alg":"RS256","kid":"k0"}', m.claims()),
    "claims are a list": lambda _: signed({"alg": "RS256", "kid": "k0"}, b"[]"),
    "claims are deep": lambda _: signed({"alg": "RS256", "kid": "k0"}, b"[" * 5000),
    "claims are no JSON": lambda _: signed({"alg": "RS256", "kid": "k0"}, b"\xff\xfe"),
    "ten kilobytes": lambda m: m.token(padding="x" * 10_000),
}


@pytest.mark.parametrize("case", BAD_TOKENS)
async def test_each_invalid_token_is_refused_with_401(case: str) -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        b.times.monotonic += 5  # the case with an unknown key id may fetch at once

        assert await b.verdict(BAD_TOKENS[case](b.microsoft)) == 401


@pytest.mark.parametrize(
    "frame",
    [None, "", "Bearer", "Bearer ", "{}", "bearer {}", "BEARER {}", "Bearer  {}", " Bearer {}", "Bearer {} ",
     "Bearer\t{}", "Bearer {}\n", "Basic {}", "Bearer {},Bearer {}", "Bearer {}\udcff", "Bearer ключ"],
)  # fmt: skip
async def test_a_header_other_than_bearer_and_a_token_is_refused(frame: str | None) -> None:
    async with bench() as b:
        token = b.microsoft.token()
        assert await b.verdict(token) == 200

        header = frame.replace("{}", token) if frame is not None else None
        assert await b.header_verdict(header) == 401


@pytest.mark.parametrize("changes", [{"exp": -299}, {"nbf": 299}, {"nbf": None}])
async def test_a_token_is_valid_within_five_minutes_of_clock_skew(changes: dict[str, int | None]) -> None:
    async with bench() as b:
        now = int(b.times.wall)
        shifted: dict[str, Any] = {name: None if by is None else now + by for name, by in changes.items()}

        assert await b.verdict(b.microsoft.token(**shifted)) == 200


async def test_cached_claims_end_when_the_token_expires() -> None:
    async with bench() as b:
        token = b.microsoft.token()
        assert await b.verdict(token) == 200

        b.times.wall += 3600 + 290
        assert await b.verdict(token) == 200
        b.times.wall += 20
        assert await b.verdict(token) == 401


async def test_the_cache_of_verified_tokens_is_bounded() -> None:
    async with bench() as b:
        first = b.microsoft.token()
        claims = await b.verifier.verify_header(f"Bearer {first}")
        assert await b.verifier.verify_header(f"Bearer {first}") is claims
        for n in range(CACHED_TOKENS):
            b.verifier._verified[n.to_bytes(4)] = claims  # noqa: SLF001  4096 signatures would take seconds

        await b.verdict(b.microsoft.token(jti="another"))

        assert len(b.verifier._verified) <= CACHED_TOKENS + 1  # noqa: SLF001  as above
        assert await b.verifier.verify_header(f"Bearer {first}") is not claims


async def test_an_activity_that_matches_its_token_is_accepted() -> None:
    async with bench() as b:
        assert await b.bound(b.microsoft.activity()) == 200
        assert await b.bound(b.microsoft.activity(serviceUrl=f"{b.microsoft.url}/emea")) == 200
        assert await b.bound(b.microsoft.activity(conversation={"id": "a:1"})) == 200
        upper = {"tenant": {"id": TENANT.upper()}}
        assert await b.bound(b.microsoft.activity(channelData=upper)) == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"serviceUrl": "https://evil.example/"},
        {"serviceUrl": None},
        {"serviceUrl": 7},
        {"serviceUrl": ""},
        {"channelId": "webchat"},
        {"channelId": None},
        {"channelId": ["msteams"]},
        {"conversation": None},
        {"conversation": "a:1"},
    ],
)
async def test_an_activity_that_does_not_match_its_token_is_forbidden(changes: dict[str, Any]) -> None:
    async with bench() as b:
        assert await b.bound(b.microsoft.activity(**changes)) == 403
        assert await b.bound({k: v for k, v in b.microsoft.activity().items() if k not in changes}) == 403


NO_TENANT: list[object] = [None, [], {}, {"tenant": TENANT}, {"tenant": {"id": None}}, {"tenant": {"id": ""}}]
HERE, ELSEWHERE = {"tenant": {"id": TENANT}}, {"tenant": {"id": "another"}}


@pytest.mark.parametrize(
    ("channel_data", "tenant_id", "reason"),
    [
        *((nothing, TENANT, "") for nothing in NO_TENANT),
        *((nothing, None, "foreign_tenant") for nothing in NO_TENANT),
        *((nothing, "another", "foreign_tenant") for nothing in NO_TENANT),
        *((HERE, nothing, "") for nothing in (None, "", TENANT.upper())),
        *((ELSEWHERE, nothing, "foreign_tenant") for nothing in (None, "", "another")),
        (HERE, "another", "two_tenants"),
        (ELSEWHERE, TENANT, "two_tenants"),
        (ELSEWHERE, "a third", "two_tenants"),
        (HERE, 7, "two_tenants"),
        ({"tenant": {"id": [TENANT]}}, TENANT, "two_tenants"),
        ({"tenant": {"id": {}}}, None, "foreign_tenant"),
    ],
)
async def test_the_tenant_stands_in_channel_data_or_conversation_and_is_a_single_one(
    channel_data: object, tenant_id: object, reason: str
) -> None:
    async with bench() as b:
        claims = await b.verifier.verify_header(f"Bearer {b.microsoft.token()}")
        conversation = {"id": "a:1", "tenantId": tenant_id}
        activity = b.microsoft.activity(channelData=channel_data, conversation=conversation)

        if not reason:
            b.verifier.bind(claims, activity)
            return
        with pytest.raises(Refused) as refused:
            b.verifier.bind(claims, activity)
        assert (refused.value.status, refused.value.reason) == (403, reason)


@pytest.mark.parametrize("url", ["HTTP://LocalHost:{}/emea/", "http://localhost:{}/emea", "Http://LOCALHOST:{}/emea/"])
@pytest.mark.parametrize("signed_url", ["http://localhost:{}/emea/", "hTTP://lOCALHOST:{}/emea"])
async def test_service_urls_are_compared_without_regard_to_case_of_scheme_and_host(url: str, signed_url: str) -> None:
    async with bench() as b:
        port = b.microsoft.url.rpartition(":")[2]
        cloud = custom(f"{b.microsoft.url}/openid", b.microsoft.url, [f"localhost:{port}"])
        async with httpx.AsyncClient() as http:
            verifier = Verifier(cloud, APP, frozenset({TENANT}), http)
            token = b.microsoft.token(serviceurl=signed_url.format(port))
            claims = await verifier.verify_header(f"Bearer {token}")

            bound = verifier.bind(claims, b.microsoft.activity(serviceUrl=url.format(port)))
            assert bound["serviceUrl"].removesuffix("/") == f"http://localhost:{port}/emea"

            for other in (
                "http://localhost:{}/EMEA/",
                "http://localho\u017ft:{}/emea/",
            ):  # the long s is an s in capitals
                with pytest.raises(Refused):
                    verifier.bind(claims, b.microsoft.activity(serviceUrl=other.format(port)))


@pytest.mark.parametrize(
    "kind", ["installationUpdate", "conversationUpdate", "messageUpdate", "messageDelete", "messageReaction"]
)
async def test_an_event_without_service_url_has_the_address_of_its_token(kind: str) -> None:
    async with bench() as b:
        claims = await b.verifier.verify_header(f"Bearer {b.microsoft.token()}")
        event = b.microsoft.activity(type=kind)
        del event["serviceUrl"]

        assert b.verifier.bind(claims, event)["serviceUrl"] == f"{b.microsoft.url}/emea/"
        assert b.verifier.bind(claims, {**event, "serviceUrl": None})["serviceUrl"] == f"{b.microsoft.url}/emea/"
        with pytest.raises(Refused):
            b.verifier.bind(claims, {**event, "serviceUrl": "https://evil.example/"})


async def test_a_signed_address_outside_the_cloud_is_forbidden() -> None:
    async with bench() as b:
        evil = "https://evil.trafficmanager.net/"
        claims = await b.verifier.verify_header(f"Bearer {b.microsoft.token(serviceurl=evil)}")

        with pytest.raises(Refused) as refused:
            b.verifier.bind(claims, b.microsoft.activity(serviceUrl=evil))
        assert (refused.value.status, refused.value.reason) == (403, "foreign_service_host")


@pytest.mark.parametrize("endorsements", [[], ["webchat"], "msteams", None, [["msteams"]]])
async def test_a_key_without_endorsement_for_teams_is_forbidden(endorsements: object) -> None:
    async with bench() as b:
        b.microsoft.keys = [public_jwk(KEYS[0], "k0", endorsements)]

        assert await b.bound(b.microsoft.activity()) == 403


async def test_a_new_signing_key_is_waited_for() -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        b.microsoft.keys.append(public_jwk(KEYS[1], "k1"))

        assert await b.later_verdict(b.microsoft.token(KEYS[1], "k1")) == 200

        assert await b.verdict(b.microsoft.token()) == 200
        assert b.microsoft.fetches == 2


async def test_a_strangers_key_id_does_not_shut_out_a_new_signing_key() -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        assert await b.later_verdict(b.microsoft.token(KEYS[1], "invented")) == 401
        b.microsoft.keys = [public_jwk(KEYS[1], "k1")]

        assert await b.later_verdict(b.microsoft.token(KEYS[1], "k1")) == 200


async def test_keys_of_a_fetch_begun_before_the_activity_came_do_not_refuse_it() -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        b.times.monotonic += 5
        b.microsoft.admission.clear()
        early = asyncio.create_task(b.verdict(b.microsoft.token(KEYS[1], "invented")))
        await until(lambda: b.microsoft.fetches == 2)
        b.times.monotonic += 0.1
        late = asyncio.create_task(b.verdict(b.microsoft.token(KEYS[1], "k1")))
        await asyncio.sleep(0.02)
        b.microsoft.admission.set()
        assert await early == 401
        b.microsoft.keys.append(public_jwk(KEYS[1], "k1"))
        await until(lambda: any(end < b.times.monotonic + 5 for end in b.times.due))

        b.times.monotonic += 4.9

        assert await late == 200
        assert b.microsoft.fetches == 3


async def test_an_activity_waits_six_seconds_for_keys_at_most() -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        b.times.monotonic += 5
        b.microsoft.admission.clear()
        waiting = asyncio.create_task(b.reason(b.microsoft.token(KEYS[1], "k1")))
        await until(lambda: b.microsoft.fetches == 2)
        b.times.monotonic += 5.9
        await asyncio.sleep(0.05)
        assert not waiting.done()

        b.times.monotonic += 0.2

        assert await waiting == (503, "keys_not_fetched")
        b.microsoft.admission.set()


async def test_a_key_id_is_not_refused_while_keys_cannot_be_fetched() -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        b.times.monotonic += 5
        b.microsoft.status = 500

        assert await b.later_verdict(b.microsoft.token(KEYS[1], "k1")) == 503

        assert b.microsoft.fetches == 3
        b.microsoft.status = 200
        b.microsoft.keys.append(public_jwk(KEYS[1], "k1"))
        assert await b.later_verdict(b.microsoft.token(KEYS[1], "k1")) == 200


async def test_64_requests_may_wait_for_keys_and_the_next_is_told_to_come_again() -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        waiting = [asyncio.create_task(b.verdict(b.microsoft.token(KEYS[1], f"invented-{n}"))) for n in range(64)]
        await until(lambda: len(b.times.due) == 65)  # the limit of each, and the pause of the fetch

        assert await b.reason(b.microsoft.token(KEYS[1], "k1")) == (503, "too_many_wait_for_keys")
        assert await b.verdict(b.microsoft.token(jti="another")) == 200
        b.times.monotonic += 5

        assert await asyncio.gather(*waiting) == [401] * 64
        assert b.microsoft.fetches == 2
        b.microsoft.keys.append(public_jwk(KEYS[1], "k1"))
        assert await b.later_verdict(b.microsoft.token(KEYS[1], "k1")) == 200


@given(
    gaps=st.lists(st.floats(0, 4), min_size=1, max_size=20),
    outage=st.integers(0, 20),
    rotation=st.integers(0, 19),
)
@settings(max_examples=50, deadline=None)
def test_strangers_and_outages_never_cost_a_new_key_more_than_a_repeat(
    gaps: list[float], outage: int, rotation: int
) -> None:
    asyncio.run(_storm(gaps, outage, rotation))


async def slices(document: object) -> AsyncIterator[bytes]:
    yield json.dumps(document).encode()


async def _storm(gaps: list[float], outage: int, rotation: int) -> None:
    """After each of `gaps` a stranger comes; fetches fail until number `outage`; a new key comes at `rotation`.

    Fetches begin five seconds apart, each request waits six seconds at most, and the new key's request is answered 200,
    or 503 if no keys could be fetched, and 200 when Teams sends the request again.
    """
    times, fetches = Steps(), list[float]()
    published, failing = [public_jwk(KEYS[0], "k0")], False

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/keys":
            return httpx.Response(200, content=slices({"keys": published}))
        fetches.append(times.monotonic)
        metadata = {"issuer": ISSUER, "jwks_uri": "http://127.0.0.1:1/keys"}
        return httpx.Response(500 if failing else 200, content=slices(metadata))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        cloud = custom("http://127.0.0.1:1/openid", "http://127.0.0.1:1", ["127.0.0.1:1"])
        keys = SigningKeys(cloud, http, monotonic=lambda: times.monotonic, sleep=times.sleep)

        async def found(kid: str) -> bool | None:
            came = times.monotonic
            try:
                return await keys.find(kid) is not None
            except KeysNotFetched:
                return None
            finally:
                assert times.monotonic - came <= 6

        assert await found("k0")
        honest = None
        strangers = []
        for number, gap in enumerate(gaps):
            failing = number < outage
            await times.go_on(gap)
            if number == rotation:
                published.append(public_jwk(KEYS[1], "k1"))
                honest = asyncio.create_task(found("k1"))
            strangers.append(asyncio.create_task(found(f"invented-{number}")))
        failing = False
        await times.go_on(12)

        assert all(later - earlier >= 5 for earlier, later in pairwise(fetches))
        assert not any([await stranger for stranger in strangers])
        if honest is not None:
            assert await honest is not False
            assert await honest or outage
            again = asyncio.create_task(found("k1"))
            await times.go_on(6)
            assert await again


async def test_a_token_for_a_different_bot_causes_no_fetch() -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token(kid="invented", aud="somebody")) == 401

        assert b.microsoft.fetches == 0


async def test_a_withdrawn_key_stops_working_with_the_next_key_set() -> None:
    async with bench() as b:
        old = b.microsoft.token()
        assert await b.verdict(old) == 200
        b.microsoft.keys = [public_jwk(KEYS[1], "k1")]

        assert await b.later_verdict(b.microsoft.token(KEYS[1], "k1")) == 200
        assert await b.later_verdict(old) == 401


async def test_before_the_first_keys_are_loaded_a_plausible_token_gets_503() -> None:
    async with bench() as b:
        b.microsoft.status = 503

        assert await b.later_verdict(b.microsoft.token()) == 503
        assert await b.verdict(b.microsoft.token(aud="somebody")) == 401
        assert await b.verdict("garbage") == 401
        assert not b.verifier.ready


async def test_keys_are_loaded_as_soon_as_microsoft_answers_again() -> None:
    async with bench() as b:
        b.microsoft.status = 503
        async with running(b.verifier):
            await until(lambda: len(b.times.sleeps) == 1)
            assert not b.verifier.ready

            b.microsoft.status = 200
            b.times.awake.set()
            await until(lambda: b.verifier.ready)

        assert b.times.sleeps[0] <= 3
        assert await b.verdict(b.microsoft.token()) == 200


async def test_keys_are_refreshed_in_the_background_without_any_request() -> None:
    async with bench() as b, running(b.verifier):
        await until(lambda: len(b.times.sleeps) == 1)
        assert b.microsoft.fetches == 1
        assert b.times.sleeps[0] <= 24 * 3600 / 2
        b.microsoft.keys = [public_jwk(KEYS[1], "k1")]

        b.times.awake.set()
        await until(lambda: b.microsoft.fetches >= 2)
        b.times.awake.clear()

        assert await b.verdict(b.microsoft.token(KEYS[1], "k1")) == 200


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500},
        {"status": 302},
        {"keys": []},
        {"keys": "none"},
        {"keys": [{"kid": "k0"}]},
        {"metadata": {"issuer": ISSUER, "jwks_uri": "http://127.0.0.1:9/keys"}},
        {"metadata": {"issuer": ISSUER, "jwks_uri": "https://evil.example/keys"}},
        {"metadata": {"issuer": ISSUER, "jwks_uri": 7}},
        {"metadata": {"issuer": 7}},
        {"metadata": {"issuer": ISSUER, "padding": "x" * 600_000}},
    ],
)
async def test_the_old_keys_stay_when_a_refresh_fails(trouble: dict[str, Any]) -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        for name, value in trouble.items():
            setattr(b.microsoft, name, value)
        if "keys" not in trouble:
            b.microsoft.keys.append(public_jwk(KEYS[1], "k1"))

        assert await b.later_verdict(b.microsoft.token(KEYS[1], "k1")) == 503
        assert b.microsoft.fetches == 2
        assert await b.verdict(b.microsoft.token(jti="another")) == 200


async def test_keys_are_not_fetched_from_a_foreign_origin() -> None:
    async with bench() as b:
        elsewhere = b.microsoft.url.replace("127.0.0.1", "localhost")
        b.microsoft.metadata["jwks_uri"] = f"{elsewhere}/keys"

        assert await b.later_verdict(b.microsoft.token()) == 503
        b.microsoft.metadata["jwks_uri"] = f"{b.microsoft.url}/keys"
        b.times.monotonic += 5
        assert await b.verdict(b.microsoft.token()) == 200


async def test_an_unusable_key_does_not_make_the_key_list_unusable() -> None:
    async with bench() as b:
        strange = [None, 7, {}, {"kid": "e", "kty": "EC"}, {"kid": "k0", "kty": "RSA", "n": "!", "e": 1}]
        b.microsoft.keys = [*strange, *b.microsoft.keys, public_jwk(WEAK, "weak")]

        assert await b.verdict(b.microsoft.token()) == 200
        assert await b.later_verdict(b.microsoft.token(KEYS[1], "weak")) == 401


async def test_a_private_key_in_the_key_list_is_ignored() -> None:
    async with bench() as b:
        private = {**RSAAlgorithm.to_jwk(KEYS[1], as_dict=True), "kid": "k1", "use": "sig"}
        b.microsoft.keys.append(private)
        b.times.monotonic += 5

        assert await b.verdict(b.microsoft.token(KEYS[1], "k1")) == 401


async def test_requests_that_wait_for_the_first_keys_share_a_single_fetch() -> None:
    slow = Microsoft()
    async with bench(slow) as b:
        waiting = [asyncio.create_task(b.verdict(slow.token(jti=str(n)))) for n in range(20)]
        await until(lambda: slow.fetches == 1)
        slow.admission.set()

        assert await asyncio.gather(*waiting) == [200] * 20
        assert slow.fetches == 1


async def test_slow_metadata_does_not_delay_requests_with_a_known_key() -> None:
    async with bench() as b:
        assert await b.verdict(b.microsoft.token()) == 200
        b.microsoft.admission.clear()
        b.times.monotonic += 5
        stranger = asyncio.create_task(b.verdict(b.microsoft.token(KEYS[1], "k1")))
        await until(lambda: b.microsoft.fetches == 2)

        async with asyncio.timeout(1):
            assert await b.verdict(b.microsoft.token(jti="another")) == 200
        assert not stranger.done()

        b.microsoft.admission.set()
        assert await stranger == 401


async def test_a_cancelled_request_does_not_cancel_the_shared_fetch() -> None:
    slow = Microsoft()
    async with bench(slow) as b:
        leaver = asyncio.create_task(b.verdict(slow.token()))
        stayer = asyncio.create_task(b.verdict(slow.token(jti="2")))
        await until(lambda: slow.fetches == 1)
        leaver.cancel()
        slow.admission.set()

        assert await stayer == 200
        with pytest.raises(asyncio.CancelledError):
            await leaver


async def test_an_empty_app_id_is_an_error() -> None:
    """botbuilder accepts every post without a token then (docs/reference/teams.md, "botbuilder's inbound path")."""
    async with bench() as b, httpx.AsyncClient() as http:
        cloud = custom(f"{b.microsoft.url}/openid", b.microsoft.url, ["127.0.0.1:1"])
        with pytest.raises(ValueError, match="app id"):
            Verifier(cloud, "", frozenset({TENANT}), http)
