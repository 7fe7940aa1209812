"""Edits and deletions of messages after sending: verdicts, the new question text, offers to the asker.

`Turn.words` is the text of the turn's own message. The question to the agent may hold more: merged messages are asked
together by the last turn of the group (`merging`), and *Ask again* goes on in a new turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bridge.core.files.shared import SharedFile
from bridge.core.identity import prompt_text
from bridge.core.texts import say
from bridge.core.turn import Edit, LaneStatus, Outcome, State, Turn

FRESH_SECONDS: Final = 600.0
"""Seconds after a turn's close in which the bridge offers to ask an edited question again."""
_NOT_WANTED: Final = (Outcome.WITHDRAWN, Outcome.DROPPED)


@dataclass(frozen=True, slots=True)
class MessageEdit:
    """The edit or deletion of a message; `message` is the turn's id (`Turn.id`).

    `person` is the AAD object id of the editor, who must be the asker; None for a deletion, also by a moderator.
    `keep`: an edit before the message's arrival is kept for the message.
    """

    message: str
    edit: Edit
    person: str | None = None
    keep: bool = True


class EditVerdict(StrEnum):
    """The effect of an edit on the turn."""

    KEPT = "kept"
    """The message has not arrived yet, and will be asked with the new text."""
    USED = "used"
    """The question was not asked yet, and will be asked with the new text."""
    LATE = "late"
    """The question was asked with the old text; the asker may ask again."""
    WITHDRAWN = "withdrawn"
    """The question is closed now, unasked."""
    STOPPING = "stopping"
    """The question's run is stopped now."""
    UNASKED = "unasked"
    """The question had been closed unasked before."""
    NOTHING = "nothing"
    """No effect: no such question, no new words, or an edit older than a known edit."""


@dataclass(frozen=True, slots=True)
class EditResult:
    """The verdict about an edit; `n` is the number of the turn that asks the message now, 0 for none."""

    verdict: EditVerdict
    n: int = 0


class Offer(StrEnum):
    """The button offered to the asker of an edited question."""

    INSTEAD = "instead"
    """Stop the run and ask with the new text."""
    AGAIN = "again"
    """Ask again with the new text."""


def reworded(group: Sequence[Turn]) -> str:
    """The text of a merged question after all edits; `group`: the merged turns, the asking turn last.

    File contents in the text belong to their messages: an edited or deleted message loses its file contents.
    """
    if not any(map(changed_since, group)):
        return group[-1].payload.text
    remaining, kept = list(group[-1].payload.inlined), []
    for turn in group:
        payload = turn.payload
        count = len(remaining) if turn is group[-1] else len(payload.inlined) + len(payload.files)
        own, remaining = remaining[:count], remaining[count:]
        # files were read before the merge, so the turn's own text holds their contents already
        in_words = turn.edit is None and payload.inlined
        if not changed_since(turn) and not in_words:
            kept += own
    blocks, payload = "".join(kept), group[-1].payload
    words = "\n\n".join(filter(None, (turn.words for turn in group)))
    if blocks and not words:
        words = prompt_text(payload.reference.scope, payload.person.name, say("files_alone"))
    return words + blocks


def files_left(group: Sequence[Turn]) -> tuple[SharedFile, ...]:
    """The unread files of a merged question, without those of deleted messages; `group` as in `reworded`."""
    *members, asks = group
    unread = Counter(asks.payload.files)
    if _is_deleted(asks):
        # the asking turn carries the files of all: without its own, the members' files remain
        unread &= Counter(file for turn in members for file in turn.payload.files)
    unread -= Counter(file for turn in members if _is_deleted(turn) for file in turn.payload.files)
    return tuple(unread.elements())


def emptied(group: Sequence[Turn]) -> bool:
    """Whether edits left a merged question without text and files, so that there is nothing to ask."""
    return not files_left(group) and not reworded(group)


def _is_deleted(turn: Turn) -> bool:
    return changed_since(turn) and not turn.words


def changed_since(turn: Turn) -> bool:
    """Whether the turn's message was edited or deleted; an `Edit` with stamp 0.0 comes from merging."""
    return turn.edit is not None and turn.edit.stamp > 0.0


def offer(turn: Turn, lane: LaneStatus, now: float) -> Offer | None:
    """The button for a question edited too late, at `now` (epoch seconds); None: people have gone on meanwhile."""
    if turn.state in (State.QUEUED, State.RUNNING):
        return Offer.INSTEAD
    newest = not lane.waiting and lane.running in (None, turn.name)
    if turn.state is State.CLOSED:
        newest = newest and lane.last == turn.name and lane.running is None
    fresh = turn.closed is None or now - turn.closed <= FRESH_SECONDS
    return Offer.AGAIN if newest and fresh and turn.outcome not in _NOT_WANTED else None
