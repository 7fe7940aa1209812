"""Several messages that one person queued while a turn ran are asked together (docs/architecture.md, "Sessions and lanes")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bridge.core.gateway_facts import MERGED_BYTES
from bridge.core.turn import Edit, Kind, Payload, Turn

MOST_TURNS = 20
_MOST_FILES = 10


def together(queued: Sequence[Turn]) -> int:
    """How many turns from the head of a lane belong together: at least 1 for a lane that is not empty.

    Plain questions of one person in one conversation, none of them an *Ask again*, whose texts fit together.
    """
    if not queued:
        return 0
    head, size = queued[0], len(queued[0].payload.text.encode())
    files = len(head.payload.files)
    count = 1
    while _plain(head) and count < min(len(queued), MOST_TURNS):
        following = queued[count]
        size += 2 + len(following.payload.text.encode())
        files += len(following.payload.files)
        if not _plain(following) or _who(following) != _who(head) or size > MERGED_BYTES or files > _MOST_FILES:
            break
        count += 1
    return count


def merged(turns: Sequence[Turn]) -> Payload:
    """The last one's payload with the text and the files of all, in order, a blank line between the texts."""
    inlined = tuple(block for turn in turns for block in turn.payload.inlined)
    texts = [turn.payload.text for turn in turns if turn.payload.text]
    files = tuple(file for turn in turns for file in turn.payload.files)
    return replace(turns[-1].payload, text="\n\n".join(texts), files=files, inlined=inlined)


def own_words(turn: Turn) -> Edit:
    """What the message of the last one says by itself, to be kept beside the text of all."""
    return turn.edit or Edit(turn.payload.text, 0.0)


def _plain(turn: Turn) -> bool:
    return turn.kind is Kind.ASK and turn.again_of is None and bool(turn.payload.text or turn.payload.files)


def _who(turn: Turn) -> tuple[str, str]:
    return turn.payload.person.aad_id, turn.payload.reference.conversation
