"""Words of others within a sentence of the bridge's own, which Teams reads as Markdown: they say, and do nothing.

Pure. Answers take another way (`render`): there Markdown is meant.
"""

from __future__ import annotations

import re

# What could be a link, a mention, HTML, an entity, emphasis, code or a table; and what makes an address of words.
# A blank takes its place, so that what stood around it can never become one.
_MARKUP = re.compile(r"[a-z0-9+.-]*://|\bwww\.|[\[\]<>*_`~!#|\\]|&(?=\w{1,40};)", re.IGNORECASE)


def plain_words(words: str) -> str:
    """The words in one line of plain text; may be empty."""
    printed = "".join(character if character.isprintable() else " " for character in words)
    return " ".join(_MARKUP.sub(" ", printed).split())
