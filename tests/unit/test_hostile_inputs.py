"""Reading takes linear time, however hostile the input (`tests/bench/hostile_inputs.py` measures larger inputs)."""

from __future__ import annotations

import pytest
from support.hostile_inputs import HOSTILE

from bridge.core.markdown.render import render_whole

_CHARACTERS = 40_000
_CHARACTERS_OF_ACTIVITIES = 200_000  # a body may have a megabyte
# Less than half a second of processor time is linear for sure; above, eight times the input may take 24 times as long,
# since a busy machine shares its caches.
_LINEAR_SECONDS = 0.5
_MOST_GROWTH = 24


@pytest.mark.parametrize("name", HOSTILE)
def test_no_input_takes_more_than_linear_time(name: str) -> None:
    hostile = HOSTILE[name]
    characters = _CHARACTERS_OF_ACTIVITIES if name.startswith("activity") else _CHARACTERS
    if hostile.seconds(characters, tries=1) >= _LINEAR_SECONDS:
        assert hostile.seconds(characters) < _MOST_GROWTH * hostile.seconds(characters // 8)


def test_a_table_whose_rows_lack_cells_stays_a_table() -> None:
    rows = "".join(f"| {n} | a |\n" for n in range(50))

    assert render_whole(f"| one | two | three | four | five |\n|-|-|-|-|-|\n{rows}").count("\n49") == 1
