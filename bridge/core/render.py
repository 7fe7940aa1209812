"""An answer of the agent becomes the parts that Teams is sent (`textFormat: markdown`).

Pure: text in, texts out. The dialect is `markdown`'s job, the cutting is `chunks`'; this module knows which
answers need neither, because most turns end with a few lines of ordinary prose.
"""

from __future__ import annotations

import re

from bridge.core.chunks import cut
from bridge.core.markdown import to_teams

# The gate. A text that matches as a whole is sent as it is. It is a whitelist, so that whatever it does not
# know is rendered: ordinary lines and flat lists only, in which nothing can be a link, an image, HTML, an
# entity, a table, an escape (WORDS), a heading, rule, quote, fence, indented line or setext underline
# (START), and no line break inside prose, which Teams would swallow. One break it does let through: prose
# directly after a list line belongs to that line in Markdown, so the break means nothing there either.
# Quantifiers are possessive: one pass, no backtracking.
_WORDS = r"[^\n<&|\[\\\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]++"
_START = r"(?![\s#>=~+_-]|```|\*(?!\*?[^\s*])|\d{1,9}[.)](?:\s|\Z))"
_PROSE = _START + _WORDS
_ITEM = r"(?:[-*]|\d{1,3}[.)]) " + _PROSE
_PLAIN = re.compile(
    rf"(?:(?:{_ITEM}(?:\n{_ITEM})*+(?:\n{_PROSE})?+|{_PROSE})(?:\n\n++|\n(?=[-*][ ]|1[.)][ ]|\Z)|\Z))++"
)

_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def render_answer(markdown: str) -> tuple[str, ...]:
    """Turn an answer into the texts of the messages to send, in order.

    Takes CommonMark with GFM tables, task lists and strikethrough. Gives Teams' dialect (see `markdown`),
    each part at most `chunks.PART_UNITS` UTF-16 units; with several parts each ends with its place, such as
    "(1/3)". No part is blank; a blank answer has no parts. A tuple of the very same string means that nothing
    had to be done.
    """
    if _PLAIN.fullmatch(markdown):
        return cut(markdown)
    # Escaped as \u surrogates may come alone out of JSON; no UTF-8 body can carry them further.
    clean = _SURROGATES.sub("\ufffd", markdown.translate(_CONTROLS))
    text = to_teams(clean)
    return cut(text) if text else ()
