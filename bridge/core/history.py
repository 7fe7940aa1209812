"""What became of a turn's row, step by step: for operators."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a row: when (epoch seconds), what it became, by which life of which process."""

    at: float
    what: str
    by: str = ""


def steps(history: str) -> tuple[Step, ...]:
    """The history column as values: `<epoch seconds> <what> [<by>];` one after the other."""
    words = (entry.split(" ") for entry in history.split(";") if entry)
    return tuple(Step(float(at), what, by[0] if by else "") for at, what, *by in words)
