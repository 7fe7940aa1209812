"""Finds harmless Adaptive Cards in an answer: a fenced block `adaptive-card` whose JSON Teams may show as a card.

A model's output is hostile, so only a whitelist of elements passes: a card shows words, and opens web pages on a click.
Pictures are refused (their addresses could carry secrets out), as are mentions and data sent back to the bot.
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.core.teams_limits import CARD_BYTES

_DEEPEST = 20  # levels of nested objects and lists
_LONGEST_SUMMARY = 200

_FENCE = re.compile(
    r" {0,3}(?P<ticks>`{3,}|~{3,})[ \t]*adaptive-card[ \t]*\n(?P<json>.*)\n {0,3}(?P=ticks)[`~]*\s*", re.DOTALL
)
_VERSION = re.compile(r"1\.[0-5]")  # bots may send up to 1.5 (docs/reference/teams.md, "Pictures and cards")
_ELEMENTS = [
    *("AdaptiveCard", "TextBlock", "RichTextBlock", "TextRun", "Container", "ColumnSet", "Column", "FactSet", "Fact"),
    *("Table", "TableRow", "TableCell", "TableColumnDefinition", "ActionSet", "CodeBlock"),
]  # a list, not a set: the type in a hostile card may be unhashable JSON
_ACTION = "Action.OpenUrl"
_IN_ACTIONS = {"actions", "selectAction", "inlineAction"}
CARD_TYPE = "application/vnd.microsoft.card.adaptive"
_TYPED = {"body", "items", "rows", "cells"}
_LISTS = {*_TYPED, *_IN_ACTIONS, "columns", "facts", "inlines"}
_WEB = re.compile(r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d{1,5})?(?:[/?#][^\s<>\"\\]*)?")
# Keys which load files, sign in, call the bot or mention people. An agent must not decide about these.
_REFUSED_KEYS = {"backgroundImage", "iconUrl", "refresh", "authentication", "entities", "data", "verb", "metadata"}
_LINK = re.compile(r"\]\(\s*(?!https?://|mailto:)|\]:", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufdd0]|</?at\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AgentCard:
    """A harmless card (`content`), and the card's text for notifications and for clients without cards (`words`)."""

    content: dict[str, Any]
    words: str


def card_in(block: str) -> AgentCard | None:
    """Return the card if a block of Markdown is a fenced `adaptive-card` with a harmless card, else None."""
    fence = _FENCE.fullmatch(block)
    if not fence or len(fence["json"].encode("utf-8", "replace")) > CARD_BYTES:
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


def _is_harmless(value: Any, parent_key: str, levels: int) -> bool:
    """Tell whether `value`, found under `parent_key`, has only known elements, nested at most `levels` deep."""
    if parent_key in _LISTS and not isinstance(value, dict | list):
        return parent_key == "inlines"  # strings between text runs
    if isinstance(value, dict):
        return levels > 0 and _is_known(value, parent_key, levels) and all(map(_is_key, value))
    if isinstance(value, list):
        return levels > 0 and all(_is_harmless(item, parent_key, levels - 1) for item in value)
    return not isinstance(value, str) or not (_LINK.search(value) or _CONTROL.search(value))


def _is_known(element: dict[str, Any], parent_key: str, levels: int) -> bool:
    """Tell whether `element`, found under `parent_key`, is an allowed element or action."""
    kind = element.get("type")
    if parent_key in _IN_ACTIONS:
        url = element.get("url")
        if kind != _ACTION or not isinstance(url, str) or not _WEB.fullmatch(url):
            return False
    elif parent_key == "msteams":
        return element == {"width": "Full"}
    elif "url" in element or (kind is None and parent_key in _TYPED) or ("type" in element and kind not in _ELEMENTS):
        return False
    if kind == "AdaptiveCard" and parent_key:
        return False
    return all(key not in _REFUSED_KEYS and _is_harmless(item, key, levels - 1) for key, item in element.items())


def _is_key(key: str) -> bool:
    return key == "$schema" or key.replace(".", "").isalnum()


def _words_in(value: Any) -> Iterator[str]:
    """Yield the texts of a card, in reading order."""
    if isinstance(value, list):
        for item in value:
            yield from _words_in(item)
    elif isinstance(value, dict):
        text = value.get("text") or value.get("codeSnippet")
        if isinstance(text, str):
            yield text
        if isinstance(value.get("title"), str) and isinstance(value.get("value"), str):
            yield f"{value['title']}: {value['value']}"
        for key in ("items", "columns", "facts", "inlines", "rows", "cells"):
            yield from _words_in(value.get(key))
