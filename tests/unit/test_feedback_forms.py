"""How feedback leaves the bridge."""

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
    write(RATING)  # brings the names of the columns
    return write(RATING | {"words": words})


def test_a_line_of_json_for_each_without_the_pages_mark() -> None:
    write = as_jsonl()

    lines = (write(RATING) + write(RATING)).splitlines()

    assert [orjson.loads(line) for line in lines] == [{k: v for k, v in RATING.items() if k != "after"}] * 2


def test_a_table_with_the_names_of_its_columns_once() -> None:
    write = as_csv()

    rows = list(csv.reader(io.StringIO(write(RATING) + write(RATING))))

    assert [row[0] for row in rows] == ["turn", "T-1", "T-1"]
    assert rows[1][4:] == [RATING["words"], "", ""]


@pytest.mark.parametrize("sign", "=+-@＝＋－＠")
@pytest.mark.parametrize(
    "before", ["", "\t", "\u200b", "\ufeff ", "\x1b", "fine;", "fine\n", "fine\r", "fine\t ", "fine; \u200b"]
)
def test_no_words_become_a_formula(before: str, sign: str) -> None:
    ((_, cell),) = [row[3:5] for row in csv.reader(io.StringIO(_row(f"{before}{sign}1+1")))]

    assert f"'{sign}1+1" in cell
    assert cell.count("'") == 1


def test_words_that_are_no_formula_stay_as_they_were() -> None:
    assert "2 + 2 = 4; a-b, c@d.example" in _row("2 + 2 = 4; a-b, c@d.example")


def test_no_words_speak_to_a_terminal() -> None:
    assert "\x1b" not in as_csv()(RATING | {"words": "a\x1b[2Jb"}) + as_jsonl()(RATING | {"words": "a\x1b[2Jb"})
