"""A card that the agent wrote: a fenced block `adaptive-card` whose JSON may be shown as an attachment.

Pure. What a model writes is hostile, so this is a whitelist: a card shows words and opens web pages when somebody
clicks. It loads nothing by itself (a picture's address could carry secrets out), sends nothing back to the bot and
mentions nobody. https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

LONGEST_CARD: Final = 28_000  # "28 KB" for a card, of bytes; what is in a message counts for the message too
_DEEPEST = 20
_LONGEST_SUMMARY = 200

_FENCE = re.compile(
    r" {0,3}(?P<ticks>`{3,}|~{3,})[ \t]*adaptive-card[ \t]*\n(?P<json>.*)\n {0,3}(?P=ticks)[`~]*\s*", re.DOTALL
)
_VERSION = re.compile(r"1\.[0-5]")  # bots may send up to 1.5
_ELEMENTS = [
    *("AdaptiveCard", "TextBlock", "RichTextBlock", "TextRun", "Container", "ColumnSet", "Column", "FactSet", "Fact"),
    *("Table", "TableRow", "TableCell", "TableColumnDefinition", "ActionSet", "CodeBlock"),
]  # a list: what a card names as a type may not be hashable
_ACTION = "Action.OpenUrl"
_IN_ACTIONS = {"actions", "selectAction", "inlineAction"}
CARD_TYPE = "application/vnd.microsoft.card.adaptive"
_TYPED = {"body", "items", "rows", "cells"}
_LISTS = {*_TYPED, *_IN_ACTIONS, "columns", "facts", "inlines"}
_WEB = re.compile(r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d{1,5})?(?:[/?#][^\s<>\"\\]*)?")
# Loads, signs in, calls back or names people: none of it is for an agent to decide.
_REFUSED_KEYS = {"backgroundImage", "iconUrl", "refresh", "authentication", "entities", "data", "verb", "metadata"}
_LINK = re.compile(r"\]\(\s*(?!https?://|mailto:)|\]:", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufdd0]|</?at\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AgentCard:
    """A card that may be shown, and its words for the notification and for clients that show no cards."""

    content: dict[str, Any]
    words: str


def card_in(block: str) -> AgentCard | None:
    """The card in a block of Markdown, if the block is a fenced `adaptive-card` and the card is harmless."""
    fence = _FENCE.fullmatch(block)
    if not fence or len(fence["json"].encode("utf-8", "replace")) > LONGEST_CARD:
        return None
    try:
        card = orjson.loads(fence["json"])
    except orjson.JSONDecodeError:
        return None
    if not (isinstance(card, dict) and _is_card(card) and _is_harmless(card, "", _DEEPEST)):
        return None
    words = "\n".join(_words_in(card["body"])).strip()[:_LONGEST_SUMMARY]
    return AgentCard({**card, "fallbackText": words}, words) if words else None


def _is_card(card: dict[str, Any]) -> bool:
    version = card.get("version")
    return (
        card.get("type") == "AdaptiveCard"
        and isinstance(version, str)
        and bool(_VERSION.fullmatch(version))
        and isinstance(card.get("body"), list)
    )


def _is_harmless(value: Any, place: str, room: int) -> bool:
    """Whether only known things are in `value`, which stands under the key `place`, at most `room` levels deep."""
    if place in _LISTS and not isinstance(value, dict | list):
        return place == "inlines"  # words between runs
    if isinstance(value, dict):
        return room > 0 and _is_known(value, place, room) and all(map(_is_key, value))
    if isinstance(value, list):
        return room > 0 and all(_is_harmless(item, place, room - 1) for item in value)
    return not isinstance(value, str) or not (_LINK.search(value) or _CONTROL.search(value))


def _is_known(thing: dict[str, Any], place: str, room: int) -> bool:
    kind = thing.get("type")
    if place in _IN_ACTIONS:
        url = thing.get("url")
        if kind != _ACTION or not isinstance(url, str) or not _WEB.fullmatch(url):
            return False
    elif place == "msteams":
        return thing == {"width": "Full"}
    elif "url" in thing or (kind is None and place in _TYPED) or ("type" in thing and kind not in _ELEMENTS):
        return False
    if kind == "AdaptiveCard" and place:
        return False
    return all(key not in _REFUSED_KEYS and _is_harmless(item, key, room - 1) for key, item in thing.items())


def _is_key(key: str) -> bool:
    return key == "$schema" or key.replace(".", "").isalnum()


def _words_in(value: Any) -> Iterator[str]:
    """What the card says, in reading order."""
    if isinstance(value, list):
        for item in value:
            yield from _words_in(item)
    elif isinstance(value, dict):
        said = value.get("text") or value.get("codeSnippet")
        if isinstance(said, str):
            yield said
        if isinstance(value.get("title"), str) and isinstance(value.get("value"), str):
            yield f"{value['title']}: {value['value']}"
        for key in ("items", "columns", "facts", "inlines", "rows", "cells"):
            yield from _words_in(value.get(key))
