"""The agent behind the gateway, as the engine knows it: a question in, an answer out, and what is heard meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.core.files.answer_links import AgentFile


@dataclass(frozen=True, slots=True)
class Question:
    """One run: `agent` is the agent's key, `user` the value of X-GoClaw-User-Id, `text` the words."""

    agent: str
    user: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent's words as Markdown, and the files beside them. `silent`: the agent chose not to reply."""

    text: str
    silent: bool = False
    files: tuple[AgentFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Thinking:
    """The agent reasons; what it thinks is not told."""


@dataclass(frozen=True, slots=True)
class TextCame:
    """A further piece of the answer's text, raw Markdown; pieces may have been lost before it."""

    text: str


@dataclass(frozen=True, slots=True)
class TextWithdrawn:
    """All text that came so far was an announcement before a tool: no part of the answer."""


@dataclass(frozen=True, slots=True)
class ToolBegan:
    """A tool is at work. `argument`: a hint for people (file name, search words), one line of at most 80 characters, or
    empty."""

    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A tool has come to its end."""

    name: str
    failed: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run has come to its end, whichever."""


AgentEvent = Thinking | TextCame | TextWithdrawn | ToolBegan | ToolEnded | RunEnded
"""What an agent lets us hear while it works. For show only: events may come late, incomplete or not at all."""


END_WITHIN: Final = 15.0
"""Seconds in which a run is expected to end whose request was closed: so long its end is listened for, and a lane kept
from its next question, whatever a tool may be doing."""


class Agent(Protocol):
    """The agent behind the gateway."""

    async def ask(self, question: Question, heard: Callable[[AgentEvent], None] | None = None) -> Answer:
        """One run. Cancelling closes the request, which is the gateway's only stop. Raises TurnFailure.

        `heard` is told what happens meanwhile, in order, and never after this has returned; it must be fast and not
        raise. Nothing of it is needed for the answer. After a cancellation it is told one thing more, the run's end,
        if that comes in `END_WITHIN`: a closed request does not end a run at once.
        """
        ...

    async def delete_session(self, agent: str, user: str) -> None:
        """Delete the session, and see that it is gone. Raises TurnFailure (SessionNotDeleted, GatewayDown, …)."""
        ...
