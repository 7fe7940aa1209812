"""Turns an activity of the bot into a message of the chat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge.simulator.teams import rules
from bridge.simulator.teams.bot_rendering import Rendering, render_activity
from bridge.simulator.teams.messages import BOT_SENDER, Message, Quote, StreamState
from bridge.simulator.teams.world import BOT_NAME, Conversation, iso_now

_LONG_TEXT = 2000
_PREVIEW = 200


async def rendering_of(activity: dict[str, Any], quotable: Callable[[str], Message | None]) -> Rendering:
    """Render the activity for a chat; `quotable` finds the chat's messages by id, for the quoted message."""
    if len(activity.get("text") or "") < _LONG_TEXT:
        rendering = render_activity(activity)
    else:  # rendering a long text would block the event loop
        rendering = await asyncio.to_thread(render_activity, activity)
    found = quotable(rules.quoted_id(activity) or "")
    return rendering if found is None or found.deleted else replace(rendering, quoted=quote(found))


def quote(message: Message) -> Quote:
    """A quotation of `message`: author and the first 200 characters, on a single line."""
    name = BOT_NAME if message.from_bot else message.name
    return Quote(message.id, name, " ".join(message.text.split())[:_PREVIEW])


def bot_message(
    conversation: Conversation, message_id: str, rendering: Rendering, stream: StreamState | None = None
) -> Message:
    return Message(
        id=message_id,
        chat=conversation.chat.id,
        thread=conversation.thread,
        at=iso_now(),
        sender=BOT_SENDER,
        name=BOT_NAME,
        stream=stream,
        **rendering.changes(),
    )
