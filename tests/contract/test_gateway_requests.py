"""Requests to the gateway: checks and refusals, user ids, agents, rate limit, health.

docs/reference/goclaw.md, "Request", "User id", "Errors" and "Health and doctor".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.gateway_contract import Answer, Gateway, StandIn

CHAT = "/v1/chat/completions"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


def refused(answer: Answer, status: int, kind: str, body: str) -> None:
    """The whole refusal: status, content type, nosniff for text, and every byte of the body."""
    assert (answer.status, answer.headers["Content-Type"], answer.body.decode()) == (status, kind, body)
    assert answer.headers.get("X-Content-Type-Options") == ("nosniff" if kind == TEXT else None)


def invalid(answer: Answer) -> None:
    """A refusal of the body: status, content type and code; the words behind the prefix are Go's and not checked."""
    error = json.loads(answer.body)["error"]
    assert (answer.status, answer.headers["Content-Type"], error["code"]) == (400, JSON, "INVALID_REQUEST")
    assert error["message"].startswith("invalid request: ")


@pytest.mark.parametrize(
    "body", [b"", b'{"messages":[', b"nope", b"[]", b'{"messages":[{"role":"user","content":[]}]}']
)
async def test_a_body_that_is_no_chat_request_is_400_invalid_request(gateway: Gateway, body: bytes) -> None:
    invalid(await gateway.call("POST", CHAT, data=body))


@pytest.mark.parametrize("body", [b'{"messages":[]}', b"{}"])
async def test_a_body_without_messages_is_400_messages_is_required(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.call("POST", CHAT, data=body)
    refused(answer, 400, TEXT, '{"error":{"message":"messages is required"}}\n')


async def test_a_body_over_one_mebibyte_is_400_and_closes_the_connection(gateway: Gateway) -> None:
    body = json.dumps(gateway.question("x" * (1 << 20))).encode()
    answer = await gateway.call("POST", CHAT, data=body)
    invalid(answer)
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("text", ["", None])
async def test_an_empty_last_user_message_is_400_even_behind_others(gateway: Gateway, text: str | None) -> None:
    asked = gateway.question("first")
    asked["messages"].append({"role": "user", "content": text})
    answer = await gateway.call("POST", CHAT, json=asked)
    refused(answer, 400, TEXT, '{"error":{"message":"no user message found"}}\n')


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "bearer {token}", "Basic {token}"])
async def test_a_missing_or_wrong_bearer_is_401(gateway: Gateway, authorization: str | None) -> None:
    headers = gateway.headers()
    del headers["Authorization"]
    if authorization:
        headers["Authorization"] = authorization.format(token=gateway.token)
    body = '{"error":{"message":"invalid authentication","type":"invalid_request_error"}}\n'
    refused(await gateway.chat("hello", headers=headers), 401, TEXT, body)


async def test_a_read_only_key_is_403(gateway: Gateway, api_key: Callable[..., Any]) -> None:
    key = await api_key(gateway, "operator.read")
    answer = await gateway.chat("hello", headers=gateway.headers(Authorization=f"Bearer {key}"))
    body = '{"error":{"message":"permission denied: /v1/chat/completions","type":"invalid_request_error"}}\n'
    refused(answer, 403, TEXT, body)


async def test_a_revoked_key_is_401_at_once(gateway: Gateway) -> None:
    created = await gateway.call("POST", "/v1/api-keys", json={"name": "contract", "scopes": ["operator.write"]})
    key = json.loads(created.body)
    assert (await gateway.call("POST", f"/v1/api-keys/{key['id']}/revoke")).body == b'{"status":"revoked"}\n'
    answer = await gateway.call("POST", CHAT, headers={"Authorization": f"Bearer {key['key']}"}, data=b"{}")
    assert answer.status == 401


@pytest.mark.parametrize("user", [None, "tab\tinside", "zero\u200dwidth", "a" * 256, "ä" * 128])
async def test_a_missing_or_invalid_user_id_is_400(gateway: Gateway, user: str | None) -> None:
    headers = {"Authorization": f"Bearer {gateway.token}"} | ({"X-GoClaw-User-Id": user} if user else {})
    body = '{"error":{"message":"X-GoClaw-User-Id header is required"}}\n'
    refused(await gateway.chat("hello", headers=headers), 400, TEXT, body)


@pytest.mark.parametrize("user", ["a" * 255, "a:b c/'\"", "ünï"])
async def test_odd_but_valid_user_ids_pass_that_check(gateway: Gateway, user: str) -> None:
    headers = gateway.headers(**{"X-GoClaw-User-Id": user})
    answer = await gateway.chat("hello", headers=headers, model="goclaw:ghost-of-contract")
    refused(answer, 404, TEXT, '{"error":{"message":"agent not found: ghost-of-contract"}}\n')


async def test_without_agent_in_model_or_header_the_agent_is_default(scripted: Gateway) -> None:
    refused(
        await scripted.chat("hello", model="gpt-4o"), 404, TEXT, '{"error":{"message":"agent not found: default"}}\n'
    )
    by_header = scripted.headers(**{"X-GoClaw-Agent-Id": scripted.agent})
    assert (await scripted.chat("hello", headers=by_header, model="gpt-4o")).status == 200


