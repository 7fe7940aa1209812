"""What agents write, as it is shown: each `tests/golden/NN-name.md` gives its `NN-name.teams.md`.

After a change that is meant, write the expected texts anew and read what became different:
`REWRITE_GOLDEN=1 python -m pytest tests/unit/test_render_golden.py && git diff tests/golden`. To look at them in a
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
def test_an_answer_is_shown_as_it_was_read_and_found_good(source: Path) -> None:
    (shown,) = render_answer(source.read_text("utf-8"))
    if os.environ.get("REWRITE_GOLDEN"):
        expected(source).write_text(shown + "\n", "utf-8")

    assert shown + "\n" == expected(source).read_text("utf-8")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_an_answer_that_is_streamed_only_grows(source: Path) -> None:
    whole = source.read_text("utf-8")
    finished = render_whole(whole)
    before = ""
    for place in range(0, len(whole) + 1, 3):
        shown = visible_prefix(whole[:place])
        assert shown.startswith(before)
        assert finished.startswith(shown)
        before = shown


def test_every_expected_text_has_its_source() -> None:
    assert {path.name for path in GOLDEN.glob("*.teams.md")} == {expected(source).name for source in SOURCES}
