"""Hostile and broken requests: never a 5xx, never accepted, never stored; honest users are not disturbed."""

from __future__ import annotations

import asyncio
import io
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from support.listener import Listener, request
from support.process_world import World, eventually, free_port, world
from support.servers import stop_server

from bridge.simulator.teams import activities
from bridge.simulator.teams.identity import ISSUER, SigningKey

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SEED = 20_261_122
BODIES = 10_000
CONNECTIONS = 16


@dataclass
class Hostile:
    """The world, a published key for a different channel, and a key that is not published."""

    world: World
    unendorsed: SigningKey
    stranger: SigningKey


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hostile]:
    # BRIDGE_WELCOME is off because the bridge would greet hundreds of forged installations, slowed by its send limits.
    async with world(tmp_path_factory.mktemp("hostile"), BRIDGE_WELCOME="false") as made:
        keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
        unendorsed, stranger = SigningKey("other-channel", keys[0]), SigningKey("simulated-teams-1", keys[1])
        runner = web.AppRunner(_metadata(made, unendorsed))
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        made.bridge.environment["TEAMS_OPENID_URL"] = f"http://127.0.0.1:{port}/metadata"
        await made.start()
        await made.teams.call("POST", "/api/chats/personal-alice/open", {"as": "alice"})
        yield Hostile(made, unendorsed, stranger)
        await stop_server(runner)


def _metadata(made: World, unendorsed: SigningKey) -> web.Application:
    """Bot Framework's metadata with a further key, which may not sign for Teams."""

    async def document(request: web.Request) -> web.Response:
        return web.json_response({"issuer": ISSUER, "jwks_uri": f"http://{request.host}/keys"})

    async def keys(_: web.Request) -> web.Response:
        other = {**unendorsed.published(), "endorsements": ["webchat"]}
        return web.json_response({"keys": [*made.teams.identity.bot_framework_keys(), other]})

    app = web.Application()
    app.add_routes([web.get("/metadata", document), web.get("/keys", keys)])
    return app


def claims(here: Hostile, **changes: Any) -> dict[str, Any]:
    identity, now = here.world.teams.identity, int(time.time())
    own = {
        "serviceurl": identity.service_url,
        "nbf": now - 300,
        "exp": now + 3600,
        "iss": ISSUER,
        "aud": identity.app.app_id,
    }
    return {name: value for name, value in {**own, **changes}.items() if value is not None}


def bad_tokens(here: Hostile) -> dict[str, str]:
    """Invalid tokens by the kind of fault.

    Includes the cases of docs/reference/teams.md, "Why the bridge verifies tokens itself".
    """
    identity, now = here.world.teams.identity, int(time.time())
    sign, app = identity.sign_as_channel, identity.app
    good = sign(now)
    head, body, signature = good.split(".")
    swapped = signature[:-8] + ("A" * 8 if signature[-8:] != "A" * 8 else "B" * 8)
    public = here.unendorsed.private.public_key()
    return {
        "no header": "",
        "garbage": "garbage",
        "three garbage parts": "a.b.c",
        "broken signature": f"{head}.{body}.{swapped}",
        "no signature": f"{head}.{body}.",
        "expired": sign(now, exp=now - 301, nbf=now - 4000),
        "not yet valid": sign(now, nbf=now + 1000),
        "no exp": sign(now, exp=None),
        "no issuer": sign(now, iss=None),
        "other issuer": sign(now, iss="https://api.botframework.us"),
        "emulator issuer": sign(now, iss="https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/"),
        "other audience": sign(now, aud="00000000-0000-0000-0000-000000000001"),
        "audience as a list": sign(now, aud=[app.app_id]),
        "no audience": sign(now, aud=None),
        "no serviceurl": sign(now, serviceurl=None),
        "exp as words": sign(now, exp="never"),
        "unknown key": SigningKey("nobody-knows", here.stranger.private).sign(claims(here)),
        "known kid, other key": here.stranger.sign(claims(here)),
        "no kid": jwt.encode(claims(here), here.stranger.private, algorithm="RS256"),
        "kid is a number": jwt.encode(claims(here), here.stranger.private, algorithm="RS256", headers={"kid": "7"}),
        "alg none": jwt.encode(claims(here), "", algorithm="none", headers={"kid": "simulated-teams-1"}),
        "alg HS256": jwt.encode(claims(here), "x" * 32, algorithm="HS256", headers={"kid": "simulated-teams-1"}),
        "alg RS512": jwt.encode(claims(here), here.unendorsed.private, "RS512", headers={"kid": here.unendorsed.kid}),
        "our own outbound token": identity.issue(),
        "a public key as text": str(public.public_numbers().n),
        "as long as a header may be": good + "A" * (8_000 - len(good)),
    }


