"""The recorded traffic: requests of the bot and activities to the bot, with verdicts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from support.simulator_world import Stage, news, stage, until

from bridge.simulator.teams.events import Announcer
from bridge.simulator.teams.traffic import KEPT, Traffic, first_words

CHAT = "personal-alice"


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, send_limits=False) as running:
        await running.people.open(CHAT, "alice")
        await until(lambda: len(running.bot.received) == 2)
        yield running


async def record(teams: Stage) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await teams.call("GET", "/api/traffic"))[1]["entries"]
    return entries


async def last(teams: Stage) -> tuple[Any, ...]:
    entry = (await record(teams))[-1]
    return tuple(entry[name] for name in ("to", "method", "status", "code", "what", "verdict", "chat"))


async def stream(teams: Stage, **info: object) -> str:
    activity = {"type": "typing", "text": "One", "entities": [{"type": "streaminfo", "streamSequence": 1, **info}]}
    _, body, _ = await teams.as_bot("POST", f"/{teams.conversation(CHAT)}/activities", activity)
    return str(body.get("id"))


async def test_requests_of_the_bot_are_recorded_with_rule_and_chat(teams: Stage) -> None:
    await teams.send(CHAT, "Hello\nAlice")
    assert await last(teams) == ("teams", "POST", 201, None, "message: Hello Alice", "Accepted.", CHAT)
    await teams.send(CHAT, "x" * 60_000)
    assert (await last(teams))[2:4] == (413, "MessageSizeTooBig")
    assert (await last(teams))[5] == "Refused: A message has about 100 KB at most, counted as UTF-16."
    started = await stream(teams)
    assert (await last(teams))[4:6] == ("stream 1, streaming: One", "Accepted: starts a stream.")
    await teams.as_bot("POST", f"/{teams.conversation(CHAT)}/activities", {"type": "typing"})
    assert (await last(teams))[4:6] == ("typing", "Accepted and not shown: no typing while a stream is open.")
    await stream(teams, streamId=started)
    assert (await last(teams))[3] == "ContentStreamSequenceOrderPreConditionFailed"
    assert (await last(teams))[5].startswith("Accepted and dropped:")
    path = f"/{teams.conversation(CHAT)}/activities/{started}"
    await teams.as_bot("PUT", f"{path}/reactions/like")
    assert (await last(teams))[4] == "puts a reaction on: like"
    await teams.as_bot("DELETE", path)
    assert (await last(teams))[4] == "deletes a message"
    await teams.as_bot("GET", "/a:nobody/members")
    assert (await last(teams))[2:] == (
        404,
        "ConversationNotFound",
        "asks for members",
        "Refused: Conversation not found.",
        None,
    )


async def test_a_request_without_a_valid_bearer_is_recorded_too(teams: Stage) -> None:
    await teams.as_bot("GET", f"/{teams.conversation(CHAT)}/members", bearer="a.b.c")
    assert (await last(teams))[2] == 401
    assert "bearer is no valid token" in (await last(teams))[5]


async def test_activities_to_the_bot_are_recorded_with_the_bots_answer(teams: Stage) -> None:
    await teams.say(CHAT, "alice", "hello there")
    await until(lambda: len(teams.bot.received) == 3)
    what = "message of Alice Nguyen: hello there"
    assert await last(teams) == ("bot", "POST", 200, None, what, "Accepted.", CHAT)

    async def refuse(_activity: dict[str, Any]) -> web.Response:
        return web.Response(status=403)

    teams.bot.answer = refuse
    message_id = await teams.say(CHAT, "alice", "again")
    await until(lambda: teams.tenant.messages(CHAT)[-1].delivery == "refused")
    assert (await last(teams))[2:6:3] == (403, "Refused: not sent again.")

    async def sleep(_activity: dict[str, Any]) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    teams.bot.answer = sleep
    teams.courier.resend_after = 1.0
    await teams.people.edit(CHAT, "alice", message_id, "again!")
    await until(lambda: teams.bot.of_type("messageUpdate"))
    async with asyncio.timeout(30):
        while (await record(teams))[-1]["status"] != 0:
            await asyncio.sleep(0.02)
    assert (await last(teams))[4:6] == ("editMessage of Alice Nguyen: again!", "No answer within 1 s.")


async def test_every_open_page_gets_new_traffic_entries(teams: Stage) -> None:
    async with teams.session.get(f"{teams.base}/api/events") as events:
        await teams.send(CHAT, "hello")
        (event,) = await news(events, 1, kind="traffic")
        assert event["entry"] == (await record(teams))[-1]


async def test_no_bearer_and_no_secret_link_is_in_the_record(teams: Stage) -> None:
    token = (await teams.ask_token())[1]["access_token"]
    await teams.send(CHAT, "hello")
    link = teams.base + "/onedrive/upload/SECRET"
    async with teams.session.put(link, headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 401
    written = orjson.dumps(await record(teams)).decode()
    assert "uploads a file" in written
    assert token not in written
    assert teams.bot.bearers[0] not in written
    assert "SECRET" not in written


def test_the_latest_entries_are_kept() -> None:
    traffic = Traffic(Announcer())
    for _ in range(KEPT + 5):
        traffic.add("teams", ("GET", "/"), (200, None), what="", verdict="", chat=None)
    assert [entry["n"] for entry in traffic.entries()] == list(range(6, KEPT + 6))


def test_first_words_stay_on_one_line() -> None:
    assert first_words("a\n b") == "a b"
    assert len(first_words("x" * 500)) == 81
