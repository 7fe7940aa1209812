"""Splits the Markdown of an answer into blocks, reading line by line.

An answer is rendered block by block (`render`), so a finished block keeps its rendering whatever text follows; hence
a growing answer can be shown (`partial`). Whether a border lies between two lines depends only on the text before the
border and on the start of the line behind.

Borders lie before and after headings, rules and fenced code at the margin, and between a blank line and a line at the
margin which does not continue a list. So far CommonMark; in addition a line at the margin which is no item ends a
list, because agents do not wrap lines and forget the blank line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
    closing: re.Pattern[str] | None = None  # of the open fence
    blank = False
    column = 0  # where the words of the outermost list item begin; 0: no list
    for found in _LINE.finditer(text):
        line = found[0]
        if closing:
            end = found.end()
            if closing.fullmatch(line):
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
        if alone:
            yield text[begin:end], True
            begin = -1
        elif marker and not closing and (not column or len(marker["indent"]) < column):
            column = offset(marker)
    if begin >= 0:
        yield text[begin:end], False


def _is_head(block: str) -> bool:
    return len(block) < HEAD_COLUMNS and "\n" not in block


def _closing(line: str, column: int) -> re.Pattern[str] | None:
    """Return the pattern of the closing line if `line` opens a fence outside of the list, else None."""
    fence = _FENCE.match(line)
    if not fence or (column and len(fence["indent"]) >= column):
        return None
    ticks = fence["ticks"]
    return re.compile(rf" {{0,3}}{ticks}{ticks[0]}*[ \t]*")
