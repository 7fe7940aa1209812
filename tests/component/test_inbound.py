"""The endpoint for activities on a real listener with real tokens: order of checks, bodies, events, answers."""

from __future__ import annotations

import asyncio
import io
import random
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import jwt
import orjson
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from support.listener import COMPRESSED, UNCOMPRESSED, ZEROS, Lines, Listener, listening, request
from support.servers import serving_on_test_port

from bridge import metrics
from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.core.inbound.activities import (
    CardAction,
    Deleted,
    Edited,
    Event,
    FileConsent,
    Ignored,
    Installed,
    Removed,
    UserMessage,
)
from bridge.core.inbound.feedback import Rated
from bridge.engine.handler import ClickResponse
from bridge.teams.authentication import Verifier
from bridge.teams.clouds import custom
from bridge.teams.inbound import Inbound
from bridge.web.public import MAX_BODY, public_app

SAMPLES = {
    path.stem: orjson.loads(path.read_bytes()) for path in (Path(__file__).parent.parent / "samples").glob("*.json")
}
TENANT = "3f2b8c1e-6a4d-4c7e-9b55-0d1e2f3a4b5c"
APP = "8a1d5c0e-2b7f-4e63-9d10-7c5b4a392816"
ISSUER = "https://api.botframework.com"
KEY, FOREIGN_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
NO_ROOTS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading the machine's certificates takes 50 ms each time
JSON = "application/json; charset=utf-8"
IGNORED_SAMPLES = (
    "typing",
    "read_receipt",
    "unknown_type",
    "update_unknown",
    "reaction_neutral",
    "feedback_fetch_task",
    "member_added",
    "other_bot",
)


