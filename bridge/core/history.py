"""The history column of a turn's row, for operators: each change of state with the time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A change of a row: time (epoch seconds), the new state (`running`, `closed:delivered`, …), the owner."""

    at: float
    what: str
    by: str = ""


def steps(history: str) -> tuple[Step, ...]:
    """The history column as values, oldest first; the column holds `<epoch seconds> <what> [<by>];` entries."""
    words = (entry.split(" ") for entry in history.split(";") if entry)
    return tuple(Step(float(at), what, by[0] if by else "") for at, what, *by in words)
