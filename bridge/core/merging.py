"""Merging: messages that a person queued while a turn ran are asked together.

docs/architecture.md, "Sessions and lanes".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bridge.core.gateway_facts import MERGED_BYTES
from bridge.core.turn import Edit, Kind, Payload, Turn

MOST_TURNS = 20
_MOST_FILES = 10


def mergeable_count(queued: Sequence[Turn]) -> int:
    """How many turns from the head of a lane are asked together; 0 for an empty lane, else 1 or more.

    Questions are merged when the same person asked them in the same conversation, none by *Ask again*, and when text
    and files stay within the limits above.
    """
    if not queued:
        return 0
    head, size = queued[0], len(queued[0].payload.text.encode())
    files = len(head.payload.files)
    count = 1
    while _is_mergeable(head) and count < min(len(queued), MOST_TURNS):
        following = queued[count]
        size += 2 + len(following.payload.text.encode())
        files += len(following.payload.files)
        if (
            not _is_mergeable(following)
            or _asker(following) != _asker(head)
            or size > MERGED_BYTES
            or files > _MOST_FILES
        ):
            break
        count += 1
    return count


def merged(turns: Sequence[Turn]) -> Payload:
    """The last turn's payload with texts and files of all turns in order, a blank line between the texts."""
    inlined = tuple(block for turn in turns for block in turn.payload.inlined)
    texts = [turn.payload.text for turn in turns if turn.payload.text]
    files = tuple(file for turn in turns for file in turn.payload.files)
    return replace(turns[-1].payload, text="\n\n".join(texts), files=files, inlined=inlined)


def own_text(turn: Turn) -> Edit:
    """The text of the turn's own message as an `Edit` (stamp 0.0: no edit), kept beside the merged text."""
    return turn.edit or Edit(turn.payload.text, 0.0)


def _is_mergeable(turn: Turn) -> bool:
    return turn.kind is Kind.ASK and turn.again_of is None and bool(turn.payload.text or turn.payload.files)


def _asker(turn: Turn) -> tuple[str, str]:
    return turn.payload.person.aad_id, turn.payload.reference.conversation
