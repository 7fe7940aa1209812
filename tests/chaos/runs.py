"""One run of the agent: what its events tell meanwhile, and how it answers (docs/reference/goclaw.md, "Reply" and docs/reference/goclaw.md, "Agent events")."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web
from support.process_world import AGENT

from bridge.simulator.gateway.events import Events

# A run that takes longer begins to speak while it works.
_SPEAKS_AFTER = 1.2
# in paragraphs: of one that is being written less may be shown
_MORE = ("\n\nIt goes on.", "\n\nAnd on.", "\n\nPiece by piece.", "\n\nAnd ends.")


class Run:
    """`streamed`: its words come piece by piece."""

    def __init__(self, events: Events, user: str, *, streamed: bool) -> None:
        self._events = events
        self._user = user
        self._streamed = streamed
        self._id = str(uuid4())

    async def work(self, seconds: float, answer: str) -> str:
        """Take so long, and tell what goes on meanwhile; gives all that was said."""
        self._tell("run.started", {"message": ""})
        if not self._streamed or seconds < _SPEAKS_AFTER:
            await asyncio.sleep(seconds)
            return answer
        self._tell("tool.call", {"name": "web_search", "arguments": {"query": "penguins"}})
        await asyncio.sleep(0.3 * seconds)
        self._tell("tool.result", {"name": "web_search"})
        said = ""
        for piece in (answer, *_MORE):
            said += piece
            self._tell("chunk", {"content": piece})
            await asyncio.sleep(0.7 * seconds / (1 + len(_MORE)))
        self._tell("run.completed", {"content": said})
        return said

    def cancelled(self) -> None:
        """Its caller has hung up, and it has come to its end."""
        self._tell("run.cancelled", {})

    def answer(self, words: str) -> web.Response:
        """As a plain reply, or as the gateway streams it."""
        if not self._streamed:
            message = {"role": "assistant", "content": words}
            return web.json_response({"choices": [{"index": 0, "message": message}]})
        delta = {"delta": {"role": "", "content": words}, "finish_reason": "stop", "index": 0}
        chunk = {"choices": [delta], "id": f"chatcmpl-{self._id[:8]}", "object": "chat.completion.chunk"}
        body = b"data: " + orjson.dumps(chunk) + b"\n\ndata: [DONE]\n\n"
        return web.Response(body=body, content_type="text/event-stream")

    def _tell(self, kind: str, payload: dict[str, Any]) -> None:
        event = {"type": kind, "agentId": AGENT, "runId": self._id, "payload": payload, "userId": self._user}
        self._events.agent(self._user, {**event, "channel": "http", "chatId": "api"})
