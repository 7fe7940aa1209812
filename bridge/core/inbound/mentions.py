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

_TAG = re.compile(r"<at(?:\s[^<>]*)?>([^<>]*)</at\s*>", re.IGNORECASE)
_MOST_UNTAGGED: Final = 5  # spellings of the bot's mention without a tag; each costs a search of the whole text


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
            for name in {_folded(tag[1] if tag else mention.text), _folded(mention.name)} - {""}:
                self._by_name.setdefault(name, []).append(mention)
        self._bot = _folded(text(recipient.get("name")))

    @property
    def of_the_bot(self) -> bool:
        """Whether the bot is mentioned."""
        return any(mention.own for mention in self._all)

    def in_html(self, ident: str, name: str) -> str:
        """The words for a mention in HTML: `ident` is the entity's position; without a position, names decide."""
        if ident.isdecimal() and len(ident) < 4 and int(ident) < len(self._all):
            return self._all[int(ident)].display_name
        named = self._by_name.get(_folded(name), [])
        return "" if any(mention.own for mention in named) or self._is_bot(name) else f"@{speaker_name(name)}"

    def in_text(self, body: str) -> str:
        """A text without HTML, with character references decoded once and each mention replaced.

        Tags with the same name take the entities in order; further tags take the last entity.
        """
        waiting = {name: deque(mentions) for name, mentions in self._by_name.items()}
        pieces = _TAG.split(body)
        for at, piece in enumerate(pieces):
            pieces[at] = self._named(decode(piece), waiting) if at % 2 else decode(piece)
        return self._without_untagged("".join(pieces)).strip()

    def _named(self, name: str, waiting: dict[str, deque[_Mention]]) -> str:
        mentions = waiting.get(_folded(name))
        if not mentions:
            return "" if self._is_bot(name) else f"@{speaker_name(name)}"
        return (mentions.popleft() if len(mentions) > 1 else mentions[0]).display_name

    def _without_untagged(self, body: str) -> str:
        """Take the bot's mentions out where the entity names a text without a tag, such as `@GoClaw`."""
        spellings = {mention.text.strip() for mention in self._all if mention.own and "<" not in mention.text}
        for spelling in sorted(spellings - {""}, key=len, reverse=True)[:_MOST_UNTAGGED]:
            body = body.replace(spelling, "", 1)
        return body

    def _is_bot(self, name: str) -> bool:
        """Whether a tag without an entity has the bot's name."""
        return bool(self._bot) and _folded(name) == self._bot and self._bot not in self._by_name


def _folded(name: str) -> str:
    """The name without its spelling: references decoded, compatible and composed letters, one case, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", decode(name)).casefold().split()).removeprefix("@")
