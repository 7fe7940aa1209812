"""Ratings are exported as JSON lines and as CSV, safe for spreadsheets and terminals."""

from __future__ import annotations

import csv
import io
from typing import Any

import orjson
import pytest

from bridge.admin.feedback import as_csv, as_jsonl

RATING: dict[str, Any] = {
    "turn": "T-1",
    "at": "2026-11-25T08:00:00.000Z",
    "person": "5d1c7e90-41aa-4b8f-8d3c-2f6e7a9b0c1d",
    "reaction": "dislike",
    "words": 'Wrong, "again"\nand slow',
    "outcome": None,
    "session": None,
    "after": "1.0,1,x",
}


def _row(words: str) -> str:
    write = as_csv()
    write(RATING)  # the first call writes the column names too
    return write(RATING | {"words": words})


def test_jsonl_has_a_line_per_rating_without_the_page_mark() -> None:
    write = as_jsonl()

    lines = (write(RATING) + write(RATING)).splitlines()

    assert [orjson.loads(line) for line in lines] == [{k: v for k, v in RATING.items() if k != "after"}] * 2


def test_csv_has_the_column_names_once() -> None:
    write = as_csv()

    rows = list(csv.reader(io.StringIO(write(RATING) + write(RATING))))

    assert [row[0] for row in rows] == ["turn", "T-1", "T-1"]
    assert rows[1][4:] == [RATING["words"], "", ""]


@pytest.mark.parametrize("sign", "=+-@＝＋－＠")
@pytest.mark.parametrize(
    "before", ["", "\t", "\u200b", "\ufeff ", "\x1b", "fine;", "fine\n", "fine\r", "fine\t ", "fine; \u200b"]
)
def test_no_comment_becomes_a_spreadsheet_formula(before: str, sign: str) -> None:
    ((_, cell),) = [row[3:5] for row in csv.reader(io.StringIO(_row(f"{before}{sign}1+1")))]

    assert f"'{sign}1+1" in cell
    assert cell.count("'") == 1


def test_a_comment_without_a_formula_stays_unchanged() -> None:
    assert "2 + 2 = 4; a-b, c@d.example" in _row("2 + 2 = 4; a-b, c@d.example")


def test_a_comment_is_exported_without_terminal_escapes() -> None:
    assert "\x1b" not in as_csv()(RATING | {"words": "a\x1b[2Jb"}) + as_jsonl()(RATING | {"words": "a\x1b[2Jb"})
