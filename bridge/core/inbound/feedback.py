"""Parses ratings of answers: a pressed feedback button, or a reaction to the bot's message.

Buttons send the invoke `message/submitAction`, in which `feedback` is a string of JSON
(docs/reference/teams.md, "Feedback buttons and their invoke").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from bridge.core.access import Facts
from bridge.core.feedback import LONGEST_WORDS, Reaction
from bridge.core.inbound.json_values import mapping, objects, text
from bridge.core.turn import Reference

SUBMIT: Final = "message/submitAction"


@dataclass(frozen=True, slots=True)
class Rated:
    """A person rated the bot's message with the id `message`, with a comment (`words`), or took the rating back."""

    reference: Reference
    facts: Facts
    message: str
    reaction: Reaction
    words: str = ""
    taken_back: bool = False


# Clear reactions only: a laugh, a surprise or a pair of eyes may praise or blame. Newer reactions are named by code
# point (docs/reference/teams.md, "Reactions").
_REACTIONS: Final = {
    "like": Reaction.LIKE,
    "heart": Reaction.LIKE,
    "launch": Reaction.LIKE,
    "1f44d": Reaction.LIKE,
    "1f44f": Reaction.LIKE,
    "2705": Reaction.LIKE,
    "sad": Reaction.DISLIKE,
    "angry": Reaction.DISLIKE,
    "1f44e": Reaction.DISLIKE,
}


def rated_by_button(activity: dict[str, Any], reference: Reference, facts: Facts) -> Rated | None:
    """Return the rating in an invoke `message/submitAction`, None if the invoke holds none."""
    value = mapping(activity.get("value"))
    chosen = mapping(value.get("actionValue"))
    message = text(activity.get("replyToId"))
    reaction = text(chosen.get("reaction"))
    if value.get("actionName") != "feedback" or not message or reaction not in tuple(Reaction):
        return None
    return Rated(reference, facts, message, Reaction(reaction), _comment(text(chosen.get("feedback"))))


def rated_by_reaction(activity: dict[str, Any], reference: Reference, facts: Facts) -> Rated | None:
    """Return the rating in a `messageReaction`, None if no reaction is clear. An added one outweighs a removed one."""
    message = text(activity.get("replyToId"))
    for field, taken_back in (("reactionsAdded", False), ("reactionsRemoved", True)):
        for item in reversed(objects(activity.get(field))):
            reaction = _REACTIONS.get(text(item.get("type")).partition("_")[0])
            if message and reaction is not None:
                return Rated(reference, facts, message, reaction, taken_back=taken_back)
    return None


def _comment(feedback: str) -> str:
    """Return the person's comment in the JSON string `feedback`, cut to `LONGEST_WORDS` characters."""
    try:
        comment = text(mapping(orjson.loads(feedback)).get("feedbackText"))
    except orjson.JSONDecodeError:
        return ""
    return comment.strip()[:LONGEST_WORDS]
