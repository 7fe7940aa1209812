"""Sorts what the HTML of a message holds beside words: emoji become words, pictures and recordings are counted.

Teams sends an emoji, a sticker and a GIF of its pickers as a picture, in the HTML and as an attachment `image/*`; only
the HTML tells them from a person's picture. Forms: docs/reference/teams.md, "Content that is no text".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bridge.core.inbound.html_tokens import End, Start, events
from bridge.core.markdown.plain_words import plain_words
from bridge.core.no_text import NoText

_SCHEMA: Final = "schema.skype.com/"
_QUOTE: Final = "reply"
_EMOJI, _PICTURE, _PLACEHOLDER = "emoji", "amsimage", "inputextension"
_EXPRESSIONS: Final = {
    "sticker": NoText.STICKER,
    "flik": NoText.STICKER,
    "flikmsg": NoText.STICKER,
    "giphy": NoText.GIF,
    "tenor": NoText.GIF,
    "gif": NoText.GIF,
}
_MARKED: Final = {
    "amsvideo": NoText.VIDEO,
    "amsaudio": NoText.AUDIO,
    "poll": NoText.POLL,
    "location": NoText.LOCATION,
}
_ELEMENTS: Final = {"video": NoText.VIDEO, "audio": NoText.AUDIO, "location": NoText.LOCATION}
_GIF_HOSTS: Final = ("giphy.com", "tenor.com")
_GENERIC: Final = frozenset(("", "image", "picture", "photo", "gif", "media", "sticker", "sticker image"))
_EMOJI_CLASS = re.compile(r"(?:^|\s)(?:animated-emoticon|emoticon|emoji)\b")
_LONGEST_LABEL: Final = 200  # characters; the patterns below and `plain_words` need quadratic time
_GIF_LABEL = re.compile(r"\s*\(GIF(?: Image)?\)\s*$", re.IGNORECASE)
_STICKER_LABEL = re.compile(r"^\s*Sticker image,\s*", re.IGNORECASE)


@dataclass(slots=True)
class HtmlContents:
    """A message's HTML, sorted.

    `tokens`: words and tags, with words in place of emoji, stickers and GIFs. `expressions`: the addresses of pictures
    which are no pictures of the person (emoji, stickers, GIFs, pictures of a quoted message); `pictures`: the addresses
    of all others. `pasted`: how many of them Teams keeps for the message. `fallback`: words shown in place of content.
    `attachments`: the ids of `<attachment>` tags. `previews`: the message has a link, so a card's placeholder is a
    preview.
    """

    tokens: list[str | Start | End] = field(default_factory=list)
    expressions: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    pasted: int = 0
    no_text: list[NoText] = field(default_factory=list)
    fallback: list[str] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    placeholders: list[bool] = field(default_factory=list)  # of apps' content; true for a card's
    previews: bool = False

    @property
    def from_apps(self) -> list[NoText]:
        """The kinds of placeholders: a card's holds a card id, a voice message's holds nothing."""
        cards = [] if self.previews else [NoText.CARD for is_card in self.placeholders if is_card]
        return [*cards, *(NoText.VOICE for is_card in self.placeholders if not is_card)]


def html_contents(html: str) -> HtmlContents:
    """Sort the HTML of a message, in linear time and without errors for any input."""
    sorter = _Sorter()
    for token in events(html):
        sorter.read(token)
    return sorter.found


class _Sorter:
    """Reads the tokens in order; `_quotes` has the open blockquotes, true for a quoted message."""

    def __init__(self) -> None:
        self.found = HtmlContents()
        self._quotes: list[bool] = []
        self._replies = 0
        self._wrapper: Start | None = None  # an open element around the picture of an emoji, a sticker or a GIF
        self._fallback = False

    def read(self, token: str | Start | End) -> None:
        if isinstance(token, str):
            (self.found.fallback if self._fallback and token.strip() else self.found.tokens).append(token)
            if self._wrapper and token.strip() and _type(self._wrapper) == _EMOJI:
                self._wrapper = None  # the emoji is written as a character
            return
        if not (isinstance(token, Start) and token.name in ("source", "track")):
            self._fallback = False
        if isinstance(token, End):
            self._end(token)
        elif token.name == "img":
            self._image(token)
        else:
            self._start(token)

    def _start(self, tag: Start) -> None:
        kind = _type(tag)
        if tag.name == "blockquote":
            self._quotes.append(kind == _QUOTE)
            self._replies += kind == _QUOTE
        elif tag.name in ("emoji", "customemoji"):
            self.found.expressions += filter(None, (tag.attributes.get("source"), tag.attributes.get("src")))
        elif tag.name == "attachment":
            self.found.attachments.append(tag.attributes.get("id", ""))
        elif tag.name == "a" and tag.attributes.get("href"):
            self.found.previews = True
        elif kind in _EXPRESSIONS or kind == _EMOJI:
            self._wrapper = tag
        elif kind == _PLACEHOLDER and not self._replies:
            self.found.placeholders.append(False)
        elif tag.attributes.get("itemprop") == "cardId" and self.found.placeholders:
            self.found.placeholders[-1] = True
        self._content(tag, kind)
        self.found.tokens.append(tag)

    def _content(self, tag: Start, kind: str) -> None:
        """Note a recording, a poll or a location; the words inside a recording stand there for old clients."""
        found = _ELEMENTS.get(tag.name) or _MARKED.get(kind) or _uri_object(tag)
        if found is None:
            return
        self._fallback = tag.name in _ELEMENTS
        if self._replies:
            return
        address = tag.attributes.get("address", "")[:_LONGEST_LABEL] if found is NoText.LOCATION else ""
        if address.strip():
            self.found.tokens.append(f" [location: {plain_words(address)}] ")
        else:
            self.found.no_text.append(found)

    def _end(self, tag: End) -> None:
        if tag.name == "blockquote" and self._quotes:
            self._replies -= self._quotes.pop()
        if self._wrapper and self._wrapper.name == tag.name:
            wrapper, self._wrapper = self._wrapper, None
            self._expression(wrapper, wrapper)  # an expression without a picture
        self.found.tokens.append(tag)

    def _image(self, tag: Start) -> None:
        kind, wrapper = _type(tag), self._wrapper
        self._wrapper = None
        if wrapper or kind == _EMOJI or kind in _EXPRESSIONS or _is_gif(tag):
            self.found.expressions.append(tag.attributes.get("src", ""))
            self._expression(wrapper or tag, tag)
        elif kind in _MARKED:
            self._content(tag, kind)
        elif self._replies:
            self.found.expressions.append(tag.attributes.get("src", ""))
            self.found.tokens.append("[picture]")
        else:
            self._picture(tag, kind)

    def _picture(self, tag: Start, kind: str) -> None:
        """A person's picture; its words are Teams' own ("image") where Teams keeps the picture."""
        self.found.pictures.append(tag.attributes.get("src", ""))
        self.found.pasted += kind == _PICTURE
        words = tag.attributes.get("alt") or tag.attributes.get("title", "")
        if kind == _PICTURE or words.strip().casefold() in _GENERIC:
            self.found.fallback += [words] if words.strip() else []
        else:
            self.found.tokens.append(tag)

    def _expression(self, outer: Start, image: Start) -> None:
        """Put words in place of an expression; `outer` is the element that names the kind."""
        if _type(outer) == _EMOJI:
            self.found.tokens.append(_emoji(image) or _emoji(outer))
            return
        kind, label = _EXPRESSIONS.get(_type(outer), NoText.GIF), _label(outer) or _label(image)
        if label or self._replies:
            self.found.tokens.append(f"[{kind}: {label}]" if label else f"[{kind}]")
        else:
            self.found.no_text.append(kind)


def _type(tag: Start) -> str:
    """The last word of Skype's item type, in small letters; "" for all others. A class may name an emoji, too."""
    kind = tag.attributes.get("itemtype", "").casefold().partition(_SCHEMA)[2]
    return kind or (_EMOJI if _EMOJI_CLASS.search(tag.attributes.get("class", "")) else "")