async def test_a_post_without_a_good_token_is_401_and_empty(here: Hostile) -> None:
    activity = here.world.activity("alice", "mark-token", "1700000000010")
    answers = {name: await here.world.post(activity, bearer=token) for name, token in bad_tokens(here).items()}
    assert {name: answer for name, answer in answers.items() if answer != (401, b"")} == {}


async def test_a_good_token_is_accepted_for_its_own_activity_only(here: Hostile) -> None:
    now, identity = int(time.time()), here.world.teams.identity
    good = here.world.activity("alice", "mark-binding", "1700000000011")
    without = {name: {k: v for k, v in good.items() if k != name} for name in good}
    foreign_tenant = {"tenant": {"id": "00000000-0000-0000-0000-000000000002"}}
    other_tenant = {**good["conversation"], "tenantId": "00000000-0000-0000-0000-000000000002"}
    elsewhere = "https://evil.example/"
    for_elsewhere = identity.sign_as_channel(now, serviceurl=elsewhere)
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "no serviceUrl": (without["serviceUrl"], ""),
        "other serviceUrl": ({**good, "serviceUrl": elsewhere}, ""),
        "serviceUrl of no connector": ({**good, "serviceUrl": elsewhere}, for_elsewhere),
        "no channelId": (without["channelId"], ""),
        "other channelId": ({**good, "channelId": "webchat"}, ""),
        "key not endorsed": (good, here.unendorsed.sign(claims(here))),
        "no tenant": ({**without["channelData"], "conversation": {"id": good["conversation"]["id"]}}, ""),
        "foreign tenant": ({**good, "channelData": foreign_tenant}, ""),
        "two tenants": ({**good, "conversation": other_tenant}, ""),
        "no conversation": (without["conversation"], ""),
    }
    answers = {name: await here.world.post(body, bearer=token or None) for name, (body, token) in cases.items()}
    assert {name: answer for name, answer in answers.items() if answer != (403, b"")} == {}


async def test_wrong_methods_types_and_sizes_are_4xx_with_an_empty_body(here: Hostile) -> None:
    bearer = {"Authorization": f"Bearer {here.world.teams.identity.channel_token()}"}
    json = {**bearer, "Content-Type": "application/json"}
    url = f"{here.world.bridge.base}/api/messages"

    async def answer(method: str, headers: dict[str, str], data: bytes) -> tuple[int, bytes]:
        async with here.world.http.request(
            method, url, headers=headers, data=io.BytesIO(data), skip_auto_headers={"Content-Type"}
        ) as response:
            return response.status, await response.read()

    assert await answer("DELETE", bearer, b"") == (405, b"")
    assert await answer("PUT", json, b"{}") == (405, b"")
    assert await answer("POST", bearer, b"{}") == (415, b"")
    assert await answer("POST", {**bearer, "Content-Type": "text/plain"}, b"{}") == (415, b"")
    large = b"{" + b" " * 1_040_000 + b"}"
    assert await answer("POST", json, large + b" " * 10_000) == (413, b"")
    assert await answer("POST", {"Content-Type": "application/json"}, large + b" " * 10_000) == (401, b"")
    assert await answer("POST", json, large) == (403, b"")
    assert await answer("POST", json, b"") == (400, b"")
    assert await answer("POST", json, b"[]") == (400, b"")
    for coding in ("gzip", "deflate", "br", "zstd"):
        compressed = {"Content-Type": "application/json", "Content-Encoding": coding}
        assert await answer("POST", compressed, b"not compressed at all") == (401, b"")
        assert await answer("POST", {**bearer, **compressed}, b"not compressed at all") == (415, b"")
    async with here.world.http.get(f"{here.world.bridge.base}/no/such/page") as missing:
        assert (missing.status, await missing.read()) == (404, b"")


