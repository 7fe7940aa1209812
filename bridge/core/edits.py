"""A message that was edited or deleted after it had been sent, and what that means for its turn.

A message's own words are its turn's `words`. What the agent is asked may be more: merged messages are asked together by
the last of them (`merging`), and a question that was asked again goes on under another number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bridge.core.files.shared import SharedFile
from bridge.core.identity import spoken
from bridge.core.texts import say
from bridge.core.turn import Edit, LaneStatus, Outcome, State, Turn

FRESH_SECONDS: Final = 600.0
"""An edit of an answered question that is older than this is housekeeping, not a question."""
_TAKEN_BACK: Final = (Outcome.WITHDRAWN, Outcome.DROPPED)


@dataclass(frozen=True, slots=True)
class MessageEdit:
    """The message with this dedupe key says something else now.

    `person` is the AAD id of who edited it, and only the asker may; None for a deletion: a moderator may do that, too.
    `keep`: where its turn is not there yet, the change is kept for it.
    """

    message: str
    edit: Edit
    person: str | None = None
    keep: bool = True


class EditVerdict(StrEnum):
    """What became of a change."""

    KEPT = "kept"
    """Its message is not there yet, and will be asked as it says now."""
    USED = "used"
    """Nothing was asked yet: the new words will be."""
    LATE = "late"
    """It was asked before; whether it is asked again is its asker's word."""
    WITHDRAWN = "withdrawn"
    """The question was closed unasked."""
    STOPPING = "stopping"
    """The question is being asked, and its run ends now."""
    UNASKED = "unasked"
    """The question had been closed unasked before."""
    NOTHING = "nothing"
    """No question, no new words, or older than what is known."""


@dataclass(frozen=True, slots=True)
class EditResult:
    """What became of a change; `n` is the turn that stands for the message now."""

    verdict: EditVerdict
    n: int = 0


class Offer(StrEnum):
    """What the asker of an edited question is offered."""

    INSTEAD = "instead"
    """Stop the run, and ask with the new text."""
    AGAIN = "again"
    """Ask once more, with the new text."""


def reworded(group: Sequence[Turn]) -> str:
    """What the last of a group, which was asked with the text of all of them, would be asked now.

    What was read of files stays with their messages: an edit or a deletion takes its own with it.
    """
    if not any(map(changed_since, group)):
        return group[-1].payload.text
    left, kept = list(group[-1].payload.inlined), []
    for turn in group:
        payload = turn.payload
        count = len(left) if turn is group[-1] else len(payload.inlined) + len(payload.files)
        own, left = left[:count], left[count:]
        in_words = turn.edit is None and payload.inlined  # it had been about to be asked alone
        if not changed_since(turn) and not in_words:
            kept += own
    blocks, payload = "".join(kept), group[-1].payload
    words = "\n\n".join(filter(None, (turn.words for turn in group)))
    if blocks and not words:
        words = spoken(payload.reference.scope, payload.person.name, say("files_alone"))
    return words + blocks


def files_left(group: Sequence[Turn]) -> tuple[SharedFile, ...]:
    """Which files, not read yet, the last of a group would be asked with now: those of messages still there."""
    *members, asks = group
    left, theirs = Counter(asks.payload.files), Counter(file for turn in members for file in turn.payload.files)
    if _gone(asks):
        left &= theirs  # its own are those that are nobody else's
    left -= Counter(file for turn in members if _gone(turn) for file in turn.payload.files)
    return tuple(left.elements())


def emptied(group: Sequence[Turn]) -> bool:
    """Whether nothing is left to ask: all words are gone, and so are all files, read already or not."""
    return not files_left(group) and not reworded(group)


def _gone(turn: Turn) -> bool:
    return changed_since(turn) and not turn.words


def changed_since(turn: Turn) -> bool:
    """Whether its asker has edited or deleted its message."""
    return turn.edit is not None and turn.edit.stamp > 0.0


def offer(turn: Turn, lane: LaneStatus, now: float) -> Offer | None:
    """What to offer for a question that was edited too late; None where people have gone on meanwhile."""
    if turn.state in (State.QUEUED, State.RUNNING):
        return Offer.INSTEAD
    newest = not lane.waiting and lane.running in (None, turn.name)
    if turn.state is State.CLOSED:
        newest = newest and lane.last == turn.name and lane.running is None
    fresh = turn.closed is None or now - turn.closed <= FRESH_SECONDS
    return Offer.AGAIN if newest and fresh and turn.outcome not in _TAKEN_BACK else None
