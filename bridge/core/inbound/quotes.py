"""Quoted messages that Teams names in an entity `quotedReply` instead of showing them in the HTML.

The entity has author and preview; the text holds `<quoted messageId="…"/>` where the quote stands. Older clients send a
blockquote in the HTML, which html_text.py reads. https://github.com/microsoft/teams.py/pull/470
"""

from __future__ import annotations

import re
from typing import Any

from bridge.core.identity import speaker
from bridge.core.inbound.json_values import mapping, objects
from bridge.core.inbound.json_values import text as text_of

_PLACE = re.compile(r'<quoted messageId="([^"<>]{1,200})"\s?/>')
_BLOCKQUOTE = "http://schema.skype.com/Reply"


def with_quotes(activity: dict[str, Any], text: str) -> str:
    """The text with each quoted message as `> Author: words`, where its place is or else before it."""
    quotes = {
        text_of(quoted.get("messageId")): _quote(quoted)
        for entity in objects(activity.get("entities"))
        if entity.get("type") == "quotedReply" and (quoted := mapping(entity.get("quotedReply")))
    }
    if not quotes:
        return text
    if any(_BLOCKQUOTE in text_of(part.get("content")) for part in objects(activity.get("attachments"))):
        quotes = dict.fromkeys(quotes, "")  # the text shows them already
    pieces = _PLACE.split(text)  # words, id, words, id, …, words
    blocks = [pieces[0]]
    for id_, words in zip(pieces[1::2], pieces[2::2], strict=True):
        blocks += [quotes.pop(id_, ""), words]
    return "\n\n".join(filter(None, (block.strip() for block in (*quotes.values(), *blocks))))


def _quote(quoted: dict[str, Any]) -> str:
    """Empty for a quote of which nothing is told, as of a message that was deleted."""
    preview = text_of(quoted.get("preview")).strip()
    words = f"{speaker(text_of(quoted.get('senderName')))}: {preview}"
    return "\n".join(f"> {line}" for line in words.splitlines()) if preview else ""
