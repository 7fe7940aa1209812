"""Who speaks, and the session and lane they speak in (design: identity, sessions, agents).

Session key and user id come only from the verified activity, never from text.
"""

from __future__ import annotations

import hashlib
import string
import unicodedata
import zlib
from enum import StrEnum

from bridge.core.turn import Lane, Reference, Scope

# The gateway takes ids up to 255 bytes and maps every character outside [A-Za-z0-9_-] to `_` when it names the
# user's folder, so anything else would let two ids share files (docs/reference/goclaw.md, "Request").
_SAFE = frozenset(string.ascii_letters + string.digits + "-")
_LONGEST = 200
_THREAD = ";messageid="
_BRACKETS = "[\uff3b"
_LOOK_AHEAD = 40
WELCOME_LANES = 10


class GroupSession(StrEnum):
    """Whose session a group chat or a channel thread speaks in."""

    CONVERSATION = "conversation"
    CHANNEL = "channel"
    SENDER = "sender"


def session_user(reference: Reference, aad_id: str, group: GroupSession, prefix: str = "") -> str:
    """The X-GoClaw-User-Id of a message: ASCII, at most 255 bytes.

    Personal chat: the sender's AAD object id, exactly (with the operator's prefix, if one is set). Group chats and
    channels: a synthetic id of the conversation (for channels: the thread, or the whole channel), or the sender's.
    """
    if reference.scope is Scope.PERSONAL or group is GroupSession.SENDER:
        return prefix + aad_id
    conversation = reference.conversation
    if group is GroupSession.CHANNEL:
        conversation = conversation.partition(_THREAD)[0]
    return prefix + synthetic_id(conversation)


def synthetic_id(conversation: str) -> str:
    """An injective id for a conversation, within the gateway's limits and apart from every GUID.

    Characters outside [A-Za-z0-9-] become `_` and their code point in hexadecimal, closed by `_`. Ids that would be
    too long become a hash under another prefix.
    """
    escaped = "".join(c if c in _SAFE else f"_{ord(c):x}_" for c in conversation)
    if len(escaped) <= _LONGEST:
        return f"teams-{escaped}"
    return f"teams_{hashlib.sha256(conversation.encode()).hexdigest()}"


def lane_of(agent: str, user: str) -> Lane:
    """What runs one at a time: the session, in whichever conversation it is spoken in."""
    return Lane(f"session:{agent}:{user}")


def notice_lane(reference: Reference) -> Lane:
    """The lane of messages that never wait behind a run."""
    return Lane(f"notice:{reference.conversation}")


def welcome_lane(reference: Reference) -> Lane:
    """One of a few lanes in which greetings come one after the other, so that thousands of them take their time.

    More than one, so that a chat which takes no message for minutes holds up only some of them.
    """
    return Lane(f"welcome:{zlib.crc32(reference.conversation.encode()) % WELCOME_LANES}")


def readable(name: str) -> str:
    """A display name without brackets, line breaks or invisible characters, at most 80 long; may be empty."""
    words = name.replace("[", "(").replace("]", ")").split()
    flat = "".join(character for character in " ".join(words) if character.isprintable())
    return flat[:80].strip()


def speaker(name: str) -> str:
    """Who speaks, as the agent reads it in `[From: …]`."""
    return readable(name) or "somebody"


def spoken(scope: Scope, name: str, text: str) -> str:
    """What the agent reads: as typed in a personal chat, elsewhere with the speaker's name before it."""
    return text if scope is Scope.PERSONAL else f"[From: {speaker(name)}] {_unforged(text)}"


def _unforged(text: str) -> str:
    """The text, with the bracket of everything that looks like another speaker's `[From: …]` made round."""
    if not any(bracket in text for bracket in _BRACKETS):
        return text
    return "".join(
        "(" if character in _BRACKETS and _names_a_speaker(text[at + 1 : at + 1 + _LOOK_AHEAD]) else character
        for at, character in enumerate(text)
    )


def _names_a_speaker(words: str) -> bool:
    # blanks and invisible characters (category Cf) between the letters deceive a reader, so they count for nothing
    letters = "".join(c for c in words if not c.isspace() and unicodedata.category(c) != "Cf")
    return letters.casefold().startswith(("from:", "from\uff1a"))
