"""A simulated run of the agent: events while the agent works, then the reply.

Forms: docs/reference/goclaw.md, "Reply" and docs/reference/goclaw.md, "Agent events".
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web
from support.process_world import AGENT

from bridge.simulator.gateway.events import Events
from chaos.allowed_words import MORE

# Seconds from which on a run sends its text piece by piece.
_SPEAKS_AFTER = 1.2
# Whole paragraphs, since the bridge holds back an unfinished paragraph.
_MORE = tuple(f"\n\n{paragraph}" for paragraph in MORE)


class Run:
    """One run for the gateway user `user`; `streamed`: the request asked for a stream."""

    def __init__(self, events: Events, user: str, *, streamed: bool) -> None:
        self._events = events
        self._user = user
        self._streamed = streamed
        self._id = str(uuid4())

    async def work(self, seconds: float, answer: str) -> str:
        """Work for `seconds` and announce each step as an agent event; give the complete text."""
        self._announce("run.started", {"message": ""})
        if not self._streamed or seconds < _SPEAKS_AFTER:
            await asyncio.sleep(seconds)
            return answer
        self._announce("tool.call", {"name": "web_search", "arguments": {"query": "penguins"}})
        await asyncio.sleep(0.3 * seconds)
        self._announce("tool.result", {"name": "web_search"})
        said = ""
        for piece in (answer, *_MORE):
            said += piece
            self._announce("chunk", {"content": piece})
            await asyncio.sleep(0.7 * seconds / (1 + len(_MORE)))
        self._announce("run.completed", {"content": said})
        return said

    def cancelled(self) -> None:
        """Announce the end of a run whose caller has hung up."""
        self._announce("run.cancelled", {})

    def answer(self, words: str) -> web.Response:
        """The gateway's response with the answer `words`: a JSON reply, or a stream with a single chunk."""
        if not self._streamed:
            message = {"role": "assistant", "content": words}
            return web.json_response({"choices": [{"index": 0, "message": message}]})
        delta = {"delta": {"role": "", "content": words}, "finish_reason": "stop", "index": 0}
        chunk = {"choices": [delta], "id": f"chatcmpl-{self._id[:8]}", "object": "chat.completion.chunk"}
        body = b"data: " + orjson.dumps(chunk) + b"\n\ndata: [DONE]\n\n"
        return web.Response(body=body, content_type="text/event-stream")

    def _announce(self, kind: str, payload: dict[str, Any]) -> None:
        event = {"type": kind, "agentId": AGENT, "runId": self._id, "payload": payload, "userId": self._user}
        self._events.agent(self._user, {**event, "channel": "http", "chatId": "api"})
