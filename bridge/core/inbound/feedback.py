"""Ratings in activities: a pressed feedback button, or a reaction to an answer.

Buttons send the invoke `message/submitAction`; its `feedback` is JSON in a string, and the answer must be 200 with an
empty object. https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content
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
    """Somebody rated the message `shown`, or took the rating back; `words` is what they added."""

    reference: Reference
    facts: Facts
    message: str
    reaction: Reaction
    words: str = ""
    taken_back: bool = False


# Clear ones only: a laugh, a surprise or a pair of eyes may mean either. The newer ones are named by their code points.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/subscribe-to-conversation-events#message-reaction-events
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
    """The rating in an invoke `message/submitAction`, None where there is none."""
    value = mapping(activity.get("value"))
    chosen = mapping(value.get("actionValue"))
    shown = text(activity.get("replyToId"))
    reaction = text(chosen.get("reaction"))
    if value.get("actionName") != "feedback" or not shown or reaction not in tuple(Reaction):
        return None
    return Rated(reference, facts, shown, Reaction(reaction), _kept_words(text(chosen.get("feedback"))))


def rated_by_reaction(activity: dict[str, Any], reference: Reference, facts: Facts) -> Rated | None:
    """The rating in a `messageReaction`, None where it says neither yes nor no. What was added outweighs what went."""
    shown = text(activity.get("replyToId"))
    for field, taken_back in (("reactionsAdded", False), ("reactionsRemoved", True)):
        for item in reversed(objects(activity.get(field))):
            reaction = _REACTIONS.get(text(item.get("type")).partition("_")[0])
            if shown and reaction is not None:
                return Rated(reference, facts, shown, reaction, taken_back=taken_back)
    return None


def _kept_words(feedback: str) -> str:
    try:
        said = text(mapping(orjson.loads(feedback)).get("feedbackText"))
    except orjson.JSONDecodeError:
        return ""
    return said.strip()[:LONGEST_WORDS]
