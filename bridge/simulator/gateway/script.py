"""What the stand-in agent may do in one turn, step by step. Pure values: `agent` writes them, `runs` plays them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Say:
    """Text of the answer; several in a row make one text that comes piece by piece."""

    text: str


@dataclass(frozen=True, slots=True)
class Think:
    """Reasoning, told apart from the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Silence, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class UseTool:
    """A tool call that runs for ``seconds`` and ends with ``result``; text said before it is no part of the answer."""

    name: str
    arguments: dict[str, Any]
    result: str
    seconds: float = 0.0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Deliver:
    """A text file for the user, kept in the gateway's workspace and linked from the answer."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The model's provider refuses with this HTTP status and these raw words."""

    status: int
    words: str


Step = Say | Think | Wait | UseTool | Deliver | Fail
Script = tuple[Step, ...]