@pytest.mark.parametrize(
    ("target", "status"),
    [("POST /api/messages", 401), ("GET /healthz", 200), ("POST /admin/api/pause", 415), ("GET /admin/metrics", 415)],
)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_neither_listener_inflates_a_body(here: Hostile, coding: str, target: str, status: int) -> None:
    """An inflating parser would fail at the body and end the connection, so the second request would get no answer."""
    bridge, method_and_path = here.world.bridge.environment, target.replace("/admin", "")
    port = int(bridge["BRIDGE_ADMIN_PORT" if "/admin" in target else "BRIDGE_PORT"])
    first = request(method_and_path, f"Content-Encoding: {coding}", body=b"not compressed at all", last=False)
    answer = await Listener(port).exchange(first, request("GET /healthz"))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [str(status).encode(), b"200"]


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /api/messages HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /api/messages HTTP/1.1\r\nHost: x\r\nAuthorization: " + b"A" * 70_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"GET http://other.example/api/messages HTTP/9.9\r\n\r\n",
    ],
    ids=["negative length", "two lengths", "endless header", "TLS", "other HTTP"],
)
async def test_bytes_that_are_no_http_are_a_4xx(here: Hostile, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(here.world.bridge.environment["BRIDGE_PORT"]))
    writer.write(raw)
    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", line)


async def test_a_client_that_disconnects_within_its_body_leaves_no_trace(here: Hostile) -> None:
    bearer = here.world.teams.identity.channel_token()
    head = f"POST /api/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", int(here.world.bridge.environment["BRIDGE_PORT"]))
        writer.write(head.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert await here.world.bridge.readiness(here.world.http) == 200
    # The last test checks the whole log for errors.


@dataclass(frozen=True)
class Attempt:
    """A POST: `signed` requests have Teams' own bearer; `status` is the expected answer."""

    body: bytes
    signed: bool
    status: int


EVENTS = ("installationUpdate", "conversationUpdate", "messageUpdate", "messageDelete", "messageReaction")


def fits_token(activity: object, good: dict[str, Any]) -> bool:
    """Whether the token's claims fit the activity; an implementation independent of the bridge's check.

    Rules: docs/reference/teams.md, "What an inbound token must prove".
    """
    if not isinstance(activity, dict):
        return False
    data, conversation = activity.get("channelData"), activity.get("conversation")
    tenant = data.get("tenant") if isinstance(data, dict) else None
    named = [part.get(key) for part, key in ((tenant, "id"), (conversation, "tenantId")) if isinstance(part, dict)]
    present = [str(value).lower() for value in named if value is not None and value != ""]
    url = activity.get("serviceUrl")
    if url is None or url == "":
        right_url = activity.get("type") in EVENTS
    else:
        right_url = url in (good["serviceUrl"], good["serviceUrl"].rstrip("/"))
    return (
        right_url
        and activity.get("channelId") == "msteams"
        and isinstance(conversation, dict)
        and bool(present)
        and all(value == good["channelData"]["tenant"]["id"] for value in present)
    )


def expected(body: bytes, good: dict[str, Any], *, signed: bool) -> int:
    if not signed:
        return 401
    try:
        activity = orjson.loads(body)
    except orjson.JSONDecodeError:
        return 400
    if not isinstance(activity, dict):
        return 400
    return 200 if fits_token(activity, good) else 403


_ODD: tuple[object, ...] = (
    None, True, False, 0, -1, 2**63, 2**64 - 1, -(2**63), 1e308, 0.1, "", " ", "\x00", "\u202e", "😀" * 50, "x" * 5000,
    "/../..", "a:b;c|d", "%00%ff", [], {}, [[]], [None], {"": None}, {"id": 7}, {"id": "x", "name": []}, "28:bot",
    "<at>GoClaw</at>", "<div><p>" * 200, "{}", "' OR 1=1 --", ["a"] * 300, [{"type": "mention", "mentioned": None}],
)  # fmt: skip
ODD = [orjson.dumps(value) for value in _ODD]


def nested(depth: int, *, lists: bool) -> str:
    return "[" * depth + "]" * depth if lists else '{"a":' * depth + "1" + "}" * depth


def with_odd_field(chance: random.Random, activity: dict[str, Any]) -> None:
    """Replace or remove a field somewhere in the activity."""
    node: Any = activity
    for _ in range(chance.randrange(4)):
        inner = [v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, dict | list) and v]
        if not inner:
            break
        node = chance.choice(inner)
    key = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
    if isinstance(node, dict) and chance.random() < 0.15:
        del node[key]
    else:
        node[key] = orjson.loads(chance.choice(ODD))


