"""Starts a Python program with a wall clock that the storm can set: `python jumping_clock.py <file> <program> …`.

The first 8 bytes of the file are the seconds to add to the system's time, as a C double. `time.monotonic` is unchanged,
as on a real machine whose clock is set.
"""

from __future__ import annotations

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path

_OFFSET = struct.Struct("d")


def set_clock(file: Path, seconds: float) -> None:
    """Let the clock of a program on this file be wrong by `seconds` from now on."""
    if not file.exists():
        file.write_bytes(bytes(_OFFSET.size))
    with file.open("r+b") as opened:
        opened.write(_OFFSET.pack(seconds))


def _run(file: str, *program: str) -> None:
    with Path(file).open("rb") as opened:
        offset = mmap.mmap(opened.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    true_time = time.time
    time.time = lambda: true_time() + _OFFSET.unpack_from(offset)[0]
    sys.argv = list(program)
    if program[0] == "-m":
        sys.argv = list(program[1:])
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    _run(*sys.argv[1:])
