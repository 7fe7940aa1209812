"""Writes quoted messages from `quotedReply` entities into a message's text.

The entity has author and preview; the text holds `<quoted messageId="…"/>` at the quote's position. Older clients send
a blockquote in the HTML instead, which `html_to_markdown` reads (docs/reference/teams.md, "Quotes").
"""

from __future__ import annotations

import re
from typing import Any

from bridge.core.identity import speaker_name
from bridge.core.inbound.json_values import mapping, objects
from bridge.core.inbound.json_values import text as text_of

_MARK = re.compile(r'<quoted messageId="([^"<>]{1,200})"\s?/>')
_BLOCKQUOTE = "http://schema.skype.com/Reply"


def with_quotes(activity: dict[str, Any], text: str) -> str:
    """Return `text` with each quoted message as `> Author: preview`, at the quote's mark or else before the text."""
    quotes = {
        text_of(quoted.get("messageId")): quotation(text_of(quoted.get("senderName")), text_of(quoted.get("preview")))
        for entity in objects(activity.get("entities"))
        if entity.get("type") == "quotedReply" and (quoted := mapping(entity.get("quotedReply")))
    }
    if not quotes:
        return text
    if any(_BLOCKQUOTE in text_of(part.get("content")) for part in objects(activity.get("attachments"))):
        quotes = dict.fromkeys(quotes, "")  # the text has the quotes already, from the HTML
    pieces = _MARK.split(text)  # words, id, words, id, …, words
    blocks = [pieces[0]]
    for id_, words in zip(pieces[1::2], pieces[2::2], strict=True):
        blocks += [quotes.pop(id_, ""), words]
    return "\n\n".join(filter(None, (block.strip() for block in (*quotes.values(), *blocks))))


def quotation(author: str, words: str) -> str:
    """Return `> Author: words` as Markdown, "" for a quote without words, such as the quote of a deleted message."""
    if not words.strip():
        return ""
    return "\n".join(f"> {line}" for line in f"{speaker_name(author)}: {words.strip()}".splitlines())