def mutated(chance: random.Random, number: int, bases: list[bytes]) -> bytes:
    """A hostile body, made from a real activity; a message keeps a text and a conversation with its own number."""
    activity = orjson.loads(chance.choice(bases))
    activity["id"] = f"{activity['id']}{number}"
    activity["conversation"]["id"] = f"a:mark-{number}-"
    if "text" in activity:
        activity["text"] = f"count to 1, mark-{number}-"
        del activity["attachments"]
    damage = chance.choice((noise, cut_off, flipped, too_deep, too_large_a_number, *[odd_fields] * 5))
    return damage(chance, activity)


def noise(chance: random.Random, _activity: dict[str, Any]) -> bytes:
    return chance.randbytes(chance.randrange(600))


def cut_off(chance: random.Random, activity: dict[str, Any]) -> bytes:
    return orjson.dumps(activity)[: chance.randrange(1500)]


def flipped(chance: random.Random, activity: dict[str, Any]) -> bytes:
    damaged = bytearray(orjson.dumps(activity))
    for _ in range(chance.randrange(1, 6)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged)


def too_deep(chance: random.Random, activity: dict[str, Any]) -> bytes:
    deep = nested(chance.choice((50, 250, 300, 900, 1100, 20_000)), lists=chance.random() < 0.5)
    if chance.random() < 0.3:
        return deep.encode()
    if activity["type"] == "invoke":
        activity["value"] = {"action": {"type": "Action.Execute", "verb": "askAgain", "data": "DEEP"}}
    else:
        activity[chance.choice((*activity, "data", "entities"))] = "DEEP"
    return orjson.dumps(activity).replace(b'"DEEP"', deep.encode())


def too_large_a_number(chance: random.Random, activity: dict[str, Any]) -> bytes:
    huge = chance.choice(("9" * 400, "-" + "9" * 30, "1e400", "1E-400", "0." + "0" * 300 + "1", "NaN", "-0"))
    activity[chance.choice((*activity, "value"))] = "HUGE"
    return orjson.dumps(activity).replace(b'"HUGE"', huge.encode())


def odd_fields(chance: random.Random, activity: dict[str, Any]) -> bytes:
    for _ in range(chance.randrange(1, 4)):
        with_odd_field(chance, activity)
    return orjson.dumps(activity)


def real_activities(here: World) -> list[dict[str, Any]]:
    """A real activity of each kind from Teams."""
    chat, group = here.envelope("alice", "personal-alice"), here.envelope("bob", "launch-team")
    action = {"type": "Action.Execute", "verb": "askAgain", "data": {"turn": 1}}
    return [
        activities.message(chat, "17", "text"),
        activities.message(group, "17", "text"),
        activities.edit(chat, "17", "text"),
        activities.delete(chat, "17"),
        activities.reaction(chat, "17", "1", "like"),
        activities.installation(chat, "17", "add"),
        activities.bot_added(chat, "17"),
        activities.card_execute(chat, "17", "1", action),
        activities.card_execute(chat, "17", "1", {**action, "verb": "newSession"}),
        activities.card_submit(chat, "17", "1", {"type": "Action.Submit", "data": {"x": 1}}),
    ]


