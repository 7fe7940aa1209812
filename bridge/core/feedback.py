"""What people think of an answer: the feedback buttons below it, and reactions to it.

Buttons send the invoke `message/submitAction`; its `feedback` is JSON in a string, and the answer must be 200 with an
empty object. https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LONGEST_WORDS: Final = 4000


class Reaction(StrEnum):
    """What somebody thinks of an answer."""

    LIKE = "like"
    DISLIKE = "dislike"


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's rating, to be kept with the turn of this lane that `shown` belongs to. `at`: epoch seconds."""

    lane: str
    message: str
    person: str
    reaction: Reaction
    words: str
    at: float
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class KeptRating:
    """A rating with what is known of its turn: `outcome` and `session` are "" once that is deleted."""

    turn: int
    person: str
    reaction: Reaction
    words: str
    at: float
    outcome: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class After:
    """Where a page of ratings begins: behind this one."""

    at: float = 0.0
    turn: int = 0
    person: str = ""
