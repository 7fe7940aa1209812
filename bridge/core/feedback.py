"""People's ratings of answers, by the feedback buttons below an answer or by a reaction.

https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content
docs/reference/teams.md, "Feedback buttons and their invoke" and docs/reference/teams.md, "Reactions".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LONGEST_WORDS: Final = 4000  # characters kept of a rating's words


class Reaction(StrEnum):
    """A person's opinion of an answer."""

    LIKE = "like"
    DISLIKE = "dislike"


@dataclass(frozen=True, slots=True)
class Rating:
    """A person's rating of the answer with message id `message`, in `lane`. `at`: epoch seconds.

    `person` is the AAD object id in small letters. `taken_back`: the person removed the reaction.
    """

    lane: str
    message: str
    person: str
    reaction: Reaction
    words: str
    at: float
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class KeptRating:
    """A stored rating with the turn's number; the turn's `outcome` and `session` are "" once the row is deleted."""

    turn: int
    person: str
    reaction: Reaction
    words: str
    at: float
    outcome: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class After:
    """The key of a rating; a page of ratings begins behind this key."""

    at: float = 0.0
    turn: int = 0
    person: str = ""
