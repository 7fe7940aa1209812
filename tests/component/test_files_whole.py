"""Files through the whole bridge as composed by the app, between a simulated tenant and a stand-in gateway."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.engine_world import until
from support.servers import serving_on_test_port
from support.simulator_world import Stage, stage

from bridge.app import Bridge, compose, connected
from bridge.core.outbound.file_cards import CONSENT_TYPE, INFO_TYPE
from bridge.core.ports.store import TurnFilter
from bridge.core.texts import say
from bridge.core.turn import Kind, State, Turn
from bridge.settings.load import load
from bridge.simulator.gateway.app import GatewayOptions, build_app
from bridge.simulator.serve_alone import bot_settings
from bridge.tasks import Tasks
from bridge.web.public import public_app

CHAT = "personal-alice"


@dataclass
class Whole:
    """The bridge between a simulated tenant and a stand-in gateway."""

    teams: Stage
    bridge: Bridge
    http: aiohttp.ClientSession

    async def send(self, name: str, content: bytes, *, chat: str = CHAT, who: str = "alice", text: str = "") -> None:
        """A person sends a file, with or without words."""
        file = {"name": name, "type": "text/plain", "base64": base64.b64encode(content).decode()}
        await self.teams.say(chat, who, text, files=[file], mention=chat != CHAT)

    async def turn(self, kind: Kind) -> Turn:
        """Wait for a closed turn of the kind; gives the newest."""
        store = self.bridge.edges.store
        async with asyncio.timeout(20):
            while not (found := await store.turns(TurnFilter(kind=kind, state=State.CLOSED), 1)):
                await asyncio.sleep(0.02)
        turn = await store.find(found[0].n)
        assert turn is not None
        return turn


@asynccontextmanager
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with AsyncExitStack() as stack:
        teams = await stack.enter_async_context(stage(tmp_path, listening=False))
        options = GatewayOptions(token="gateway-token", agent="default", data=tmp_path / "gateway")
        gateway = await stack.enter_async_context(serving_on_test_port(build_app(options)))
        settings = load(
            {
                **bot_settings(tmp_path, teams.base),
                "GOCLAW_URL": f"http://127.0.0.1:{gateway.port}",
                "GOCLAW_TOKEN": "gateway-token",
                "BRIDGE_STORE": str(tmp_path / "turns.db"),
                "BRIDGE_PUBLIC_URL": f"http://127.0.0.1:{teams.bot.port}",
            }
        )
        edges = await stack.enter_async_context(connected(settings))
        bridge = compose(settings, edges)
        background = Tasks()
        stack.push_async_callback(background.cancel)
        background.start(edges.verifier.run(), "signing keys")
        await edges.watch.check()
        await edges.store.open()
        stack.push_async_callback(edges.store.close)
        await bridge.dispatcher.start()
        stack.push_async_callback(bridge.dispatcher.drain, 0)
        await until(bridge.ready)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        here = Whole(teams, bridge, http)
        public = public_app(bridge.inbound.post, ready=bridge.ready, files=bridge.files_out)
        runner = web.AppRunner(public, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", teams.bot.port).start()
        yield here


def only(turn: Turn, part: int) -> dict[str, Any]:
    """The only attachment of part number `part` of a turn's reply."""
    assert turn.reply is not None
    (attachment,) = turn.reply.activities[part]["attachments"]
    assert isinstance(attachment, dict)
    return attachment


@pytest.mark.parametrize("action", ["accept", "decline"])
async def test_a_file_of_the_agent_is_offered_and_saved_or_declined(tmp_path: Path, action: str) -> None:
    async with whole(tmp_path) as here:
        await here.teams.say(CHAT, "alice", "send me a file")
        asked = await here.turn(Kind.ASK)
        offer = only(asked, -1)
        assert offer["contentType"] == CONSENT_TYPE
        card = asked.delivered[-1]

        for _ in range(2):  # a second click changes nothing
            path = f"/api/chats/{CHAT}/messages/{card}/consent"
            await here.teams.call("POST", path, {"as": "alice", "action": action})
        response = await here.turn(Kind.FILE)

        messages = {message["id"]: message for message in await here.teams.messages(CHAT)}
        words = unescape(re.sub(r"<[^>]+>", "", messages[card]["html"])).strip()
        key = "file_saved" if action == "accept" else "file_declined"
        assert words == say(key, name=offer["name"]).replace("`", "")
        assert response.reply is not None
        kinds = [part["attachments"][0]["contentType"] for part in response.reply.activities[1:]]
        assert kinds == ([INFO_TYPE] if action == "accept" else [])
        saved = [file for message in messages.values() for file in message["files"]]
        assert len(saved) == len(kinds)
        for file in saved:
            async with here.http.get(here.teams.base + file["url"]) as answer:
                assert (await answer.text()).startswith("Notes of the stand-in agent")


async def test_in_a_group_the_file_is_behind_a_link_that_a_browser_opens(tmp_path: Path) -> None:
    async with whole(tmp_path) as here:
        await here.teams.say("general", "bob", "send me a file", mention=True)
        asked = await here.turn(Kind.ASK)
        assert asked.reply is not None
        found = re.search(r"\((http://[^)]+/files/[^)]+)\)", asked.reply.activities[0]["text"])
        assert found is not None

        async with here.http.get(found[1]) as answer:
            assert answer.status == 200
            assert (await answer.text()).startswith("Notes of the stand-in agent")
            assert answer.headers["Content-Disposition"].startswith("attachment")
        async with here.http.get(found[1][:-1]) as answer:
            assert answer.status == 404


async def test_a_text_file_of_a_person_reaches_the_agent(tmp_path: Path) -> None:
    async with whole(tmp_path) as here:
        await here.send("budget.txt", b"Budget for October: 4711", text="what is in it?")
        asked = await here.turn(Kind.ASK)

        assert asked.payload.text == "what is in it?\n\n[File: budget.txt]\n```\nBudget for October: 4711\n```"
        assert asked.reply is not None
        assert "4711" in asked.reply.activities[0]["text"]


async def test_a_file_without_text_is_answered_with_a_sentence(tmp_path: Path) -> None:
    async with whole(tmp_path) as here:
        await here.send("plan.pdf", b"%PDF-1.7")
        turn = await here.turn(Kind.ASK)

        assert turn.reply is not None
        assert turn.reply.activities[0]["text"] == say("files_only", files=f"- `plan.pdf`: {say('file_no_text')}")


async def test_a_file_withheld_by_teams_in_a_channel_is_answered_with_a_sentence(tmp_path: Path) -> None:
    async with whole(tmp_path) as here:
        await here.send("plan.txt", b"the plan", chat="general", who="bob")
        turn = await here.turn(Kind.ASK)

        assert turn.reply is not None
        assert say("file_withheld", "vi") in turn.reply.activities[0]["text"]
