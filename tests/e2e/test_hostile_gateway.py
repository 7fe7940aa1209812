"""The bridge's process beside a gateway that answers nonsense: the process goes on, and heals with the gateway."""

from __future__ import annotations

from pathlib import Path

import orjson
from aiohttp import web
from support.process_world import eventually, world
from support.servers import stop_server


async def test_a_malformed_answer_at_the_start_ends_neither_the_process_nor_the_events(tmp_path: Path) -> None:
    """The gateway answers `connect` with an error whose code is a list; later the real stand-in has the same port."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "protocol": 3})

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": ["no text"]}, status=401)

    async def malformed(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            asked = message.json()
            answer = {"type": "res", "id": asked["id"], "ok": False, "error": {"code": ["x"]}}
            await socket.send_str(orjson.dumps(answer).decode())
        return socket

    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/ws", malformed)
    app.router.add_route("*", "/{path:.*}", refuse)
    async with world(tmp_path / "world", gateway_up=False) as here:
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", here.gateway.port).start()
        await here.start()
        await eventually(
            lambda: "no: WebSocket: other" in here.bridge.output(), "the observer met the malformed answer"
        )
        assert here.bridge.alive
        assert "Traceback" not in here.bridge.output()

        await stop_server(runner)
        await here.gateway.start()
        await eventually(
            lambda: '"state":"yes"' in here.bridge.output().replace('": "', '":"'),
            "events come from the mended gateway",
        )
        chat = await here.meet("alice")
        asked = await here.say(chat, "alice", "hello")
        assert await here.bot_texts(chat, 1, after=asked)
