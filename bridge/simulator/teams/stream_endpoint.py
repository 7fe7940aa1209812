"""Streamed messages at the Bot Connector: accepts and shows parts, closes streams left open by the bot.

Start and end of a stream are written to the journal; the parts between are only announced to the open pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from bridge.simulator.teams.bot_messages import bot_message, rendering_of
from bridge.simulator.teams.bot_rendering import Rendering
from bridge.simulator.teams.connector_access import ConnectorAccess, set_verdict
from bridge.simulator.teams.faults import Faults
from bridge.simulator.teams.json_http import error_answer, json_answer
from bridge.simulator.teams.messages import StreamState
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.stream_rules import Part, Streams, Verdict, not_allowed, part_of
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.world import Conversation
from bridge.tasks import Tasks

_VERDICT_SENTENCES: dict[Verdict, str] = {
    "started": "Accepted: starts a stream.",
    "shown": "Accepted: shown in the stream.",
    "hidden": "Accepted and not shown: an informative text after the first content.",
    "dropped": "Accepted and dropped: its streamSequence is not higher than the last one's.",
    "final": "Accepted: ends the stream.",
}


class StreamEndpoint:
    """All streams of the tenant. With `allowed=False` every stream is refused, as for bots without streaming.

    `limited` switches the rate limits of streams on; `seconds` is the longest time of a stream; `clock` gives monotonic
    seconds.
    """

    def __init__(
        self,
        tenant: Tenant,
        faults: Faults,
        access: ConnectorAccess,
        *,
        allowed: bool,
        limited: bool,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._tenant = tenant
        self._faults = faults
        self._access = access
        self._allowed = allowed
        self._seconds = seconds
        self._clock = clock
        self._streams = Streams(seconds=seconds, limited=limited)
        self._under_way: dict[str, web.Request] = {}
        self._tasks = Tasks()
        self._ends: dict[str, asyncio.TimerHandle] = {}

    def is_open(self, chat_id: str) -> bool:
        """Whether a stream is open in the chat."""
        return self._streams.open_in(chat_id) is not None

    async def take(self, request: web.Request, conversation: Conversation, activity: dict[str, Any]) -> web.Response:
        """The answer to an activity with a part of a stream. Raises: Refused."""
        at = self._clock()
        chat = conversation.chat
        if (
            chat.kind == "groupChat"
        ):  # the answer seen in groups: microsoft/teams-sdk issue 2316 (docs/reference/teams.md, "Streaming")
            raise Refused(405, "MethodNotAllowed", "Method Not Allowed", rule="Streaming is for personal chats only.")
        if chat.kind != "personal":
            words = "Streaming api is not enabled."
            raise Refused(400, "BadArgument", words, rule="Streaming is for personal chats only.")
        if not self._allowed:
            raise not_allowed("Content stream is not allowed", "This bot may not stream (a switch of the simulator).")
        part = part_of(activity)
        self._one_at_a_time(chat.id, request)
        try:
            rendering = await rendering_of(activity, partial(self._tenant.message, chat.id))
            return await self._faults.apply(
                "stream", request, lambda: self._accept(request, conversation, part, rendering, at)
            )
        finally:
            if self._under_way.get(chat.id) is request:
                del self._under_way[chat.id]

    async def stop(self, chat_id: str, message_id: str) -> bool:
        """End the open stream `message_id` on a person's behalf; False when the stream is not open."""
        if self._streams.open_in(chat_id) != message_id:
            return False
        self._streams.end(chat_id, "stopped")
        await self._close_message(chat_id, message_id, stopped=True)
        return True

    async def before_edit(self, chat_id: str, message_id: str) -> None:
        """End the message's open stream before an edit. Edits after a person's Stop are refused. Raises: Refused."""
        if self._streams.was_stopped(message_id):
            raise self._streams.refusal(message_id)
        if self._streams.open_in(chat_id) == message_id:
            self._streams.end(chat_id, "replaced")
            await self._close_message(chat_id, message_id)

    async def close(self) -> None:
        """Cancel the timers and tasks of open streams."""
        for end in self._ends.values():
            end.cancel()
        await self._tasks.cancel()

    def _one_at_a_time(self, chat_id: str, request: web.Request) -> None:
        """Refuse a part sent before the answer to the previous part, unless the bot hung up on the previous part."""
        previous = self._under_way.get(chat_id)
        if previous is not None and previous.transport is not None and not previous.transport.is_closing():
            words = "API calls quota exceeded!"
            raise Refused(429, "Throttled", words, "1", rule="Each part waits for the answer to the one before it.")
        self._under_way[chat_id] = request

    async def _accept(
        self, request: web.Request, conversation: Conversation, part: Part, rendering: Rendering, at: float
    ) -> web.Response:
        chat_id = conversation.chat.id
        before = self._streams.open_in(chat_id)
        try:
            verdict = self._streams.judge(chat_id, part, at)
        finally:
            if before is not None and self._streams.open_in(chat_id) is None:  # the stream's time was over
                await self._close_message(chat_id, before)
        self._access.spend_send(conversation.id)
        set_verdict(request, _VERDICT_SENTENCES[verdict])
        if verdict == "started":
            new_id = self._tenant.new_id()
            self._streams.start(chat_id, new_id, part, at)
            self._start_timer(chat_id, new_id)
            await self._tenant.put(bot_message(conversation, new_id, rendering, _stream_state(part)), notify=True)
            return json_answer({"id": new_id}, 201)
        self._streams.take(chat_id, part, verdict, at)
        if verdict == "dropped":
            words = "PreCondition failed exception when processing streaming activity."
            return error_answer(202, "ContentStreamSequenceOrderPreConditionFailed", words)
        if verdict != "hidden":
            await self._show(chat_id, part, rendering)
        return json_answer({}, 202)

    async def _show(self, chat_id: str, part: Part, rendering: Rendering) -> None:
        message = self._tenant.message(chat_id, part.stream_id or "")
        if message is None or message.deleted:
            return
        if part.kind == "final":
            await self._tenant.change(message, stream=None, **rendering.changes())
        else:
            self._tenant.show(replace(message, stream=_stream_state(part), **rendering.changes()))

    def _start_timer(self, chat_id: str, stream_id: str) -> None:
        """Let a timer close the stream after the longest time. The timer of the chat's earlier stream is cancelled."""
        if (earlier := self._ends.get(chat_id)) is not None:
            earlier.cancel()
        loop = asyncio.get_running_loop()
        self._ends[chat_id] = loop.call_later(self._seconds, self._expire, chat_id, stream_id)

    def _expire(self, chat_id: str, stream_id: str) -> None:
        if self._streams.open_in(chat_id) == stream_id:
            self._streams.end(chat_id, "late")
            self._tasks.start(self._close_message(chat_id, stream_id), "end of a stream")

    async def _close_message(self, chat_id: str, stream_id: str, **changes: Any) -> None:
        """End the message's stream; the last shown text stays."""
        message = self._tenant.message(chat_id, stream_id)
        if message is not None and message.stream is not None:
            await self._tenant.change(message, stream=None, **changes)


def _stream_state(part: Part) -> StreamState:
    return "informative" if part.kind == "informative" else "streaming"
