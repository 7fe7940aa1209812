"""Where an answer goes when its turn has shown progress before."""

from __future__ import annotations

from dataclasses import dataclass

ENDED = "✓"
"""What progress becomes where nothing is known of what was done."""


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """The message under which progress was shown, and what becomes of it: the reply's first part takes its place.

    `stream`: it is a stream of Teams, perhaps still open. `shown`: the agent's words that it shows. `becomes`: the line
    to which it shrinks instead, and the whole reply follows as new messages.
    """

    id: str
    stream: bool = False
    text: str = ""
    shrinks_to: str = ""


def live_column(message: str, *, stream: bool) -> str:
    """The `live` column for this message."""
    return f"{'stream' if stream else 'message'}:{message}"


def live_message(mark: str) -> LiveMessage | None:
    """The message that a `live` column names."""
    kind, _, message = mark.partition(":")
    return LiveMessage(message, kind == "stream") if message else None
