"""Files through the whole bridge, as the app builds it: simulated tenant, stand-in gateway, and a drive for people."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from engine_world import until
from simulator_stage import Stage, stage

from bridge.app import Bridge, compose, connected
from bridge.core.file_cards import CONSENT_TYPE, INFO_TYPE
from bridge.core.texts import say
from bridge.core.turn import Kind, State, Turn, TurnFilter
from bridge.loading import load
from bridge.simulator.alone import bot_settings
from bridge.simulator.gateway.app import GatewayOptions, build_app
from bridge.tasks import Tasks
from bridge.web.public import public_app

SHARED = "Budget for October: 4711"
DOWNLOAD = "application/vnd.microsoft.teams.file.download.info"


@dataclass
class Drive:
    """SharePoint, as far as it matters: gives a file to whoever has the link, takes one where it was agreed."""

    saved: dict[str, bytes] = field(default_factory=dict)
    bearers: list[str | None] = field(default_factory=list)

    async def get(self, request: web.Request) -> web.Response:
        self.bearers.append(request.headers.get("Authorization"))
        return web.Response(text=SHARED)

    async def put(self, request: web.Request) -> web.Response:
        self.bearers.append(request.headers.get("Authorization"))
        self.saved[request.headers["Content-Range"]] = await request.read()
        return web.json_response({}, status=201)


@dataclass
class Whole:
    """`origin` of the drive; `activities` are what the bridge's door was given, with their bearer."""

    teams: Stage
    bridge: Bridge
    drive: Drive
    origin: str
    http: aiohttp.ClientSession
    activities: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def post(self, chat: str, **changes: Any) -> int:
        """An activity like the last one of the chat, with `changes`."""
        conversation = self.teams.conversation(chat)
        bearer, like = next(one for one in reversed(self.activities) if one[1]["conversation"]["id"] == conversation)
        body = orjson.dumps({**like, "id": f"made-{len(self.activities)}", **changes})
        headers = {"Authorization": bearer, "Content-Type": "application/json"}
        async with self.http.post(self.teams.bot.endpoint, data=body, headers=headers) as answer:
            return answer.status

    async def turn(self, kind: Kind, count: int = 1) -> Turn:
        """The newest closed turn of this kind, once there are `count`."""
        store = self.bridge.edges.store
        async with asyncio.timeout(20):
            while True:
                found = await store.turns(TurnFilter(kind=kind, state=State.CLOSED), count)
                if len(found) >= count:
                    turn = await store.find(found[0].n)
                    assert turn is not None
                    return turn
                await asyncio.sleep(0.02)


@asynccontextmanager
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with AsyncExitStack() as stack:
        teams = await stack.enter_async_context(stage(tmp_path, listening=False))
        options = GatewayOptions(token="gateway-token", agent="default", data=tmp_path / "gateway")
        gateway = await stack.enter_async_context(TestServer(build_app(options)))
        drive = Drive()
        app = web.Application()
        app.router.add_get("/shared", drive.get)
        app.router.add_put("/up", drive.put)
        origin = f"127.0.0.1:{(await stack.enter_async_context(TestServer(app))).port}"
        settings = load(
            {
                **bot_settings(tmp_path, teams.base),
                "GOCLAW_URL": f"http://127.0.0.1:{gateway.port}",
                "GOCLAW_TOKEN": "gateway-token",
                "BRIDGE_STORE": str(tmp_path / "turns.db"),
                "BRIDGE_PUBLIC_URL": f"http://127.0.0.1:{teams.bot.port}",
                "TEAMS_FILE_HOSTS": origin,
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
        here = Whole(teams, bridge, drive, origin, http)

        @web.middleware
        async def seen(request: web.Request, handler: Any) -> web.StreamResponse:
            if request.method == "POST":
                here.activities.append((request.headers["Authorization"], orjson.loads(await request.read())))
            answer: web.StreamResponse = await handler(request)
            return answer

        public = public_app(bridge.inbound.post, ready=bridge.ready, open_file=bridge.files.open)
        public.middlewares.append(seen)
        runner = web.AppRunner(public, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", teams.bot.port).start()
        yield here


def only(turn: Turn, part: int) -> dict[str, Any]:
    """The attachment of one part of a turn's reply."""
    assert turn.reply is not None
    (attachment,) = turn.reply.activities[part]["attachments"]
    assert isinstance(attachment, dict)
    return attachment


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_file_of_the_agents_is_offered_saved_or_declined(tmp_path: Path, accepted: bool) -> None:
    async with whole(tmp_path) as here:
        await here.teams.say("personal-alice", "alice", "send me a file")
        asked = await here.turn(Kind.ASK)
        offer = only(asked, -1)
        assert offer["contentType"] == CONSENT_TYPE
        card = asked.shown[-1]

        place = {"uploadUrl": f"http://{here.origin}/up?guid='1'", "contentUrl": f"http://{here.origin}/notes.txt"}
        value = {
            "type": "fileUpload",
            "action": "accept" if accepted else "decline",
            "context": offer["content"]["acceptContext"],
            "uploadInfo": {**place, "uniqueId": "u1", "fileType": "txt", "name": offer["name"]},
        }
        consent = {"type": "invoke", "name": "fileConsent/invoke", "replyToId": card, "value": value}
        for _ in range(2):  # retried, it is one consent
            assert await here.post("personal-alice", **consent) == 200
        said = await here.turn(Kind.FILE)

        messages = {message["id"]: message for message in await here.teams.messages("personal-alice")}
        key = "file_saved" if accepted else "file_declined"
        words = unescape(re.sub(r"<[^>]+>", "", messages[card]["html"]))
        assert words.strip() == say(key, name=offer["name"]).replace("`", "")
        saved = list(here.drive.saved.values())
        assert [content.startswith(b"Notes of the stand-in agent") for content in saved] == [True] * accepted
        assert said.reply is not None
        kinds = [part["attachments"][0]["contentType"] for part in said.reply.activities[1:]]
        assert kinds == [INFO_TYPE] * accepted
        assert here.drive.bearers == [None] * accepted


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


async def test_a_text_file_of_a_person_reaches_the_agent_and_is_fetched_without_our_token(tmp_path: Path) -> None:
    async with whole(tmp_path) as here:
        await here.teams.say("personal-alice", "alice", "hello")
        await here.turn(Kind.ASK)
        content = {"downloadUrl": f"http://{here.origin}/shared?tempauth=eyJ0", "uniqueId": "u1", "fileType": "txt"}
        shared = {"contentType": DOWNLOAD, "content": content, "name": "budget.txt"}
        assert await here.post("personal-alice", text="what is in it?", attachments=[shared]) == 200
        asked = await here.turn(Kind.ASK, 2)

        assert asked.payload.text == f"what is in it?\n\n[File: budget.txt]\n```\n{SHARED}\n```"
        assert asked.reply is not None
        assert SHARED in asked.reply.activities[0]["text"]
        assert here.drive.bearers == [None]


async def test_a_picture_from_elsewhere_is_refused_and_told(tmp_path: Path) -> None:
    async with whole(tmp_path) as here:
        await here.teams.say("personal-alice", "alice", "hello")
        await here.turn(Kind.ASK)
        picture = {"contentType": "image/*", "contentUrl": f"http://{here.origin}/shared"}
        assert await here.post("personal-alice", text="", attachments=[picture]) == 200
        told = await here.turn(Kind.ASK, 2)

        line = f"- `picture`: {say('file_refused')}"
        assert told.reply is not None
        assert told.reply.activities[0]["text"] == say("files_only", files=line)
        assert here.drive.bearers == []