def _emoji(tag: Start) -> str:
    """The emoji as a character, or its name: a tenant's own emoji is no character."""
    names = (tag.attributes.get(name, "") for name in ("alt", "title", "itemid"))
    return " ".join(next(filter(str.strip, names), "").split())


def _label(tag: Start) -> str:
    """The name of a sticker or GIF, "" for none."""
    names = (tag.attributes.get(name, "")[:_LONGEST_LABEL] for name in ("alt", "title", "aria-label"))
    labels = (plain_words(_STICKER_LABEL.sub("", _GIF_LABEL.sub("", name))) for name in names)
    return next((label for label in labels if label.casefold() not in _GENERIC), "")


def _is_gif(tag: Start) -> bool:
    if _GIF_LABEL.search(tag.attributes.get("alt", "")[-_LONGEST_LABEL:]):
        return True
    try:
        host = urlsplit(tag.attributes.get("src", "")).hostname or ""
    except ValueError:
        return False
    return any(host == known or host.endswith(f".{known}") for known in _GIF_HOSTS)


def _uri_object(tag: Start) -> NoText | None:
    """The kind of Skype's older `<URIObject type="Audio.1/Message.1">`."""
    if tag.name != "uriobject":
        return None
    kind = tag.attributes.get("type", "").casefold().partition(".")[0]
    return {"audio": NoText.VOICE, "video": NoText.VIDEO, "swf": NoText.STICKER}.get(kind, NoText.OTHER)
