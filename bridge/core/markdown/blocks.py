"""Splits the Markdown of an answer into blocks, reading line by line.

An answer is rendered block by block (`render`), so a finished block keeps its rendering whatever text follows; hence
a growing answer can be shown (`partial`). Whether a border lies between two lines depends only on the text before the
border and on the start of the line behind.

Borders lie before and after headings, rules, fenced code, and lists and tables in HTML at the margin, and between a
blank line and a line at the margin which does not continue a list. So far CommonMark; in addition a line at the margin
which is no item ends a list, because agents do not wrap lines and forget the blank line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.core.markdown.html_blocks import begins_html, depth

# The marker of a list item, with the spaces before and behind.
MARKER = re.compile(r"(?P<indent> {0,3})(?P<sign>[-*+]|(?P<number>\d{1,9})[.)])(?P<space>[ \t]+|$)")

_LINE = re.compile(r"^[^\n]*+", re.MULTILINE)
# A line of fewer characters may be an underlined heading, or the head of a table without outer pipes. Longer lines are
# prose, so they can be shown while they grow (`partial`).
HEAD_COLUMNS = 40
UNDERLINE = re.compile(r"(?:={3,}|-{3,})[ \t]*$")

_ALONE = re.compile(r"#{1,6}(?:[ \t]|$)|(?:-{3,}|\*{3,}|_{3,}|={3,})[ \t]*$")
_FENCE = re.compile(r"(?P<indent> {0,3})(?P<ticks>`{3,}(?=[^`]*$)|~{3,})")


def offset(marker: re.Match[str]) -> int:
    """Return the column at which the words of a list item begin; lines further left are not part of the item."""
    space = len(marker["space"])
    return marker.end("sign") + (space if 0 < space < 5 else 1)


def blocks(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the blocks of `text` in order, each with True if finished; only the last block can be unfinished."""
    begin, end = -1, 0  # of the block being read; -1: none
    closing: _Fence | _Html | None = None  # the open fence, list or table
    blank = False
    column = 0  # where the words of the outermost list item begin; 0: no list
    for found in _LINE.finditer(text):
        line = found[0]
        if closing:
            end = found.end()
            if closing.ends(line, last=end == len(text)):
                yield text[begin:end], True
                begin, closing = -1, None
            continue
        if not line.strip(" \t"):
            blank = True
            continue
        marker, alone, closing = MARKER.match(line), _ALONE.match(line), _closing(line, column)
        goes_on = line.startswith((" ", "\t")) or (marker if column else not blank)
        underlines = begin >= 0 and not blank and UNDERLINE.match(line) and _is_head(text[begin:end])
        if begin >= 0 and not underlines and (alone or closing or not goes_on):
            yield text[begin:end], True
            begin = -1
        if begin < 0:
            begin, column = found.start(), 0
        blank, end = False, found.end()
        if alone or (closing and closing.closed):
            yield text[begin:end], True
            begin, closing = -1, None
        elif marker and not closing and (not column or len(marker["indent"]) < column):
            column = offset(marker)
    if begin >= 0:
        yield text[begin:end], False


def _is_head(block: str) -> bool:
    return len(block) < HEAD_COLUMNS and "\n" not in block


@dataclass(slots=True)
class _Fence:
    """An open fence and the pattern of its closing line."""

    closing: re.Pattern[str]
    closed = False

    def ends(self, line: str, *, last: bool) -> bool:  # noqa: ARG002  `last` matters for `_Html` only
        return bool(self.closing.fullmatch(line))


@dataclass(slots=True)
class _Html:
    """The number of open lists and tables in HTML."""

    open: int

    @property
    def closed(self) -> bool:
        """Whether the list or table ends in the line with the beginning."""
        return self.open <= 0

    def ends(self, line: str, *, last: bool) -> bool:
        """Tell whether the last of them ends; an unfinished line may open a further list."""
        self.open += depth(line)
        return self.open <= 0 and not last


def _closing(line: str, column: int) -> _Fence | _Html | None:
    """Return what `line` opens outside of the list, until a later line: a fence, or lists and tables in HTML."""
    if begins_html(line) and not (column and line.startswith(" ")):
        return _Html(depth(line))
    fence = _FENCE.match(line)
    if not fence or (column and len(fence["indent"]) >= column):
        return None
    ticks = fence["ticks"]
    return _Fence(re.compile(rf" {{0,3}}{ticks}{ticks[0]}*[ \t]*"))
