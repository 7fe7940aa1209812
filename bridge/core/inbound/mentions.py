"""Replaces the mentions in a message by words: the bot's own by nothing, all others by `@Name`. The time is linear.

The id in a mention's entity decides who is mentioned, never the name.
Form: docs/reference/teams.md, "Fields of an activity".
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from bridge.core.identity import speaker_name
from bridge.core.inbound.json_values import mapping, objects
from bridge.core.inbound.json_values import text as text_of

_TAG: Final = re.compile(r"<at(?:\s[^<>]*)?>[^<>]*</at>", re.IGNORECASE)
_MOST_UNTAGGED: Final = 5  # mentions in text without a tag; each costs a search of the whole text


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention entity: `text` is the mention in the message (`<at>Name</at>`), `own` is true for the bot."""

    text: str
    name: str
    own: bool

    @property
    def display_name(self) -> str:
        return "" if self.own else f"@{speaker_name(self.name)}"


def mentions_in(activity: dict[str, Any], bot: str) -> list[Mention]:
    """Return the mention entities, in order. The id decides who is mentioned, never the name."""
    return [
        Mention(text_of(entity.get("text")), text_of(mentioned.get("name")), own=mentioned.get("id") == bot)
        for entity in objects(activity.get("entities"))
        if entity.get("type") == "mention"
        for mentioned in (mapping(entity.get("mentioned")),)
    ]


def with_names(text: str, mentions: list[Mention]) -> str:
    """Replace the mentions in a text without HTML, in linear time: a body has room for thousands of mentions."""
    waiting: dict[str, deque[str]] = {}
    for mention in mentions:
        waiting.setdefault(mention.text, deque()).append(mention.display_name)

    def name(tag: re.Match[str]) -> str:
        names = waiting.get(tag[0])
        return names.popleft() if names else tag[0]

    text = _TAG.sub(name, text)
    untagged = [spelling for spelling in waiting if spelling and not _TAG.fullmatch(spelling)]
    for spelling in untagged[:_MOST_UNTAGGED]:
        text = text.replace(spelling, waiting[spelling][0], 1)
    return text


def words_of(mentions: list[Mention], own: set[str], ident: str, name: str) -> str:
    """Return the words for a mention in HTML: `ident` is the entity's position; without a position, names decide.

    `own` are the names of the bot.
    """
    if ident.isdecimal() and len(ident) < 4 and int(ident) < len(mentions):
        return mentions[int(ident)].display_name
    return "" if name in own else f"@{speaker_name(name)}"
