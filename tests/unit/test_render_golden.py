"""Typical answers are rendered as expected: each `tests/golden/NN-name.md` becomes `NN-name.teams.md`.

After an intended change, write the expected texts anew and read the differences:
`REWRITE_GOLDEN=1 python -m pytest tests/unit/test_render_golden.py && git diff tests/golden`. To see the texts in a
browser: `python docs/draw_golden.py FOLDER`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.core.markdown.partial import visible_prefix
from bridge.core.markdown.render import render_answer, render_whole

GOLDEN = Path(__file__).parent.parent / "golden"
SOURCES = sorted(path for path in GOLDEN.glob("*.md") if not path.name.endswith(".teams.md"))


def expected(source: Path) -> Path:
    return source.with_suffix(".teams.md")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_an_answer_is_rendered_as_in_its_golden_file(source: Path) -> None:
    (rendered,) = render_answer(source.read_text("utf-8"))
    if os.environ.get("REWRITE_GOLDEN"):
        expected(source).write_text(rendered + "\n", "utf-8")

    assert rendered + "\n" == expected(source).read_text("utf-8")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_streamed_answer_only_grows(source: Path) -> None:
    whole = source.read_text("utf-8")
    finished = render_whole(whole)
    before = ""
    for end in range(0, len(whole) + 1, 3):
        visible = visible_prefix(whole[:end])
        assert visible.startswith(before)
        assert finished.startswith(visible)
        before = visible


def test_every_expected_text_has_its_source() -> None:
    assert {path.name for path in GOLDEN.glob("*.teams.md")} == {expected(source).name for source in SOURCES}
