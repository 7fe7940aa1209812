"""The session and lane of a message, and the name before its text (docs/architecture.md, "Sessions and lanes").

Session key and user id come only from the verified activity, never from text.
"""

from __future__ import annotations

import hashlib
import string
import zlib
from enum import StrEnum
from functools import lru_cache

from bridge.core.speakers import is_blank, unforged, without_brackets
from bridge.core.turn import Lane, Person, Reference, Scope

# The gateway takes ids up to 255 bytes and maps every character outside [A-Za-z0-9_-] to `_` when naming the user's
# folder, so an id with other characters could share a folder with another id (docs/reference/goclaw.md, "User id").
_SAFE = frozenset(string.ascii_letters + string.digits + "-")
_LONGEST = 200
_THREAD = ";messageid="
WELCOME_LANES = 10
# Characters of a name; a hostile name of a megabyte may be meant by each of thousands of mentions.
_LONGEST_READ = 1000


class GroupSession(StrEnum):
    """Who shares a session in group chats and channels: the conversation (or thread), the whole channel, or no one."""

    CONVERSATION = "conversation"
    CHANNEL = "channel"
    SENDER = "sender"


def session_user(reference: Reference, aad_id: str, group: GroupSession, prefix: str = "") -> str:
    """The X-GoClaw-User-Id of a message: ASCII, at most 255 bytes, with the operator's `prefix` in front.

    Personal chat: the sender's AAD object id, unchanged. Group chats and channels: by `group`, a synthetic id of the
    conversation, thread or channel, or the sender's id.
    """
    if reference.scope is Scope.PERSONAL or group is GroupSession.SENDER:
        return prefix + aad_id
    conversation = reference.conversation
    if group is GroupSession.CHANNEL:
        conversation = conversation.partition(_THREAD)[0]
    return prefix + synthetic_id(conversation)


def synthetic_id(conversation: str) -> str:
    """An id for a conversation, unique, within the gateway's limits and never equal to a GUID.

    Characters outside [A-Za-z0-9-] become `_`, the code point in hexadecimal, `_`. Longer ids than 200 characters
    become a SHA-256 hash under the prefix `teams_`.
    """
    escaped = "".join(c if c in _SAFE else f"_{ord(c):x}_" for c in conversation)
    if len(escaped) <= _LONGEST:
        return f"teams-{escaped}"
    return f"teams_{hashlib.sha256(conversation.encode()).hexdigest()}"


def lane_of(agent: str, user: str) -> Lane:
    """The lane of a session's questions, across all conversations with the same session."""
    return Lane(f"session:{agent}:{user}")


def asker(person: Person, reference: Reference) -> tuple[str, str]:
    """Who asks, and in which chat or thread: questions with the same pair are one person's questions of one chat."""
    return person.aad_id.lower() or person.teams_id, reference.conversation


def notice_lane(reference: Reference) -> Lane:
    """The conversation's lane for notes, which never wait behind a run."""
    return Lane(f"notice:{reference.conversation}")


def welcome_lane(reference: Reference) -> Lane:
    """The lane of a conversation's greeting: a lane sends one at a time, so that a roll-out to thousands is paced.

    There are several lanes, since a chat may refuse messages for minutes and hold up all greetings of a lane.
    """
    return Lane(f"welcome:{zlib.crc32(reference.conversation.encode()) % WELCOME_LANES}")


def display_name(name: str) -> str:
    """A display name without square brackets, line breaks or invisible characters, at most 80 long; may be empty."""
    return _cleaned(name[:_LONGEST_READ])


@lru_cache(maxsize=256)
def _cleaned(name: str) -> str:
    words = " ".join(without_brackets(name).split())
    flat = "".join(character for character in words if character.isprintable() and not is_blank(character))
    return flat[:80].strip()


def speaker_name(name: str) -> str:
    """The speaker's name as the agent reads it in `[From: …]`; `somebody` where no readable name is left."""
    return display_name(name) or "somebody"


def prompt_text(scope: Scope, name: str, text: str) -> str:
    """The text for the agent: as typed in a personal chat, elsewhere with `[From: <name>] ` in front."""
    return text if scope is Scope.PERSONAL else f"[From: {speaker_name(name)}] {unforged(text)}"


def typed_text(scope: Scope, text: str) -> str:
    """The question as typed: the text for the agent without the speaker's name in front."""
    named = scope is not Scope.PERSONAL and text.startswith("[From: ")
    return text.partition("] ")[2] if named else text
