"""Reads the words of a card that a person sent, of any kind of card and of any shape of JSON.

Kinds of cards: https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

_DEEPEST: Final = 30  # levels of nested objects and lists; deeper words are left out
_MOST_LINES: Final = 500
_WORDS: Final = (
    "title",
    "subtitle",
    "activityTitle",
    "activitySubtitle",
    "activityText",
    "text",
    "label",
    "codeSnippet",
)
_INSTEAD: Final = ("fallbackText", "summary", "speak")  # the same words once more, for clients without cards
_SILENT: Final = frozenset(("data", "msteams", "entities", "refresh", "authentication", "tap", "metadata", *_INSTEAD))


def content_of(attachment: dict[str, Any]) -> dict[str, Any]:
    """The attachment's content as a JSON object, {} where there is none; the content may be a string of JSON."""
    content = attachment.get("content")
    if isinstance(content, str):
        try:
            content = orjson.loads(content)
        except orjson.JSONDecodeError:
            return {}
    return content if isinstance(content, dict) else {}


def card_words(card: dict[str, Any]) -> str:
    """The words of a card, a line for each text in reading order; "" for a card without words."""
    lines: list[str] = []
    for line in _lines(card, "", _DEEPEST):
        lines += [line.strip()] if line.strip() and len(lines) < _MOST_LINES else []
    instead = (card.get(key) for key in _INSTEAD)
    return "\n".join(lines) or next((words.strip() for words in instead if isinstance(words, str)), "")


def _lines(value: Any, key: str, levels: int) -> Iterator[str]:
    """The texts in `value`, found under `key`, at most `levels` deep."""
    if levels == 0:
        return
    if isinstance(value, list):
        for item in value:
            if isinstance(item, str) and key == "inlines":
                yield item
            else:
                yield from _lines(item, key, levels - 1)
    elif isinstance(value, dict):
        yield from _own_lines(value, key)
        for name, child in value.items():
            if name not in _SILENT and isinstance(child, dict | list):
                yield from _lines(child, name, levels - 1)


def _own_lines(element: dict[str, Any], key: str) -> Iterator[str]:
    """The texts of an element itself; a fact is one line, and so is a choice or a button."""
    texts = {name: words for name in (*_WORDS, "name", "value") if isinstance(words := element.get(name), str)}
    if key == "facts":
        yield f"{texts.get('title') or texts.get('name', '')}: {texts.get('value', '')}".strip(" :")
        return
    if key in ("choices", "actions", "buttons", "potentialAction") and (
        title := texts.get("title") or texts.get("name")
    ):
        yield f"- {title}"
        return
    for name in _WORDS:
        if words := texts.get(name):
            yield words
