"""How feedback leaves the bridge: JSON lines, or a table for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import orjson

_COLUMNS = ("turn", "at", "person", "reaction", "words", "outcome", "session")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")

Write = Callable[[dict[str, Any]], str]


def as_jsonl() -> Write:
    """One JSON object a line."""
    return lambda rating: orjson.dumps({name: rating[name] for name in _COLUMNS}).decode() + "\n"


def as_csv() -> Write:
    """A table: the first line names the columns."""
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
    """What a spreadsheet shows and never runs (https://owasp.org/www-community/attacks/CSV_Injection)."""
    text = value or ""
    printed = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return f"'{printed}" if text.startswith(_FORMULAS) else printed
