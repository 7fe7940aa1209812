"""Removes markup from foreign text (people's names, names of tools) for use in the bridge's own Markdown sentences.

Answers of the agent are Markdown and go through `render` instead.
"""

from __future__ import annotations

import re

# Signs of links, mentions, HTML, entities, emphasis, code, tables and bare web addresses. A blank replaces each, so the
# characters around cannot become markup together.
# In linear time: the letters before "://" are read from the first letter on only.
_MARKUP = re.compile(r"(?<![a-z0-9+.-])[a-z0-9+.-]*+://|\bwww\.|[\[\]<>*_`~!#|\\]|&(?=\w{1,40};)", re.IGNORECASE)


def plain_words(words: str) -> str:
    """Return `words` as a single line of plain text; may be empty."""
    printed = "".join(character if character.isprintable() else " " for character in words)
    return " ".join(_MARKUP.sub(" ", printed).split())
