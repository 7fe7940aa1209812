"""Finds the part of an unfinished answer which may be shown while the agent still writes.

Teams lets a streamed text only grow, and the final answer must begin with the streamed text
(docs/reference/teams.md, "What each request of a stream holds"). So the visible part is the part whose rendering no
later text can change: the finished blocks, and of the last block the lines of plain words, links and code, up to the
last whole word. `tests/unit/test_partial.py` checks these rules.
"""

from __future__ import annotations

import re

from bridge.core.gateway_facts import HIDDEN_BEGINS, HIDDEN_THOUGHT, SILENCE
from bridge.core.markdown.blocks import HEAD_COLUMNS, MARKER, blocks, offset
from bridge.core.markdown.parser import Definitions
from bridge.core.markdown.render import clean, render_block
from bridge.core.markdown.split import beginning, units
from bridge.core.teams_limits import PART_UNITS

# UTF-16 units. Streamed text must stand in the first part of a long answer; `split` cuts in the second half of a part.
VISIBLE_UNITS = PART_UNITS // 2 - 1000
_MOST_READ = 100_000  # characters

# Text which the gateway removes, known by its first characters.
_THOUGHT = re.compile(rf"\s*{HIDDEN_THOUGHT.pattern}", HIDDEN_THOUGHT.flags)
_CARD = re.compile(r" {0,3}(?:`{3,}|~{3,})\s*adaptive-card", re.IGNORECASE)  # may become an attachment

# Words whose meaning no later text changes.
_PLAIN = r"[^ \t\n`<&|\[\]\\$!~]"
_CITED = r"\[\d{1,3}\](?![(:]|\Z)|\[\^\d{1,3}\](?![(:\[]|\Z)"
_LINK = r"!?\[[^\[\]\\`<&|$!\n~]{0,200}\]\(https?://[^\s()<>\\`|\[\]$]{1,500}\)"
_CODED = r"(?<!`)`[^`\n|]++`(?!`|\Z)"
_SIGN = r"!(?!\[|\Z)|<(?=[ =\d])|&(?=[ \t\n])|&\w{1,40}(?![\w;#]|\Z)|~{1,2}(?!~|\Z)"
_WORD = rf"(?>{_PLAIN}|{_CITED}|{_LINK}|{_CODED}|{_SIGN})"
# Characters of scripts without spaces: such a text grows by the character, not by the word.
_WIDE = r"[\u3001-\u3011\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e01-\u0e2e\uff01-\uff5e]"
_WORDS = re.compile(rf"(?:{_WORD}++(?=[ \t\n])[ \t]*+)*+(?:{_WORD}*(?<={_WIDE}))?")
# In a line with "$" or "\" only the end of the line tells formulas from prices and paths.
_MATH_LINE = re.compile(r"(?:[^\n`<&|\[\]\\~!]|\\[^\s`<&|\[\]\\~!])*+")
# Neither the start of a new block nor signs which may still become the start of a block.
_HTML = r"<(?:\Z|[uod](?:\Z|l\b)|t(?:\Z|a(?:\Z|b(?:\Z|l(?:\Z|e\b)))))"  # a list or table, perhaps
_NO_BLOCK = rf"(?![#>=+_|~\s-]|{_HTML}|`{{2}}|`\Z|\*(?!\*?[^\s*])|\d{{1,9}}(?:[.)](?:\s|\Z)|\Z)|\Z)"
_ORDINARY = re.compile(_NO_BLOCK, re.IGNORECASE)
# Also the box of a task, and no start of a formula.
_START = re.compile(rf"(?:\[[ xX]\] (?=\S))?(?!\[[ xX]\]|\$(?:\$|\Z)|\\(?:\[|\Z)){_NO_BLOCK}")


