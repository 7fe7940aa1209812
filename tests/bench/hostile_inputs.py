"""Measures how the time of reading grows: `python tests/bench/hostile_inputs.py [word]`. Never in CI.

For each input whose name holds `word`: the time at 10,000, 40,000 and 160,000 characters, and by how much four times
the input multiplies the time: 4 is linear, 16 quadratic. The exit code is 1 if an input takes more than eight times as
long and more than a fifth of a second.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.hostile_inputs import HOSTILE

SIZES = (10_000, 40_000, 160_000)
_MOST_GROWTH = 8.0
_LEAST_SECONDS = 0.2


def main(word: str = "") -> int:
    """Measure and print; give the exit code."""
    slow = 0
    for name, hostile in HOSTILE.items():
        if word not in name:
            continue
        times = [hostile.seconds(size) for size in SIZES]
        growth = times[2] / max(times[1], 1e-6)
        bad = growth > _MOST_GROWTH and times[2] > _LEAST_SECONDS
        slow += bad
        shown = " ".join(f"{seconds * 1000:9.1f}" for seconds in times)
        print(f"{name:55} {shown} ms   x{growth:4.1f}{'   <- more than linear' if bad else ''}")  # noqa: T201
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
