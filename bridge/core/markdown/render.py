"""An answer of the agent becomes the parts that Teams is sent (`textFormat: markdown`).

Pure: text in, texts out. The dialect is `markdown`'s job, the cutting is `chunks`'; this module knows which
answers need neither, because most turns end with a few lines of ordinary prose.
"""

from __future__ import annotations

import re
from itertools import islice

from bridge.core.markdown.agent_cards import AgentCard, card_in
from bridge.core.markdown.blocks import blocks
from bridge.core.markdown.dialect import to_teams
from bridge.core.markdown.inline import literal
from bridge.core.markdown.parser import Definitions
from bridge.core.markdown.split import cut

# The gate. A text that matches as a whole is sent as it is, but for the blank lines between prose and lists that Teams
# needs and agents leave out: rendering would change nothing else (a test holds that). It is a whitelist: single lines
# of prose and flat lists, in which nothing can be a link, an image, HTML, an entity, a table, an escape, math, a chance
# fence or code that is written anew (WORDS), nor a heading, rule, quote, fence or list in a list (START), nor a number
# that begins no list below prose (FIRST). Quantifiers are possessive: one pass, no backtracking.
_BAD = r"\t-\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # blanks but for the space
_BAD += r"<&|\[\]\\`~$\x00-\x08\x0e-\x1b\x7f\ud800-\udfff\ufdd0"
_CODE = r"`[^\s<`\]](?:[^\n<`\]]*+(?<!\s))?+`(?!`)"
_WORDS = rf"(?! )(?:[^*{_BAD}]++|\*(?!\d)|(?<!\d)\*|~{{1,2}}(?!~)|{_CODE})++(?<! )"
_START = r"(?![#>=~+_-]|\*(?!\*?[^\s*])|\d{1,9}[.)](?:\s|\Z))"
_PROSE = _START + _WORDS
_LIST = "|".join(rf"{sign} {_PROSE}(?:\n{sign} {_PROSE})*+" for sign in ("-", r"\*", r"\d{1,3}\.", r"\d{1,3}\)"))
_FIRST = r"(?=[-*] |1[.)] )"
_PLAIN = re.compile(rf"(?:(?:(?:{_LIST})\n{{1,2}}+)?+{_PROSE}(?:\n\n(?!\Z)|\n{_FIRST}|\Z))*+(?:{_LIST})?+")
_ITEM = r"(?:[-*]|\d{1,3}[.)]) "
_BORDER = re.compile(rf"^{_ITEM}.*+\n(?!{_ITEM}|\n)|^(?!{_ITEM}).++\n(?={_ITEM})", re.MULTILINE)

_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, 0xFDD0])
_CARD = "\ufdd0"  # where a card stands while the text is cut; no character, and the input has none
_MOST_CARDS = 10
_UNCLEAN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufdd0]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def render_answer(markdown: str) -> tuple[str, ...]:
    """Turn an answer into the texts of the messages to send, in order.

    Takes CommonMark with GFM tables, task lists and strikethrough. Gives Teams' dialect (see `markdown`),
    each part at most `chunks.PART_UNITS` UTF-16 units; with several parts each ends with its place, such as
    "(1/3)". No part is blank; a blank answer has no parts. A tuple of the very same string means that nothing
    had to be done.
    """
    whole = render_whole(markdown)
    return cut(whole) if whole else ()


def render_whole(markdown: str) -> str:
    """The answer in Teams' dialect, before it is cut: its blocks, each rendered by itself."""
    plain = as_it_is(markdown)
    if plain is not None:
        return plain
    text = clean(markdown)
    definitions = Definitions(text)
    shown = "\n\n".join(filter(None, (render_block(block, definitions) for block, _ in blocks(text))))
    return shown or literal(text).strip()


def as_it_is(markdown: str) -> str | None:
    """The rendering of a text of which nothing needs to be parsed; None of any other."""
    return _BORDER.sub(_with_blank_line, markdown) if _PLAIN.fullmatch(markdown) else None


def _with_blank_line(border: re.Match[str]) -> str:
    return f"{border[0]}\n"


def render_with_cards(markdown: str) -> tuple[tuple[str, tuple[AgentCard, ...]], ...]:
    """The texts of `render_answer`, each with the cards that stand in it; a text may be empty beside a card."""
    if "adaptive-card" not in markdown.lower():
        return tuple((part, ()) for part in render_answer(markdown))
    text = clean(markdown)
    definitions = Definitions(text)
    cards: list[AgentCard] = []
    shown: list[str] = []
    for block, _ in blocks(text):
        card = card_in(block) if len(cards) < _MOST_CARDS else None
        if card:
            cards.append(card)
        shown.append(_CARD if card else render_block(block, definitions))
    waiting = iter(cards)
    return tuple(
        (re.sub(rf"\n*{_CARD}", "", part).strip("\n"), tuple(islice(waiting, part.count(_CARD))))
        for part in cut("\n\n".join(filter(None, shown)))
    )


def clean(markdown: str) -> str:
    """Without what no message may hold: control characters, surrogates that are alone (JSON escapes can say so)."""
    if not _UNCLEAN.search(markdown):
        return markdown
    markdown = re.sub(r"\r\n?", "\n", markdown).translate(_CONTROLS)
    return _SURROGATES.sub("\ufffd", markdown)


def render_block(block: str, definitions: Definitions) -> str:
    """One block of `blocks` in Teams' dialect; empty if there are no words in it."""
    plain = as_it_is(block)
    if plain is not None:
        return plain
    text = to_teams(block, definitions).strip("\n ")
    return text if text.strip() else ""