def attempts(here: World) -> Iterator[Attempt]:
    chance, real = random.Random(SEED), real_activities(here)
    bases = [orjson.dumps(activity) for activity in real]
    for number in range(BODIES):
        body, signed = mutated(chance, number, bases), chance.random() < 0.5
        yield Attempt(body, signed, expected(body, real[0], signed=signed))


class Client:
    """A keep-alive client that writes raw bytes, without an HTTP library."""

    def __init__(self, port: int, bearer: str) -> None:
        self._port = port
        self._bearer = bearer
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, attempt: Attempt) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        lines = ["POST /api/messages HTTP/1.1", "Host: bridge", "Content-Type: application/json"]
        lines += [f"Authorization: Bearer {self._bearer}"] if attempt.signed else []
        lines += [f"Content-Length: {len(attempt.body)}", "", ""]
        writer.write("\r\n".join(lines).encode() + attempt.body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"^content-length: (\d+)", head, re.IGNORECASE | re.MULTILINE)
        body = await reader.readexactly(int(length[1]) if length else 0)
        if re.search(r"^connection: close", head, re.IGNORECASE | re.MULTILINE):
            await self.close()
        return int(head.split(" ", 2)[1]), body

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def bombard(here: World, waiting: list[tuple[int, Attempt]]) -> dict[int, tuple[int, bytes]]:
    """Send all attempts over CONNECTIONS connections; returns status and body by number."""
    answers: dict[int, tuple[int, bytes]] = {}

    async def one_connection() -> None:
        client = Client(int(here.bridge.environment["BRIDGE_PORT"]), here.teams.identity.channel_token())
        while waiting:
            number, attempt = waiting.pop()
            async with asyncio.timeout(20):
                answers[number] = await client.post(attempt)
        await client.close()

    await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))
    return answers


async def test_after_ten_thousand_hostile_bodies_the_bridge_still_answers(here: Hostile) -> None:
    """Must be the last test, since the bridge is ended to examine the store."""
    bridge = here.world.bridge
    await here.world.idle()
    accepted_before = await accepted(here.world)
    plan = dict(enumerate(attempts(here.world)))

    answers = await bombard(here.world, list(plan.items()))

    wrong = {n: (plan[n], answer) for n, answer in answers.items() if answer[0] != plan[n].status}
    assert wrong == {}, f"{len(wrong)} wrong, the first: {next(iter(wrong.values()))}"
    assert [answer for answer in answers.values() if answer[0] != 200 and answer[1]] == []
    counted = Counter(status for status, _ in answers.values())
    assert counted.total() == BODIES
    # The bodies must be a mixture that reaches every kind of answer.
    assert all(counted[status] > 200 for status in (200, 400, 401, 403)), counted

    await here.world.idle()  # accepted bodies are questions of Alice, too; her next question would wait behind
    chat, question = "personal-alice", await here.world.say("personal-alice", "alice", "my name is Alice")
    assert (await here.world.bot_texts(chat, 1, question))[0].startswith("Hello Alice.")
    kept = await accepted(here.world) - accepted_before
    bridge.ask_to_end()
    await bridge.ended(30)

    rows = here.world.rows()
    taken = {n for n, (status, _) in answers.items() if status == 200}
    marks = {int(found) for row in rows for found in re.findall(rb"mark-(\d+)-", _all_of(row))}
    assert marks, "honest activities among them are kept"
    assert marks - taken == set(), "something refused was stored"
    assert not any(word in _all_of(row) for row in rows for word in (b"mark-token", b"mark-binding"))
    assert kept <= len(taken) + 1
    assert "Traceback" not in bridge.output()
    assert "_broken" not in bridge.output()
    assert "task_failed" not in bridge.output()
    await eventually(lambda: not bridge.alive, "it has ended")


async def accepted(here: World) -> float:
    """The bridge's own count of accepted activities."""
    verdicts = await here.bridge.metric(here.http, "bridge_inbound_requests_total")
    return verdicts.get('verdict="accepted"', 0.0)


def _all_of(row: Any) -> bytes:
    return b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in tuple(row))
