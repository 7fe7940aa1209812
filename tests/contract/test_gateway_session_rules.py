"""Sessions in the gateway: keys, sharing, failures, closed requests, restarts, turns at once.

docs/reference/goclaw.md, "Sessions" and "Wake".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from support.gateway_contract import Gateway, Socket, StandIn


async def history(socket: Socket, key: str) -> list[tuple[str, str]]:
    answer = await socket.call("sessions.preview", key=key)
    return [(entry["role"], entry["content"]) for entry in answer["payload"]["messages"] or []]


async def listed(gateway: Gateway, user: str) -> list[str]:
    """The keys of the user's sessions, as the doctor's probe reads the list."""
    answer = await gateway.call("GET", f"/v1/sessions?agentId={gateway.agent}&limit=200")
    return [row["key"] for row in json.loads(answer.body)["sessions"] if row.get("userID") == user]


async def test_the_probe_finds_out_whether_a_gateway_keeps_sessions(gateway: Gateway) -> None:
    assert (await gateway.chat("hello")).status == 200
    (key,) = await listed(gateway, gateway.user)
    assert key == gateway.key() or key.startswith(f"agent:{gateway.agent}:http-{gateway.user}-")


async def test_a_persistent_gateway_remembers_per_user_and_shares_stream_and_plain(scripted: Gateway) -> None:
    await scripted.chat("I'm Alice", stream=True)
    assert b"Your name is Alice." in (await scripted.chat("What's my name?")).body
    scripted.user += "-other"
    assert b"I do not know your name" in (await scripted.chat("What's my name?")).body


async def test_a_plain_gateway_makes_a_session_per_request_and_forgets(stand_in: StandIn) -> None:
    gateway, _ = await stand_in.start(persistent=False)
    await gateway.chat("I'm Alice")
    assert b"I do not know your name" in (await gateway.chat("What's my name?")).body
    keys = await listed(gateway, gateway.user)
    assert len(set(keys)) == 2
    assert all(key.startswith(f"agent:sales:http-{gateway.user}-") for key in keys)


async def test_a_session_survives_a_restart(stand_in: StandIn) -> None:
    first, runner = await stand_in.start()
    await first.chat("I'm Alice")
    await runner.cleanup()
    second, _ = await stand_in.start()
    second.user = first.user
    assert b"Your name is Alice." in (await second.chat("What's my name?")).body


async def test_a_row_cut_by_a_crash_costs_nothing_but_itself(stand_in: StandIn) -> None:
    first, runner = await stand_in.start()
    await first.chat("I'm Alice")
    await runner.cleanup()
    (path,) = (stand_in.data / "sessions").iterdir()
    path.write_bytes(path.read_bytes() + b'{"key": "agent:sa')
    for _ in range(2):
        again, runner = await stand_in.start()
        again.user = first.user
        assert b"Your name is Alice." in (await again.chat("What's my name?")).body
        await runner.cleanup()


async def test_an_owner_bound_key_makes_all_users_one(scripted: Gateway, api_key: Callable[..., Any]) -> None:
    key = await api_key(scripted, "operator.write", owner_id="owner-1")
    for user, text in (("alice", "I'm Alice"), ("bob", "What's my name?")):
        headers = scripted.headers(Authorization=f"Bearer {key}", **{"X-GoClaw-User-Id": user})
        answer = await scripted.chat(text, headers=headers)
    assert b"Your name is Alice." in answer.body


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("stay silent", [("user", "stay silent"), ("assistant", "NO_REPLY")]),
        ("say nothing", [("user", "say nothing"), ("assistant", "...")]),
        ("let the provider fail with 400", []),
    ],
)
async def test_the_history_keeps_silence_and_empty_answers_and_no_failed_turn(
    scripted: Gateway, open_socket: Callable[..., Any], said: str, kept: list[tuple[str, str]]
) -> None:
    await scripted.chat(said)
    assert await history(await open_socket(scripted, "system"), scripted.key()) == kept


async def test_a_tool_turn_is_kept_whole(scripted: Gateway, open_socket: Callable[..., Any]) -> None:
    await scripted.chat("what time is it?")
    kept = await history(await open_socket(scripted, "system"), scripted.key())
    assert [role for role, _ in kept] == ["user", "assistant", "tool", "assistant"]


async def cut(gateway: Gateway, socket: Socket, text: str, seen: str) -> None:
    """Asks, and closes the request as soon as the event is seen."""
    asking = asyncio.create_task(gateway.chat(text))
    await socket.agent_event(seen)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_closing_the_request_cancels_the_run_and_keeps_nothing(
    scripted: Gateway, open_socket: Callable[..., Any]
) -> None:
    socket = await open_socket(scripted, scripted.user)
    await cut(scripted, socket, "take 60 seconds", "run.started")
    assert "payload" not in await socket.agent_event("run.cancelled")
    assert await history(socket, scripted.key()) == []


async def test_closing_the_request_during_a_tool_keeps_the_turn(
    scripted: Gateway, open_socket: Callable[..., Any]
) -> None:
    socket = await open_socket(scripted, scripted.user)
    await cut(scripted, socket, "use a tool for 60 seconds", "tool.call")
    assert (await socket.agent_event("run.completed"))["payload"]["content"] == "..."
    kept = await history(socket, scripted.key())
    assert kept[2:] == [("tool", "command aborted"), ("assistant", "...")]


async def test_eight_turns_at_once_are_all_kept_in_whole_pairs(
    scripted: Gateway, open_socket: Callable[..., Any]
) -> None:
    await asyncio.gather(*(scripted.chat(f"Remember: fact {n}") for n in range(8)))
    kept = await history(await open_socket(scripted, scripted.user), scripted.key())
    assert [role for role, _ in kept] == ["user", "assistant"] * 8
    assert all(
        answer == "Noted: " + asked.removeprefix("Remember: ")
        for (_, asked), (_, answer) in zip(kept[::2], kept[1::2], strict=True)
    )


async def test_wake_remembers_under_its_own_key_on_a_gateway_that_forgets(stand_in: StandIn) -> None:
    gateway, _ = await stand_in.start(persistent=False)
    answer: dict[str, Any] = {}
    for text in ("I'm Alice", "What's my name?"):
        asked = {"message": text, "session_key": "agent:sales:teams:direct:alice", "user_id": "alice"}
        answer = json.loads((await gateway.call("POST", "/v1/agents/sales/wake", json=asked)).body)
    assert answer["content"] == "Your name is Alice."
    assert list(answer) == ["content", "run_id", "usage"]


async def test_a_request_that_dies_with_the_gateway_is_no_answer(
    stand_in: StandIn, open_socket: Callable[..., Any]
) -> None:
    gateway, runner = await stand_in.start()
    socket = await open_socket(gateway, gateway.user)
    asking = asyncio.create_task(gateway.chat("take 60 seconds"))
    await socket.agent_event("run.started")
    stopping = asyncio.create_task(runner.cleanup())
    while (await socket.frame())["event"] != "shutdown":
        pass
    await socket.ws.close()
    await stopping
    with pytest.raises(aiohttp.ClientError):
        await asking
