"""The live message of a turn, and the column in the turn table."""

from __future__ import annotations

from dataclasses import dataclass

ENDED = "✓"
"""The line a live message shrinks to if the activities of its run are not known any more."""


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """The message under which a turn's progress was shown; the first part of the reply replaces the message.

    `stream`: a Teams stream, perhaps still open. `text`: the agent's words visible in the message. `shrinks_to`: if
    set, the message becomes this line instead, and the whole reply follows as new messages.
    """

    id: str
    stream: bool = False
    text: str = ""
    shrinks_to: str = ""


def live_column(message: str, *, stream: bool) -> str:
    """The value of the `live` column for the message with this id."""
    return f"{'stream' if stream else 'message'}:{message}"


def live_message(column: str) -> LiveMessage | None:
    """The live message in a `live` column; None: no progress was shown."""
    kind, _, message = column.partition(":")
    return LiveMessage(message, kind == "stream") if message else None
