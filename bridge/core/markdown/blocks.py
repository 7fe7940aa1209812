"""Where one block of an answer ends and the next begins, told line by line.

Pure. An answer is rendered block by block (`render`), so that what was rendered stays as it is whatever follows:
that makes a text that still grows showable (`unfinished`). Whether a border stands between two lines depends on
what is before it and on the start of the line behind it, never on more.

A border stands before and after headings, rules and fenced code that begin at the margin, and between a blank line
and one that begins there, unless it goes on with a list. These are the borders of CommonMark. One is ours: a line at
the margin that is no item ends a list, because agents do not wrap lines and forget the blank line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A marker of a list, what is before it and the spaces behind it.
MARKER = re.compile(r"(?P<indent> {0,3})(?P<sign>[-*+]|(?P<number>\d{1,9})[.)])(?P<space>[ \t]+|$)")

_LINE = re.compile(r"^[^\n]*+", re.MULTILINE)
# A shorter line may be a heading that is underlined, or the head of a table without a pipe at its edge; a longer one is
# prose. So a longer one is shown while it grows (`unfinished`).
HEAD_COLUMNS = 40
UNDERLINE = re.compile(r"(?:={3,}|-{3,})[ \t]*$")

_ALONE = re.compile(r"#{1,6}(?:[ \t]|$)|(?:-{3,}|\*{3,}|_{3,}|={3,})[ \t]*$")
_FENCE = re.compile(r"(?P<indent> {0,3})(?P<ticks>`{3,}(?=[^`]*$)|~{3,})")


def offset(marker: re.Match[str]) -> int:
    """The column at which the words of a list item begin: what stands further left is no part of it."""
    space = len(marker["space"])
    return marker.end("sign") + (space if 0 < space < 5 else 1)


def blocks(text: str) -> Iterator[tuple[str, bool]]:
    """The blocks of `text` in order, each with whether it is over, which the last one may not be."""
    begin, end = -1, 0  # of the block that is being read; -1: none
    closing: re.Pattern[str] | None = None  # of the fence that is open
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
    """The line that will close the fence which `line` opens outside of the list, if it does."""
    fence = _FENCE.match(line)
    if not fence or (column and len(fence["indent"]) >= column):
        return None
    ticks = fence["ticks"]
    return re.compile(rf" {{0,3}}{ticks}{ticks[0]}*[ \t]*")