async def test_the_user_id_is_checked_before_the_agent_and_the_agent_before_the_text(gateway: Gateway) -> None:
    headers = {"Authorization": f"Bearer {gateway.token}"}
    nobody = await gateway.chat("", headers=headers, model="goclaw:ghost-of-contract")
    assert b"X-GoClaw-User-Id header is required" in nobody.body
    assert (await gateway.chat("", model="goclaw:ghost-of-contract")).status == 404


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT"])
async def test_other_methods_are_405(gateway: Gateway, method: str) -> None:
    refused(await gateway.call(method, CHAT), 405, TEXT, "method not allowed\n")


async def test_unknown_paths_are_404_with_a_line_end_only_below_v1(gateway: Gateway) -> None:
    below = '{"error":{"code":"NOT_FOUND","message":"API route not found: /v1/nope"}}\n'
    refused(await gateway.call("GET", "/v1/nope"), 404, JSON, below)
    assert (await gateway.call("POST", CHAT + "/", data=b"{}")).status == 404
    assert (await gateway.call("GET", "/nope")).body == b'{"error":"not found"}'


async def test_the_sixth_request_of_a_burst_is_429_also_when_the_others_were_refused(stand_in: StandIn) -> None:
    gateway, _ = await stand_in.start(rate_limit_rpm=20)
    statuses = [(await gateway.call("POST", CHAT, data=b'{"messages":[]}')).status for _ in range(5)]
    assert statuses == [400] * 5
    answer = await gateway.call("POST", CHAT, data=b'{"messages":[]}')
    limited = '{"error":{"message":"rate limit exceeded — please wait","type":"rate_limit_error"}}\n'
    refused(answer, 429, TEXT, limited)
    assert answer.headers["Retry-After"] == "60"
    assert (await gateway.call("POST", CHAT, headers={}, data=b"{}")).status == 401, "401 comes before the limit"


async def test_health_and_index_need_no_token_and_end_without_a_line_end(gateway: Gateway) -> None:
    health = await gateway.call("POST", "/health", headers={})
    assert (health.status, health.headers["Content-Type"]) == (200, JSON)
    assert health.body == b'{"status":"ok","protocol":3}'
    index = await gateway.call("GET", "/", headers={})
    assert index.body.startswith(b'{"service":"goclaw","status":"ok","protocol":3,"endpoints":[')
    assert index.body.endswith(b"]}")


async def test_the_doctors_agent_check_tells_there_unknown_unauthorized_and_no_grant(gateway: Gateway) -> None:
    admin = {"Authorization": f"Bearer {gateway.token}"}
    assert (await gateway.call("GET", f"/v1/agents/{gateway.agent}", headers=admin)).status == 200
    ghost = '{"error":{"code":"NOT_FOUND","message":"agent not found: ghost"}}\n'
    refused(await gateway.call("GET", "/v1/agents/ghost", headers=admin), 404, JSON, ghost)
    unknown = await gateway.call("GET", f"/v1/agents/{gateway.agent}", headers={})
    refused(unknown, 401, JSON, '{"error":"unauthorized"}\n')
    no_grant = await gateway.call("GET", f"/v1/agents/{gateway.agent}")
    refused(no_grant, 403, JSON, '{"error":{"code":"UNAUTHORIZED","message":"no access to this agent"}}\n')


async def test_a_key_lists_sessions_only_with_a_user_id(gateway: Gateway, api_key: Callable[..., Any]) -> None:
    key = {"Authorization": f"Bearer {await api_key(gateway, 'operator.write')}"}
    body = '{"error":{"code":"INVALID_REQUEST","message":"X-GoClaw-User-Id header is required"}}\n'
    refused(await gateway.call("GET", "/v1/sessions", headers=key), 400, JSON, body)


async def test_wake_has_its_own_error_forms(gateway: Gateway, api_key: Callable[..., Any]) -> None:
    path = f"/v1/agents/{gateway.agent}/wake"
    refused(await gateway.call("POST", path, data=b"{}"), 400, JSON, '{"error":"message is required"}\n')
    refused(await gateway.call("POST", path, headers={}, data=b"{}"), 401, JSON, '{"error":"unauthorized"}\n')
    viewer = gateway.headers(Authorization=f"Bearer {await api_key(gateway, 'operator.read')}")
    denied = await gateway.call("POST", path, headers=viewer, data=b"{}")
    refused(denied, 403, JSON, '{"error":"permission denied: ' + path + '"}\n')
    ghost = await gateway.call("POST", "/v1/agents/ghost/wake", json={"message": "x"})
    refused(ghost, 404, JSON, '{"error":"agent not found: ghost"}\n')
    assert (await gateway.call("GET", path)).status == 404


async def test_a_gateway_without_token_takes_any_bearer_and_makes_everybody_one_user(stand_in: StandIn) -> None:
    gateway, _ = await stand_in.start(token="")
    nonsense = {"Authorization": "Bearer nonsense"}
    assert (await gateway.call("POST", CHAT, headers=nonsense, data=b'{"messages":[]}')).status == 400
    await gateway.chat("I'm Alice")
    gateway.user = "somebody-else"
    assert b"Your name is Alice." in (await gateway.chat("What's my name?")).body
