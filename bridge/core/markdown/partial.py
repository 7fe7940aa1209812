"""What may be shown of an answer that is still being written.

Pure. Teams lets a streamed text only grow, and the answer must in the end begin with what was streamed: "each chunk
must start with what was already streamed" (docs/reference/teams.md, "Streaming"). So of the agent's Markdown that much is shown of
which nothing that may follow changes the rendering: blocks that are over, and of the block that is being written
its lines of plain words, links and code, up to the last whole word. `tests/unit/test_unfinished.py` holds the laws.
"""

from __future__ import annotations

import re

from bridge.core.gateway_facts import HIDDEN_BEGINS, HIDDEN_THOUGHT, SILENCE
from bridge.core.markdown.blocks import HEAD_COLUMNS, MARKER, blocks, offset
from bridge.core.markdown.parser import Definitions
from bridge.core.markdown.render import clean, render_block
from bridge.core.markdown.split import PART_UNITS, beginning, units

# No more is streamed than surely stands in the first part of an answer that is cut: `chunks` cuts in the second half.
VISIBLE_UNITS = PART_UNITS // 2 - 1000
_MOST_READ = 100_000

_THOUGHT = re.compile(rf"\s*{HIDDEN_THOUGHT.pattern}", HIDDEN_THOUGHT.flags)
_CARD = re.compile(r" {0,3}(?:`{3,}|~{3,})\s*adaptive-card", re.IGNORECASE)  # may become an attachment

# Words that stay what they are, whatever follows them on their line or behind it.
_PLAIN = r"[^ \t\n`<&|\[\]\\$!~]"
_CITED = r"\[\d{1,3}\](?![(:]|\Z)|\[\^\d{1,3}\](?![(:\[]|\Z)"
_LINK = r"!?\[[^\[\]\\`<&|$!\n~]{0,200}\]\(https?://[^\s()<>\\`|\[\]$]{1,500}\)"
_CODED = r"(?<!`)`[^`\n|]++`(?!`|\Z)"
_SIGN = r"!(?!\[|\Z)|<(?=[ =\d])|&(?=[ \t\n])|&\w{1,40}(?![\w;#]|\Z)|~{1,2}(?!~|\Z)"
_WORD = rf"(?>{_PLAIN}|{_CITED}|{_LINK}|{_CODED}|{_SIGN})"
# A script without spaces grows by the character.
_WIDE = r"[\u3001-\u3011\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e01-\u0e2e\uff01-\uff5e]"
_WORDS = re.compile(rf"(?:{_WORD}++(?=[ \t\n])[ \t]*+)*+(?:{_WORD}*(?<={_WIDE}))?")
# In a line with "$" or "\" only its end tells what is math.
_MATH_LINE = re.compile(r"(?:[^\n`<&|\[\]\\~!]|\\[^\s`<&|\[\]\\~!])*+")
# Neither the start of another block nor anything that may still become one.
_NO_BLOCK = r"(?![#>=+_|~\s-]|`{2}|`\Z|\*(?!\*?[^\s*])|\d{1,9}(?:[.)](?:\s|\Z)|\Z)|\Z)"
_ORDINARY = re.compile(_NO_BLOCK)
# With the box of a task, which becomes another sign, and without math.
_START = re.compile(rf"(?:\[[ xX]\] (?=\S))?(?!\[[ xX]\]|\$(?:\$|\Z)|\\(?:\[|\Z)){_NO_BLOCK}")


def visible_prefix(raw: str) -> str:
    """What may be shown of an answer of which `raw` has come, in Teams' dialect; blank while there is nothing.

    It begins with what was shown of any earlier `raw`, and the whole answer's rendering, and its first part, begin
    with it. At most `SHOWN_UNITS` UTF-16 units.
    """
    text = _certain(clean(_visible(raw[:_MOST_READ]).rstrip("\r")))
    definitions = Definitions(text[: text.rfind("\n") + 1])
    shown = ""
    for block, over in blocks(text):
        settled = over and len(block) <= VISIBLE_UNITS and not _CARD.match(block)
        rendered = render_block(block, definitions) if settled else ""
        if settled and not definitions.missed:
            longer = _joined(shown, rendered)
            if units(longer) <= VISIBLE_UNITS:
                shown = longer
                continue
        safe = render_block(_safe_part(block[:VISIBLE_UNITS]), definitions)
        return beginning(_joined(shown, safe), VISIBLE_UNITS)
    return shown


def _joined(shown: str, block: str) -> str:
    return f"{shown}\n\n{block}" if shown and block else shown or block


def _visible(raw: str) -> str:
    """`raw` without the thoughts at its start, up to the first sign of something that will not be in the answer."""
    at = 0
    while thought := _THOUGHT.match(raw, at):
        at = thought.end()
    raw = raw[at:]
    start = raw.lstrip().upper()
    if SILENCE.startswith(start[: len(SILENCE)]):
        return ""
    hidden = HIDDEN_BEGINS.search(raw)
    return raw[: hidden.end() - 1] if hidden else raw


def _certain(text: str) -> str:
    """`text` without its last line, if that may still become anything."""
    begin = text.rfind("\n") + 1
    line = text[begin:]
    marker = MARKER.match(line)
    words = marker.end() if marker else len(line) - len(line.lstrip(" "))
    return text if line and _ORDINARY.match(line, words) else text[:begin]


def _safe_part(block: str) -> str:
    """The longest part of a block whose rendering begins the rendering of whatever the block becomes.

    That are the items before the last one of a list at the margin, and plain lines.
    """
    good = at = column = 0  # column: where the words of the last item at the margin begin
    plain = blank = True
    for line in block.split("\n"):
        begin, at = at, at + len(line) + 1
        if not line.strip(" \t"):
            blank = True
            continue
        item = _item(line, inside=column > 0, blank=blank)
        indent = len(line) - len(line.lstrip(" "))
        if item:
            good, column, plain = begin, offset(item), True  # what is above is over
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
    """The marker of an item that surely begins here: within a paragraph "2024. " does not begin a list, "1. " does."""
    marker = MARKER.match(line)
    if not marker or marker["indent"] or not marker["space"] or not _ORDINARY.match(line, marker.end()):
        return None
    return marker if inside or blank or not marker["number"] or int(marker["number"]) == 1 else None


def _safe_line(line: str, *, ended: bool) -> int:
    """How much of a line is safe to show, up to the end of a word; -1 if lines below it may be no lines of a list."""
    words = line.lstrip(" ")
    nested = MARKER.match(words)
    words = words[nested.end() :] if nested and nested["space"] else words
    if words.startswith(("$$", r"\[")):
        return -1
    safe = _safe_words(words, ended=ended)
    return len(line) - len(words) + safe if safe else 0


def _safe_words(words: str, *, ended: bool) -> int:
    """How much of a line is safe to show; `ended`: there is a line behind it."""
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
