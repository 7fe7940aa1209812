"""Reads the body of a Teams message: the text for the agent as Markdown, the files, and the content that is no text.

Rich text comes twice, plain and as an attachment `text/html`. Forwarded messages and cards come as attachments:
docs/reference/teams.md, "Content that is no text".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bridge.core.files.shared import SharedFile
from bridge.core.inbound.attachments import Attached, attached
from bridge.core.inbound.html_contents import HtmlContents, html_contents
from bridge.core.inbound.html_to_markdown import plain_echo, tokens_to_markdown
from bridge.core.inbound.json_values import mapping, objects
from bridge.core.inbound.json_values import text as text_of
from bridge.core.inbound.mentions import Mentions
from bridge.core.inbound.quotes import with_quotes
from bridge.core.markdown.plain_words import plain_words
from bridge.core.no_text import NoText

_REPLY: Final = "http://schema.skype.com/Reply"
_LONGEST_PLACE: Final = 200  # characters; `plain_words` needs quadratic time
_FORWARD: Final = "http://schema.skype.com/Forward"


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a message. `text` is "" where the message has a quote beside its content, but no words of its own."""

    text: str
    files: tuple[SharedFile, ...]
    no_text: tuple[NoText, ...]


def read_body(activity: dict[str, Any], mentions: Mentions) -> Body:
    """Read the body of a message's activity, verified JSON of any shape."""
    parts = objects(activity.get("attachments"))
    bodies = [text_of(part.get("content")) for part in parts if part.get("contentType") == "text/html"]
    html = bodies[-1] if bodies else ""
    contents = html_contents(html)
    found = attached(parts, contents)
    words = _readable(text_of(activity.get("text")), html, contents, mentions)
    quoted = with_quotes(activity, words)
    if quoted == words and _REPLY not in html:  # a quote only where the message has none yet
        quoted = "\n\n".join(filter(None, (*found.replies, words)))
    places = _places(activity)
    kinds = _kinds(contents, found)
    added = bool(found.forwards or found.cards or places or _FORWARD in html)
    if kinds and not added and not _has_own_words(quoted):
        quoted = ""
    text = "\n\n".join(filter(None, (*found.forwards, quoted, *places, *found.cards)))
    if not (text or kinds or found.files) and any(
        text_of(part.get("contentType")).startswith("image/") for part in parts
    ):
        kinds = (NoText.STICKER,)  # an emoji or sticker of which Teams gives neither name nor character
    return Body(text, found.files, kinds)


def _readable(text: str, html: str, contents: HtmlContents, mentions: Mentions) -> str:
    """The words of a message from the HTML, or from the plain text where the HTML has none or says the same."""
    echo = plain_echo(html, text) if html else None
    if echo is not None:
        return echo
    if html:
        rich = tokens_to_markdown(contents.tokens, mentions.in_html).strip()
        if rich or not text.strip() or text.split() == " ".join(contents.fallback).split():
            return rich
    return mentions.in_text(text)


def _kinds(contents: HtmlContents, found: Attached) -> tuple[NoText, ...]:
    """The kinds of content without words, each once. A card's or component's attachment explains the placeholder."""
    from_apps = [] if found.cards or found.no_text else contents.from_apps
    return tuple(dict.fromkeys([*contents.no_text, *found.no_text, *from_apps]))


def _has_own_words(text: str) -> bool:
    return any(line.strip() and not line.startswith(">") for line in text.splitlines())


def _places(activity: dict[str, Any]) -> list[str]:
    """The locations of the message's entities.

    https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference#place-object
    """
    places = []
    for entity in objects(activity.get("entities")):
        if entity.get("type") not in ("Place", "GeoCoordinates"):
            continue
        point = mapping(entity.get("geo")) or entity
        numbers = (value for key in ("latitude", "longitude") if isinstance(value := point.get(key), int | float))
        words = [text_of(entity.get(key))[:_LONGEST_PLACE] for key in ("name", "address")] + [*map(str, numbers)]
        places += [f"[location: {', '.join(shown)}]"] if (shown := list(filter(None, map(plain_words, words)))) else []
    return places