@dataclass
class Endpoint:
    """The bridge's public listener, signed tokens for its service URL, and the received events."""

    http: aiohttp.ClientSession
    listener: Listener = field(default_factory=lambda: Listener(0))
    service_url: str = ""
    url: str = ""
    received: list[Event] = field(default_factory=list)
    click: ClickResponse | None = None
    trouble: Exception | None = None

    async def receive(self, event: Event) -> ClickResponse | None:
        self.received.append(event)
        if self.trouble is not None:
            raise self.trouble
        return self.click

    def token(self, key: rsa.RSAPrivateKey = KEY, **changes: Any) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": APP, "nbf": now - 60, "exp": now + 600, "serviceurl": self.service_url}
        return jwt.encode(claims | changes, key, "RS256", {"kid": "k"})

    def activity(self, sample: str = "personal", /, **changes: Any) -> dict[str, Any]:
        return {**SAMPLES[sample], "serviceUrl": self.service_url, **changes}

    async def post(
        self, body: Any, *, token: str | None = None, content_type: str = JSON, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a POST with `token`, by default a valid token."""
        data = (
            body
            if isinstance(body, AsyncIterator)
            else io.BytesIO(body if isinstance(body, bytes) else orjson.dumps(body))
        )
        sent = {"Authorization": f"Bearer {token or self.token()}", "Content-Type": content_type, **headers}
        async with self.http.post(f"{self.url}/api/messages", data=data, headers=sent) as answer:
            return answer.status, await answer.read()

    async def raw(self, *lines: str, body: bytes = b"") -> bytes:
        """The status line of the answer to a hand-written request; after `body` no more bytes are sent."""
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            head = "\r\n".join(["POST /api/messages HTTP/1.1", f"Host: {host}", *lines, "", ""])
            writer.write(head.encode() + body)
            await writer.drain()
            async with asyncio.timeout(30):
                return await reader.readline()
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def endpoint(read_seconds: float = 5.0) -> AsyncIterator[Endpoint]:
    async def openid(request: web.Request) -> web.Response:
        return web.json_response({"issuer": ISSUER, "jwks_uri": f"http://{request.host}/keys"})

    async def keys(_: web.Request) -> web.Response:
        public = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        return web.json_response({"keys": [{**public, "kid": "k", "endorsements": ["msteams"]}]})

    microsoft = web.Application()
    microsoft.add_routes([web.get("/openid", openid), web.get("/keys", keys)])
    async with (
        serving_on_test_port(microsoft) as theirs,
        httpx.AsyncClient(verify=NO_ROOTS) as client,
        aiohttp.ClientSession() as http,
    ):
        address = f"127.0.0.1:{theirs.port}"
        cloud = custom(f"http://{address}/openid", f"http://{address}", [address])
        opened = Endpoint(http, service_url=f"http://{address}/emea/")
        inbound = Inbound(Verifier(cloud, APP, frozenset({TENANT}), client), opened.receive)
        app = public_app(inbound.post, ready=lambda: True, read_seconds=read_seconds)
        async with listening(app) as opened.listener:
            opened.url = f"http://127.0.0.1:{opened.listener.port}"
            yield opened


def counted(verdict: str) -> float:
    return metrics.REGISTRY.get_sample_value("bridge_inbound_requests_total", {"verdict": verdict}) or 0.0


# -- order of checks --

TOO_LARGE = b"[" + b" " * MAX_BODY + b"]"


@pytest.mark.parametrize(
    ("signed", "content_type", "body", "status", "reason"),
    [
        (False, "text/plain", b"{", 401, "bad_signature"),
        (False, JSON, b"{", 401, "bad_signature"),
        (True, "text/plain", b"{", 415, "content_type"),
        (True, "", b"{}", 415, "content_type"),
        (True, "application/json-patch", b"{}", 415, "content_type"),
        (True, JSON, TOO_LARGE, 413, "too_large"),
        (True, JSON, b"{", 400, "not_json"),
        (True, JSON, b"", 400, "not_json"),
        (True, JSON, b"\xff\xfe{}", 400, "not_json"),
        (True, JSON, b'{"a": NaN}', 400, "not_json"),
        (True, JSON, b"[" * 100_000, 400, "not_json"),
        (True, JSON, b"[]", 400, "not_an_object"),
        (True, JSON, b'"message"', 400, "not_an_object"),
        (True, JSON, b"null", 400, "not_an_object"),
        (True, JSON, b"{}", 403, "other_service_url"),
    ],
)
async def test_the_first_fault_in_the_order_of_the_checks_decides(
    signed: bool, content_type: str, body: bytes, status: int, reason: str
) -> None:
    """The order is signature, type, size, JSON, claims; the refusal has an empty body, and no event is received."""
    before = counted(reason)
    async with endpoint() as at:
        token = at.token() if signed else at.token(FOREIGN_KEY)

        assert await at.post(body, token=token, content_type=content_type) == (status, b"")
        assert at.received == []
    assert counted(reason) == before + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"channelId": "webchat"},
        {"channelId": None},
        {"serviceUrl": "https://smba.trafficmanager.net/emea/"},
        {"serviceUrl": None},
        {"channelData": {"tenant": {"id": "99999999-6a4d-4c7e-9b55-0d1e2f3a4b5c"}}},
        {"channelData": {}, "conversation": {"id": "a:1"}},
        {"conversation": None},
    ],
)
async def test_an_activity_that_does_not_match_its_token_is_forbidden(changes: dict[str, Any]) -> None:
    async with endpoint() as at:
        assert await at.post(at.activity(**changes)) == (403, b"")
        assert at.received == []


async def test_faults_in_the_headers_are_answered_before_the_body_arrives() -> None:
    huge = f"Content-Length: {10 * MAX_BODY}"
    async with endpoint() as at:
        stranger = await at.raw("Content-Type: application/json", huge)
        text = await at.raw(f"Authorization: Bearer {at.token()}", "Content-Type: text/plain", huge)

        assert b" 401 " in stranger
        assert b" 415 " in text
        assert at.received == []


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer é.é.é", "Bearer a.b.c, Bearer d.e.f"]
)
async def test_an_authorization_header_that_is_no_bearer_is_refused(header: str) -> None:
    async with endpoint() as at:
        sent = {"Authorization": header, "Content-Type": JSON}
        async with at.http.post(f"{at.url}/api/messages", data=b"{}", headers=sent) as answer:
            assert (answer.status, await answer.read()) == (401, b"")


@pytest.mark.parametrize("changes", [{"aud": "another"}, {"exp": 1}, {"iss": "https://evil"}, {"nbf": 4_000_000_000}])
async def test_a_token_with_wrong_claims_is_refused(changes: dict[str, Any]) -> None:
    async with endpoint() as at:
        assert await at.post(at.activity(), token=at.token(**changes)) == (401, b"")
        assert at.received == []


# -- bodies --


async def test_a_body_that_does_not_arrive_is_a_client_error() -> None:
    async with endpoint(read_seconds=0.2) as at:
        length, json = "Content-Length: 100", "Content-Type: application/json"

        line = await at.raw(f"Authorization: Bearer {at.token()}", json, length, body=b'{"type":')

        assert b" 408 " in line
        assert at.received == []


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY // 65536 + 2):
            yield b" " * 65536

    async with endpoint() as at:
        assert await at.post(endless()) == (413, b"")
        assert at.received == []


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    async with endpoint() as at:
        small = orjson.dumps(at.activity())

        assert await at.post(small + b" " * (MAX_BODY - len(small))) == (200, b"")
        assert await at.post(small + b" " * (MAX_BODY - len(small) + 1)) == (413, b"")


MESSAGES = "POST /api/messages"
JSON_TYPE = "Content-Type: application/json"


@pytest.mark.parametrize("coding", COMPRESSED)
async def test_a_strangers_compressed_body_is_401_and_not_inflated(coding: Lines) -> None:
    """The listener took in as many bytes of the body as were sent."""
    async with endpoint() as at:
        answer = await at.listener.exchange(request(MESSAGES, JSON_TYPE, *coding, body=ZEROS))

        assert answer.startswith(b"HTTP/1.1 401 ")
        assert [seen.content.total_bytes for seen in at.listener.answered] == [len(ZEROS)]


async def test_a_strangers_compressed_chunks_are_401_and_not_inflated() -> None:
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ZEROS), ZEROS)
    lines = (JSON_TYPE, "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    async with endpoint() as at:
        answer = await at.listener.exchange(request(MESSAGES, *lines, body=chunks))

        assert answer.startswith(b"HTTP/1.1 401 ")
        assert [seen.content.total_bytes for seen in at.listener.answered] == [len(ZEROS)]


@pytest.mark.parametrize(
    ("target", "status"), [(MESSAGES, 401), ("GET /api/messages", 405), ("GET /healthz", 200), ("POST /nowhere", 404)]
)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_falsely_declared_content_coding_leaves_the_connection_usable(
    coding: str, target: str, status: int
) -> None:
    """An inflating parser would fail at the body and end the connection."""
    lines = (JSON_TYPE, f"Content-Encoding: {coding}")
    async with endpoint() as at:
        first = request(target, *lines, body=b"abcde", last=False)
        answer = await at.listener.exchange(first, request("GET /readyz"))

        assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [str(status).encode(), b"200"]


@pytest.mark.parametrize("coding", COMPRESSED)
async def test_a_compressed_body_with_a_good_token_is_an_unsupported_type(coding: Lines) -> None:
    before = counted("content_encoding")
    async with endpoint() as at:
        lines = (f"Authorization: Bearer {at.token()}", JSON_TYPE, *coding)
        answer = await at.listener.exchange(request(MESSAGES, *lines, body=ZEROS))

        assert answer.startswith(b"HTTP/1.1 415 ")
        assert b"\r\nContent-Length: 0\r\n" in answer
        assert b" 415 " in await at.raw(*lines, f"Content-Length: {10 * MAX_BODY}")  # no body was sent
        assert [seen.content.total_bytes for seen in at.listener.answered] == [len(ZEROS), 0]
        assert at.received == []
    assert counted("content_encoding") == before + 2


@pytest.mark.parametrize("coding", UNCOMPRESSED)
async def test_a_body_declared_as_not_compressed_is_taken(coding: Lines) -> None:
    async with endpoint() as at:
        lines = (f"Authorization: Bearer {at.token()}", JSON_TYPE, *coding)
        answer = await at.listener.exchange(request(MESSAGES, *lines, body=orjson.dumps(at.activity())))

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert len(at.received) == 1


async def test_random_bodies_are_refused_and_never_answered_with_a_5xx() -> None:
    dice = random.Random(7)
    async with endpoint() as at:
        whole = orjson.dumps(at.activity())
        for _ in range(300):
            start, stop = sorted(dice.choices(range(len(whole)), k=2))
            broken = whole[:start] + dice.randbytes(dice.randrange(4)) + whole[stop:]

            status, body = await at.post(broken)

            assert (status in (200, 400, 403), body) == (True, b"")
            assert await at.post(broken, token="a.b.c") == (401, b"")


# -- events --


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("personal", UserMessage),
        ("channel_reply", UserMessage),
        ("file", UserMessage),
        ("install_add", Installed),
        ("bot_added", Installed),
        ("card_ask_again", CardAction),
        ("edit", Edited),
        ("delete", Deleted),
        ("reaction", Rated),
        ("install_remove", Removed),
        ("bot_removed", Removed),
        ("consent_accept", FileConsent),
        *((name, Ignored) for name in IGNORED_SAMPLES),
    ],
)
async def test_every_type_of_activity_is_answered_200_and_received_once(name: str, kind: type[Event]) -> None:
    async with endpoint() as at:
        assert await at.post(at.activity(name)) == (200, b"")
        assert [type(event) for event in at.received] == [kind]


async def test_the_bots_removal_without_service_url_is_received() -> None:
    async with endpoint() as at:
        activity = SAMPLES["install_remove_without_service_url"]

        assert await at.post(activity) == (200, b"")
        assert at.received == [Removed(f"msteams|{activity['conversation']['id']}")]


async def test_an_activity_of_two_tenants_is_counted_with_a_reason_of_its_own() -> None:
    async with endpoint() as at:
        conversation = {**SAMPLES["personal"]["conversation"], "tenantId": "99999999-6a4d-4c7e-9b55-0d1e2f3a4b5c"}
        before = metrics.INBOUND.labels("two_tenants")._value.get()  # noqa: SLF001  the client has no getter

        assert await at.post(at.activity(conversation=conversation)) == (403, b"")

        assert metrics.INBOUND.labels("two_tenants")._value.get() == before + 1  # noqa: SLF001  as above


@pytest.mark.parametrize(
    "kind", ["", None, 7, ["message"], "Message", "invokeResponse", "trace", "handoff", "é" * 1000]
)
async def test_an_activity_of_unknown_type_is_answered_200(kind: object) -> None:
    async with endpoint() as at:
        assert await at.post(at.activity(type=kind)) == (200, b"")
        assert at.received == [Ignored("type_unknown")]


async def test_the_event_holds_the_whole_activity() -> None:
    async with endpoint() as at:
        await at.post(at.activity("table_and_code"))

        (event,) = at.received
        assert isinstance(event, UserMessage)
        assert event.text.startswith("Check **this**:\n\n| Name | Age |")
        assert event.reference.service_url == at.service_url


@pytest.mark.parametrize("mode", ["expectReplies", "ephemeral", "notification", "stream"])
@pytest.mark.parametrize("name", ["personal", "card_ask_again", "unknown_type"])
async def test_the_delivery_mode_of_an_activity_does_not_change_the_answer(mode: str, name: str) -> None:
    async with endpoint() as at:
        sent = at.activity(name, deliveryMode=mode, callerId="urn:botframework:azure", inputHint="x")

        assert await at.post(sent) == (200, b"")
        assert len(at.received) == 1


# -- clicks --


async def test_a_click_is_answered_with_a_card_that_replaces_the_clicked_card() -> None:
    async with endpoint() as at:
        at.click = ClickResponse("Starting a new conversation.", replaces=True)

        status, body = await at.post(at.activity("card_new_session"))

        answer = orjson.loads(body)
        assert (status, answer["statusCode"]) == (200, 200)
        assert answer["type"] == "application/vnd.microsoft.card.adaptive"
        assert answer["value"]["body"][0]["text"] == "Starting a new conversation."


async def test_a_click_is_answered_with_a_sentence_that_keeps_the_clicked_card() -> None:
    async with endpoint() as at:
        at.click = ClickResponse("Only the person who asked can do that.", replaces=False)

        status, body = await at.post(at.activity("card_ask_again"))

        expected = {"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": at.click.words}
        assert (status, orjson.loads(body)) == (200, expected)


async def test_feedback_is_received_and_answered_with_an_empty_object() -> None:
    """Teams shows an error for a body with content (docs/reference/teams.md, "Feedback buttons and their invoke")."""
    async with endpoint() as at:
        assert await at.post(at.activity("feedback_like")) == (200, b"{}")
        assert await at.post(at.activity("feedback_malformed")) == (200, b"{}")
        assert [type(event) for event in at.received] == [Rated, Ignored]


async def test_feedback_that_the_store_cannot_keep_is_not_acknowledged() -> None:
    async with endpoint() as at:
        at.trouble = StoreUnavailable("full")
        assert await at.post(at.activity("feedback_like")) == (503, b"")


@pytest.mark.parametrize("name", ["task/fetch", "config/fetch", "", None, 7, {"a": 1}])
async def test_an_unknown_invoke_is_answered_200(name: object) -> None:
    async with endpoint() as at:
        assert await at.post(at.activity("invoke_unknown", name=name)) == (200, b"")
        assert at.received == [Ignored("invoke_unknown")]


@pytest.mark.parametrize("name", ["file_consent_accept", "file_consent_decline"])
async def test_a_consent_to_an_offered_file_is_received_and_answered_at_once(name: str) -> None:
    async with endpoint() as at:
        assert await at.post(at.activity(name)) == (200, b"")
        (event,) = at.received
        assert isinstance(event, FileConsent)
        assert event.consent.accepted is (name == "file_consent_accept")


async def test_a_result_for_a_message_never_becomes_the_http_answer() -> None:
    async with endpoint() as at:
        at.click = ClickResponse("secret", replaces=True)

        assert await at.post(at.activity("personal")) == (200, b"")


# -- store unavailable --


@pytest.mark.parametrize("name", ["personal", "card_ask_again", "install_add"])
@pytest.mark.parametrize("trouble", [StoreUnavailable("disk full"), StoreInUse("another")])
async def test_a_message_that_the_store_cannot_keep_is_answered_503(name: str, trouble: Exception) -> None:
    before = counted("store_unavailable") + counted("store_in_use")
    async with endpoint() as at:
        at.trouble = trouble

        assert await at.post(at.activity(name)) == (503, b"")
        at.trouble = None
        assert await at.post(at.activity(name)) == (200, b"")
    assert counted("store_unavailable") + counted("store_in_use") == before + 1
