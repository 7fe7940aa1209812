"""The steps of the stand-in agent's scripts. Pure values: `agent` writes scripts, `runs` plays them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Say:
    """Text of the answer; several in a row make a text that comes piece by piece."""

    text: str


@dataclass(frozen=True, slots=True)
class Think:
    """Reasoning, which is no part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Silence, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class UseTool:
    """A tool call of ``seconds`` that ends with ``result``; text before the call is no part of the answer."""

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
    """A refusal by the model's provider, with HTTP status and raw words."""

    status: int
    words: str


Step = Say | Think | Wait | UseTool | Deliver | Fail
Script = tuple[Step, ...]
