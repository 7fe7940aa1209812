"""How an activity of the bot becomes a message of the chat."""

from __future__ import annotations

import asyncio
from typing import Any

from bridge.simulator.teams.appearance import Appearance, appearance
from bridge.simulator.teams.messages import BOT_SENDER, Message, StreamState
from bridge.simulator.teams.world import BOT_NAME, Place, iso_now

_LONG_TEXT = 2000


async def looks_of(activity: dict[str, Any]) -> Appearance:
    """Rendering a long text takes a while: not on the event loop."""
    if len(activity.get("text") or "") < _LONG_TEXT:
        return appearance(activity)
    return await asyncio.to_thread(appearance, activity)


def bot_message(place: Place, message_id: str, looks: Appearance, stream: StreamState | None = None) -> Message:
    return Message(
        id=message_id,
        chat=place.chat.id,
        thread=place.thread,
        at=iso_now(),
        sender=BOT_SENDER,
        name=BOT_NAME,
        stream=stream,
        **looks.changes(),
    )
