"""A turn: one user request and its one outcome (design: the turn table)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType

from bridge.core.files.kept import Consent
from bridge.core.files.shared import SharedFile
from bridge.core.live_message import LiveMessage

Lane = NewType("Lane", str)
"""What runs one at a time and in order."""

Activity = dict[str, Any]
"""The content of one outgoing activity: type, text, attachments; addressing is added by the channel."""


class Scope(StrEnum):
    """`conversation.conversationType` of Teams."""

    PERSONAL = "personal"
    GROUP = "groupChat"
    CHANNEL = "channel"


class Kind(StrEnum):
    """What the turn is for. Only `ASK` asks the agent."""

    ASK = "ask"
    NEW = "new"
    NOTIFY = "notify"
    NOTE = "note"
    WELCOME = "welcome"
    FILE = "file"


class State(StrEnum):
    """Where a turn is. It goes on in this order; only a run that was provably not started goes back to queued."""

    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a turn ended. Exactly one for each accepted turn."""

    DELIVERED = "delivered"
    SILENT = "silent"
    STOPPED = "stopped"
    WITHDRAWN = "withdrawn"
    MERGED = "merged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNDELIVERED = "undelivered"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Reference:
    """Conversation reference: what is needed to answer later, from any process."""

    service_url: str
    conversation: str
    scope: Scope
    tenant: str
    bot: str
    user: str
    activity: str = ""
    locale: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Who speaks: Teams' id for this bot (`29:…`), the AAD object id, the display name."""

    teams_id: str
    aad_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Payload:
    """What a turn needs to run and to be answered, kept as one JSON value in its row.

    `user` is the value of X-GoClaw-User-Id. `text` is what the agent is asked (kind ask), and `files` came with it and
    are still to be fetched; `inlined` is what `text` holds of each that was. `show` is the ready content of kinds that
    only show something.
    """

    reference: Reference
    person: Person
    agent: str = ""
    user: str = ""
    text: str = ""
    activities: tuple[Activity, ...] = ()
    files: tuple[SharedFile, ...] = ()
    consent: Consent | None = None
    inlined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """What a message says since it was changed, "" once it was deleted; `stamp`: when, by Teams' clock.

    A stamp of 0.0 is nobody's change: merging notes there what each message said by itself.
    """

    text: str
    stamp: float


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn to be accepted. `accepted` in seconds since the epoch; `again_of` is the asked-again turn's n."""

    id: str
    kind: Kind
    lane: Lane
    payload: Payload
    accepted: float
    again_of: int | None = None

    @property
    def locale(self) -> str:
        """The language of whoever asked, as Teams names it (`vi-VN`); "" where Teams does not tell."""
        return self.payload.reference.locale


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to write a claimed row: every write names it, and changes nothing once it is void."""

    n: int
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The finished activities of a turn, and how it will be closed when they are shown.

    `landing`: where they go, if the turn has shown progress before.
    """

    outcome: Outcome
    activities: tuple[Activity, ...]
    error: str = ""
    live: LiveMessage | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A row of the turn table. `shown` holds the ids of the parts already delivered, in order.

    `owner` is the process's life that claimed the row or, while it is queued, the one that looks after it.
    `live`: the message under which it shows progress, see `live_message`. `session` and `history` (what became of the
    row: see `core.history`) are for operators. `withdrawn`: it was stopped because its asker took the question back.
    `edit`: what its own message says now, where the payload says something else.
    """

    n: int
    id: str
    kind: Kind
    lane: Lane
    state: State
    payload: Payload
    accepted: float
    owner: str = ""
    fence: int = 0
    stop: bool = False
    stopped_by: str = ""
    attempts: int = 0
    again_of: int | None = None
    outcome: Outcome | None = None
    reply: Reply | None = None
    delivered: tuple[str, ...] = ()
    error: str = ""
    closed: float | None = None
    session: str = ""
    history: str = ""
    live: str = ""
    withdrawn: bool = False
    merged_into: int | None = None
    edit: Edit | None = None

    @property
    def locale(self) -> str:
        """The language of whoever asked, as Teams names it (`vi-VN`); "" where Teams does not tell."""
        return self.payload.reference.locale

    @property
    def words(self) -> str:
        """What its own message says now."""
        return self.payload.text if self.edit is None else self.edit.text

    @property
    def ticket(self) -> Ticket:
        """What a writer of this row must hold."""
        return Ticket(self.n, self.owner, self.fence)

    @property
    def name(self) -> str:
        """The short id that `/status`, logs and notes share."""
        return turn_name(self.n)


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """What goes on in a lane. `since` is the acceptance (epoch seconds) of the running turn.

    `queued` names the first of those that wait, a few at most.
    """

    running: str | None = None
    since: float = 0.0
    waiting: int = 0
    last: str | None = None
    queued: tuple[str, ...] = ()


class StopVerdict(StrEnum):
    """What `/stop` found."""

    STOPPING = "stopping"
    WITHDRAWN = "withdrawn"
    NOTHING = "nothing"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Stopped:
    """What `/stop` did; `n` is the turn that is stopping or was withdrawn."""

    verdict: StopVerdict
    n: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a NewTurn: a repeated id changes nothing; an idle lane is claimed at once.

    `n`: of a row that is there now. `full`: too many wait in the lane already, and nothing was kept.
    """

    n: int
    duplicate: bool = False
    claimed: Ticket | None = None
    full: bool = False


class DropVerdict(StrEnum):
    """What an operator's `drop` did."""

    DROPPED = "dropped"
    STOPPING = "stopping"
    NOTHING = "nothing"


def turn_name(n: int) -> str:
    """Short id of turn number n, as people read it aloud: `T-1042`."""
    return f"T-{n}"
