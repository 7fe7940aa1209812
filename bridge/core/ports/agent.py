"""The port to the agent behind the gateway: a question in, an answer out, events of the run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.core.files.answer_links import AgentFile


@dataclass(frozen=True, slots=True)
class Question:
    """The input of one run: the agent's key, the user id (value of X-GoClaw-User-Id), the text the agent reads."""

    agent: str
    user: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent's words as Markdown, and the files of the answer. `silent`: the agent chose not to reply."""

    text: str
    silent: bool = False
    files: tuple[AgentFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Thinking:
    """The agent reasons; the thoughts themselves are not passed on."""


@dataclass(frozen=True, slots=True)
class TextCame:
    """A further piece of the answer's text, raw Markdown; earlier pieces may have been lost."""

    text: str


@dataclass(frozen=True, slots=True)
class TextWithdrawn:
    """All text so far was an announcement before a tool call, no part of the answer."""


@dataclass(frozen=True, slots=True)
class ToolBegan:
    """A tool started. `argument`: a hint for people (file name, search words), one line, 80 characters at most."""

    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A tool finished; `failed`: with an error."""

    name: str
    failed: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run finished: completed, failed or cancelled."""


AgentEvent = Thinking | TextCame | TextWithdrawn | ToolBegan | ToolEnded | RunEnded
"""A sign of the run's progress, for display only: events may come late, incomplete or not at all."""


END_WITHIN: Final = 15.0
"""Seconds in which a run usually ends after its request was closed, whatever a tool may be doing.

For so long the bridge listens for the run's end, and the lane's next question waits.
"""


class Agent(Protocol):
    """The agent behind the gateway."""

    async def ask(self, question: Question, on_event: Callable[[AgentEvent], None] | None = None) -> Answer:
        """Run the agent on the question and return the answer.

        Cancelling closes the request, the gateway's only way to stop a run; a run may go on for a moment afterwards.
        The time limit is the caller's.

        `on_event` gets the run's events in order, must be fast and must not raise. Calls end when `ask` returns; after
        a cancellation a last call brings `RunEnded`, if the run ends in `END_WITHIN`.
        `RunNotStarted` with its subclasses: the run provably did not begin. Raises: TurnFailure.
        """
        ...

    async def delete_session(self, agent: str, user: str) -> None:
        """Delete the user's session with the agent and verify that the session is gone.

        An unknown session counts as deleted. `SessionNotDeleted`: the gateway refused, or the session was
        still there. Raises: TurnFailure.
        """
        ...
