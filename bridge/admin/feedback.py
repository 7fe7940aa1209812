"""Writes feedback for `teams-bridge feedback`: as JSON lines, or as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import orjson

_COLUMNS = ("turn", "at", "person", "reaction", "words", "outcome", "session")
# Signs that begin a formula (ASCII and full-width), behind a character that spreadsheets may read as a cell's border.
_FORMULA = re.compile(r"(^|[;\t\n]) *+(?=[=+\-@＝＋－＠])")

Write = Callable[[dict[str, Any]], str]
"""Gives the text to print for a rating of the admin listener."""


def as_jsonl() -> Write:
    """A writer of JSON lines."""
    return lambda rating: orjson.dumps({name: rating[name] for name in _COLUMNS}).decode() + "\n"


def as_csv() -> Write:
    """A writer of CSV; the first line names the columns."""
    header = [_line(_COLUMNS)]

    def write(rating: dict[str, Any]) -> str:
        line = _line([_cell(rating[name]) for name in _COLUMNS])
        return (header.pop() if header else "") + line

    return write


def _line(cells: list[str] | tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _cell(value: str | None) -> str:
    """A cell that no spreadsheet runs as a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    text = (value or "").replace("\r", "\n")
    visible = "".join(c for c in text if c.isprintable() or c in "\t\n")
    return _FORMULA.sub(r"\g<0>'", visible).replace("\t", " ")
