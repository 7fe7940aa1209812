"""Renders an answer of the agent as the texts of Teams messages (`textFormat: markdown`).

`dialect` translates the Markdown, `split` cuts long answers. `render` also recognises answers which need neither,
because most turns end with a few lines of ordinary prose.
"""

from __future__ import annotations

import re
from itertools import islice

from bridge.core.markdown.agent_cards import AgentCard, card_in
from bridge.core.markdown.blocks import blocks
from bridge.core.markdown.dialect import to_teams
from bridge.core.markdown.flanking import needs_parser
from bridge.core.markdown.html_blocks import without_html_blocks
from bridge.core.markdown.inline import literal
from bridge.core.markdown.parser import Definitions
from bridge.core.markdown.split import cut

# A text which matches _PLAIN needs no parser: rendering would only add blank lines between prose and lists (for
# Teams; a test compares both). The pattern is a whitelist of single lines of prose and flat lists: without links,
# images, HTML, entities, tables, escapes, math, fences and rewritten code (_WORDS), headings, rules, quotes and nested
# lists (_START), and numbers below prose which begin no list (_FIRST). Possessive quantifiers: a single pass.
_BAD = r"\t-\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # all blanks except the space
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
_CARD = "\ufdd0"  # stands for a card while the text is cut; a code point without character, removed from the input
_CARD_WITH_LINES = re.compile(rf"(?<!\n)\n*+{_CARD}")  # read from the first line break on only: linear time
_MOST_CARDS = 10
_UNCLEAN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufdd0]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def render_answer(markdown: str) -> tuple[str, ...]:
    """Return the texts of the messages to send for an answer, in order.

    `markdown` is CommonMark with GFM tables, task lists and strikethrough; the texts are in Teams' dialect (see
    `dialect`), each at most `teams_limits.PART_UNITS` UTF-16 units. Several parts each end with a number: "(1/3)". No
    part is blank; a blank answer has no parts. An answer which needs no change is returned as the same string object.
    """
    whole = render_whole(markdown)
    return cut(whole) if whole else ()


def render_whole(markdown: str) -> str:
    """Return the whole answer in Teams' dialect, before cutting; each block is rendered separately."""
    plain = without_parsing(markdown)
    if plain is not None:
        return plain
    text = clean(markdown)
    definitions = Definitions(text)
    rendered = "\n\n".join(filter(None, (render_block(block, definitions) for block, _ in blocks(text))))
    return rendered or literal(text).strip()


def without_parsing(markdown: str) -> str | None:
    """Return the rendering of plain prose and flat lists, which need no parser; None for other Markdown."""
    is_plain = _PLAIN.fullmatch(markdown) and not needs_parser(markdown)
    return _BORDER.sub(_with_blank_line, markdown) if is_plain else None


def _with_blank_line(border: re.Match[str]) -> str:
    return f"{border[0]}\n"


def render_with_cards(markdown: str) -> tuple[tuple[str, tuple[AgentCard, ...]], ...]:
    """Return the texts of `render_answer`, each with the cards of the text's part; a text may be "" beside a card."""
    if "adaptive-card" not in markdown.lower():
        return tuple((part, ()) for part in render_answer(markdown))
    text = clean(markdown)
    definitions = Definitions(text)
    cards: list[AgentCard] = []
    rendered: list[str] = []
    for block, _ in blocks(text):
        card = card_in(block) if len(cards) < _MOST_CARDS else None
        if card:
            cards.append(card)
        rendered.append(_CARD if card else render_block(block, definitions))
    in_order = iter(cards)
    return tuple(
        (_CARD_WITH_LINES.sub("", part).strip("\n"), tuple(islice(in_order, part.count(_CARD))))
        for part in cut("\n\n".join(filter(None, rendered)))
    )


def clean(markdown: str) -> str:
    """Return `markdown` without control characters and lone surrogates, which JSON escapes can bring."""
    if not _UNCLEAN.search(markdown):
        return markdown
    markdown = re.sub(r"\r\n?", "\n", markdown).translate(_CONTROLS)
    return _SURROGATES.sub("\ufffd", markdown)


def render_block(block: str, definitions: Definitions) -> str:
    """Return a block of `blocks.blocks` in Teams' dialect, "" for a block without words."""
    plain = without_parsing(block)
    if plain is not None:
        return plain
    text = to_teams(without_html_blocks(block), definitions).strip("\n ")
    return text if text.strip() else ""