def visible_prefix(raw: str) -> str:
    """Return the visible part of an unfinished answer in Teams' dialect, "" while there is none.

    `raw` is the Markdown received so far. The result begins with the result for any shorter `raw`, and the rendering
    of the whole answer (`render_whole`, and the first part of `render_answer`) begins with the result. At most
    `VISIBLE_UNITS` UTF-16 units.
    """
    text = _without_open_line(clean(_without_hidden(raw[:_MOST_READ]).rstrip("\r")))
    definitions = Definitions(text[: text.rfind("\n") + 1])
    visible = ""
    for block, finished in blocks(text):
        certain = finished and len(block) <= VISIBLE_UNITS and not _CARD.match(block)
        rendered = render_block(block, definitions) if certain else ""
        if certain and not definitions.missed:
            longer = _joined(visible, rendered)
            if units(longer) <= VISIBLE_UNITS:
                visible = longer
                continue
        safe = render_block(_safe_part(block[:VISIBLE_UNITS]), definitions)
        return beginning(_joined(visible, safe), VISIBLE_UNITS)
    return visible


def _joined(visible: str, block: str) -> str:
    return f"{visible}\n\n{block}" if visible and block else visible or block


def _without_hidden(raw: str) -> str:
    """Return `raw` without thoughts at the start, up to the first sign of text which the gateway will remove."""
    at = 0
    while thought := _THOUGHT.match(raw, at):
        at = thought.end()
    raw = raw[at:]
    start = raw.lstrip().upper()
    if SILENCE.startswith(start[: len(SILENCE)]):
        return ""
    hidden = HIDDEN_BEGINS.search(raw)
    return raw[: hidden.end() - 1] if hidden else raw


def _without_open_line(text: str) -> str:
    """Return `text`, without the last line if more characters may still change the meaning of the line."""
    begin = text.rfind("\n") + 1
    line = text[begin:]
    marker = MARKER.match(line)
    words = marker.end() if marker else len(line) - len(line.lstrip(" "))
    return text if line and _ORDINARY.match(line, words) else text[:begin]


def _safe_part(block: str) -> str:
    """Return the longest part of a block whose rendering stays when the block grows.

    Such a part has plain lines, and all items but the last of a list at the margin.
    """
    good = at = column = 0  # good: end of the safe part; column: start of the words of the last item at the margin
    plain = blank = True
    for line in block.split("\n"):
        begin, at = at, at + len(line) + 1
        if not line.strip(" \t"):
            blank = True
            continue
        item = _item(line, inside=column > 0, blank=blank)
        indent = len(line) - len(line.lstrip(" "))
        if item:
            good, column, plain = begin, offset(item), True  # the lines above are finished
        elif (begin == 0 and indent) or (0 < indent < column and MARKER.match(line)):
            break
        elif not plain or (blank and begin):
            if not column or indent < column:
                break
            plain = False
        if plain:
            safe = _safe_line(line, ended=at <= len(block))
            good = begin + safe if safe > 0 else good
            plain = safe > 0 and safe == len(line.rstrip(" \t"))
            if not plain and (not column or safe < 0):
                break
        blank = False
    return block[:good]


def _item(line: str, *, inside: bool, blank: bool) -> re.Match[str] | None:
    """Return the marker if a list item surely begins: in a paragraph "1. " begins a list, "2024. " does not."""
    marker = MARKER.match(line)
    if not marker or marker["indent"] or not marker["space"] or not _ORDINARY.match(line, marker.end()):
        return None
    return marker if inside or blank or not marker["number"] or int(marker["number"]) == 1 else None


def _safe_line(line: str, *, ended: bool) -> int:
    """Return how many characters of a line are safe to show; -1 if the lines below may not belong to the list."""
    words = line.lstrip(" ")
    nested = MARKER.match(words)
    words = words[nested.end() :] if nested and nested["space"] else words
    if words.startswith(("$$", r"\[")):
        return -1
    safe = _safe_words(words, ended=ended)
    return len(line) - len(words) + safe if safe else 0


def _safe_words(words: str, *, ended: bool) -> int:
    """Return how many characters of a line's words are safe to show; `ended`: a further line follows."""
    whole = len(words.rstrip(" \t"))
    start = _START.match(words)
    if not start:
        return 0
    if ended and _MATH_LINE.fullmatch(words, 0, whole):
        return whole
    found = _WORDS.match(words + "\n" * ended, start.end())
    end = min(found.end(), whole) if found else 0
    if ended and end == whole:
        return whole
    may_be_a_head = "|" in words[:HEAD_COLUMNS] or (not ended and len(words) < HEAD_COLUMNS)
    return 0 if may_be_a_head or end == start.end() else len(words[:end].rstrip(" \t"))
