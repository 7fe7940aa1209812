"""How an activity of the bot becomes a message of the chat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge.simulator.teams import rules
from bridge.simulator.teams.bot_rendering import Appearance, appearance
from bridge.simulator.teams.messages import BOT_SENDER, Message, Quote, StreamState
from bridge.simulator.teams.world import BOT_NAME, Place, iso_now

_LONG_TEXT = 2000
_PREVIEW = 200


async def looks_of(activity: dict[str, Any], quotable: Callable[[str], Message | None]) -> Appearance:
    """How it looks in a chat where `quotable` finds messages."""
    if len(activity.get("text") or "") < _LONG_TEXT:
        looks = appearance(activity)
    else:  # rendering a long text takes a while: not on the event loop
        looks = await asyncio.to_thread(appearance, activity)
    found = quotable(rules.quoted_id(activity) or "")
    return looks if found is None or found.deleted else replace(looks, quoted=quote(found))


def quote(message: Message) -> Quote:
    name = BOT_NAME if message.from_bot else message.name
    return Quote(message.id, name, " ".join(message.text.split())[:_PREVIEW])


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
