"""Replaces the mentions in a message's text by words: the bot's own by nothing, all others by `@Name`.

The id in a mention's entity decides who is mentioned. A tag without an entity's position is matched by the name in any
spelling: with character references, in other case, in composed or decomposed letters.
Form: docs/reference/teams.md, "Fields of an activity".
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from bridge.core.identity import speaker_name
from bridge.core.inbound.html_tokens import decode
from bridge.core.inbound.json_values import mapping, objects, text

_TAG = re.compile(r"<at((?:\s[^<>]*)?)>([^<>]*)</at\s*>", re.IGNORECASE)
_POSITION = re.compile(r"\bid\s?=\s?[\"']?(\d{1,3})\b", re.IGNORECASE)
_MOST_SPELLINGS: Final = 5  # of the bot's mention in text without a tag; each costs a search of the whole text


@dataclass(frozen=True, slots=True)
class _Mention:
    """A mention's entity: `text` is the mention in the message (`<at>Name</at>`), `own` is true for the bot."""

    text: str
    name: str
    own: bool

    @property
    def display_name(self) -> str:
        return "" if self.own else f"@{speaker_name(self.name)}"


class Mentions:
    """The mentions of an activity, in the order of the entities. All methods take linear time."""

    def __init__(self, activity: dict[str, Any]) -> None:
        """`activity` is the verified JSON, of any shape."""
        recipient = mapping(activity.get("recipient"))
        self._all = [
            _Mention(text(entity.get("text")), text(mentioned.get("name")), mentioned.get("id") == recipient.get("id"))
            for entity in objects(activity.get("entities"))
            if entity.get("type") == "mention" and isinstance(mentioned := mapping(entity.get("mentioned")), dict)
        ]
        self._by_name: dict[str, list[_Mention]] = {}
        for mention in self._all:
            tag = _TAG.search(mention.text)
            for name in {_folded(tag[2] if tag else mention.text), _folded(mention.name)} - {""}:
                self._by_name.setdefault(name, []).append(mention)
        bot = {_folded(text(recipient.get("name"))), *(_folded(mention.name) for mention in self._all if mention.own)}
        self._bot_words = {word for name in bot for word in name.split()}

    @property
    def of_the_bot(self) -> bool:
        """Whether the bot is mentioned."""
        return any(mention.own for mention in self._all)

    def in_html(self, ident: str, name: str) -> str:
        """The words for a mention in HTML: `ident` is the entity's position; without a position, names decide."""
        if (mention := self._at(ident)) is not None:
            return mention.display_name
        named = self._by_name.get(_folded(name), [])
        return "" if any(mention.own for mention in named) else self._unknown(name, known=bool(named))

    def in_text(self, body: str) -> str:
        """A text without HTML, with character references decoded once and each mention replaced.

        Tags with the same name take the entities in order; further tags take the last entity. The position in a tag
        counts where no entity has the name.
        """
        waiting = {name: deque(mentions) for name, mentions in self._by_name.items()}
        pieces = _TAG.split(body)  # words, attributes, name, words, attributes, name, …, words
        words = [decode(piece) for piece in pieces[::3]]
        names = (self._named(decode(name), tag, waiting) for tag, name in zip(pieces[1::3], pieces[2::3], strict=True))
        read = "".join(part for pair in zip(words, (*names, ""), strict=True) for part in pair)
        return self._without_spellings(read).strip()

    def _named(self, name: str, tag: str, waiting: dict[str, deque[_Mention]]) -> str:
        if mentions := waiting.get(_folded(name)):
            return (mentions.popleft() if len(mentions) > 1 else mentions[0]).display_name
        position = _POSITION.search(tag)
        mention = self._at(position[1]) if position else None
        return self._unknown(name) if mention is None else mention.display_name

    def _at(self, ident: str) -> _Mention | None:
        """The mention at a position."""
        inside = ident.isdecimal() and len(ident) < 4 and int(ident) < len(self._all)
        return self._all[int(ident)] if inside else None

    def _unknown(self, name: str, *, known: bool = False) -> str:
        """The words for a tag without an entity: a part of the bot's name is the bot, since others have an entity."""
        of_bot = not known and self._bot_words.issuperset(_folded(name).split())
        return "" if of_bot else f"@{speaker_name(name)}"

    def _without_spellings(self, body: str) -> str:
        """Take the bot's mentions out where they have no tag, such as `@GoClaw`, or an encoded tag."""
        spellings = {mention.text.strip() for mention in self._all if mention.own}
        for spelling in sorted(spellings - {""}, key=len, reverse=True)[:_MOST_SPELLINGS]:
            body = body.replace(spelling, "", 1)
        return body


def _folded(name: str) -> str:
    """The name without its spelling: references decoded, compatible and composed letters, one case, single blanks."""
    letters = decode(name) if "&" in name else name
    composed = letters if letters.isascii() else unicodedata.normalize("NFKC", letters)
    return " ".join(composed.casefold().split()).removeprefix("@")
