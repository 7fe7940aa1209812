"""Lays out the cells of an HTML table in columns, with empty cells where a cell reaches over several columns or rows.

Spans: https://html.spec.whatwg.org/multipage/tables.html#attributes-common-to-td-and-th-elements
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Empty cells for each real cell of a table, so that a few hostile cells cannot become millions. A merged title above a
# wide sheet is far below.
_FILL = 16
_NUMBER = re.compile(r"[ \t\n\f\r]*\+?0*([0-9]+)", re.ASCII)
_MOST_COLUMNS, _MOST_ROWS = 1000, 65534  # both from the HTML standard


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's Markdown, and how many columns and rows the cell covers."""

    words: str
    columns: int = 1
    rows: int = 1


def cell(words: str, attributes: Mapping[str, str]) -> Cell:
    """The cell of a `<td>` or `<th>` with these attributes; a span of 0 rows reaches to the table's end."""
    columns = _span(attributes.get("colspan", ""), _MOST_COLUMNS)
    rows = _span(attributes.get("rowspan", ""), _MOST_ROWS)
    return Cell(words, max(1, columns), _MOST_ROWS if rows == 0 else rows)


def grid(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """The words of each row by column. The first row is as long as the longest; rows without cells are left out."""
    room = _FILL * sum(map(len, rows))
    covered: dict[int, int] = {}  # column: number of the first row that a cell from above does not reach
    lines: list[list[str]] = []
    for number, row in enumerate(rows):
        line: list[str] = []
        for entry in row:
            while room > 0 and covered.get(len(line), 0) > number:
                room -= 1
                line.append("")
            columns = min(entry.columns, 1 + room)
            room -= columns - 1
            covered.update(dict.fromkeys(range(len(line), len(line) + columns), number + entry.rows))
            line += [entry.words, *[""] * (columns - 1)]
        if line:
            lines.append(line)
    if lines:
        lines[0] += [""] * (max(map(len, lines)) - len(lines[0]))
    return lines


def _span(value: str, most: int) -> int:
    """The number at the begin of an attribute, 1 without a number."""
    found = _NUMBER.match(value)
    if found is None:
        return 1
    digits = found[1]
    return most if len(digits) > len(str(most)) else min(int(digits), most)
