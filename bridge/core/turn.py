"""A turn: a user request with a single outcome, a row of the turn table (docs/architecture.md, "A turn's states")."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType

from bridge.core.files.kept import Consent
from bridge.core.files.shared import SharedFile
from bridge.core.live_message import LiveMessage

Lane = NewType("Lane", str)
"""The key of a lane; turns of a lane run one at a time, first come first served."""

Activity = dict[str, Any]
"""The content of one outgoing activity: type, text, attachments; the channel adds the addressing."""


class Scope(StrEnum):
    """The kind of a conversation, as Teams names it in `conversation.conversationType`."""

    PERSONAL = "personal"
    GROUP = "groupChat"
    CHANNEL = "channel"


class Kind(StrEnum):
    """The purpose of a turn; only `ASK` asks the agent. At present no turn of kind `NOTIFY` is made."""

    ASK = "ask"
    NEW = "new"
    NOTIFY = "notify"
    NOTE = "note"
    WELCOME = "welcome"
    FILE = "file"


class State(StrEnum):
    """The state of a turn, in this order; only a run that provably did not start goes back to queued."""

    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a turn ended; each accepted turn gets exactly one outcome."""

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
    """Conversation reference: the addresses with which any replica can answer later.

    `activity`: the id of the message to answer, "" for none. `locale`: the language in Teams' form (`vi-VN`).
    """

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
    """A person: Teams' id for this bot (`29:…`), the AAD object id, the display name."""

    teams_id: str
    aad_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Payload:
    """The input of a turn, kept as a JSON value in the row.

    `user`: the value of X-GoClaw-User-Id. `text`: the question to the agent (kind ask). `files`: files of the question
    still to be fetched; `inlined`: the contents of fetched files, as inserted in `text`. `activities`: the finished
    content of turns without a question.
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
    """The text of an edited message, "" after a deletion; `stamp`: when, in epoch seconds by Teams' clock.

    0.0: not an edit; set when messages are merged, with the text of the turn's own message.
    """

    text: str
    stamp: float


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn to be accepted; `accepted` in epoch seconds; `again_of`: the number of the turn asked again."""

    id: str
    kind: Kind
    lane: Lane
    payload: Payload
    accepted: float
    again_of: int | None = None

    @property
    def locale(self) -> str:
        """The person's language in Teams' form (`vi-VN`); "" where Teams names none."""
        return self.payload.reference.locale


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to write a claimed row: a write names row, owner and fence, and with a void ticket changes nothing."""

    n: int
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The finished activities of a turn, and the outcome with which the turn closes once all are delivered.

    `error`: an error's label, "" for none. `live`: the message to replace, if progress was shown.
    """

    outcome: Outcome
    activities: tuple[Activity, ...]
    error: str = ""
    live: LiveMessage | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A row of the turn table; times in epoch seconds.

    `owner`: the replica that holds the claimed row, or shall claim the queued row. `fence`: the number of claims and
    takeovers, see `Ticket`. `stop`: the turn is marked to be stopped; `withdrawn`: because the asker withdrew the
    question. `attempts`: failed deliveries. `delivered`: the ids of the parts already in Teams, in order. `live`: see
    `core.live_message`. `session` and `history` (`core.history`) are for operators. `edit`: the text of the turn's own
    message, where the payload has another text.
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
        """The person's language in Teams' form (`vi-VN`); "" where Teams names none."""
        return self.payload.reference.locale

    @property
    def words(self) -> str:
        """The present text of the turn's own message: as last edited, without the texts of merged messages."""
        return self.payload.text if self.edit is None else self.edit.text

    @property
    def ticket(self) -> Ticket:
        """The ticket for writing this row."""
        return Ticket(self.n, self.owner, self.fence)

    @property
    def name(self) -> str:
        """The turn's short id in `/status`, logs and notes: `T-1042`."""
        return turn_name(self.n)


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """The state of a lane: short ids of the running turn, the last closed question, the first few queued turns.

    `since`: when the running turn was accepted (epoch seconds). `waiting`: the number of queued turns.
    """

    running: str | None = None
    since: float = 0.0
    waiting: int = 0
    last: str | None = None
    queued: tuple[str, ...] = ()


class StopVerdict(StrEnum):
    """The result of `/stop`: a claimed question ends (`STOPPING`), only waiting questions were closed (`WITHDRAWN`)."""

    STOPPING = "stopping"
    WITHDRAWN = "withdrawn"
    NOTHING = "nothing"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Stopped:
    """The result of `/stop`; `n`: the number of the claimed turn that is stopping, 0 for none.

    `waiting`: the numbers of the queued turns that were closed.
    """

    verdict: StopVerdict
    n: int = 0
    waiting: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The result of accepting a `NewTurn`.

    `n`: the row's number, 0 for none. `duplicate`: the id is known, nothing changed. `claimed`: the ticket, where the
    lane was idle and the turn runs at once. `full`: too many turns wait in the lane, nothing was kept.
    """

    n: int
    duplicate: bool = False
    claimed: Ticket | None = None
    full: bool = False


class DropVerdict(StrEnum):
    """The result of an operator's `drop`."""

    DROPPED = "dropped"
    STOPPING = "stopping"
    NOTHING = "nothing"


def turn_name(n: int) -> str:
    """The short id of turn number n, easy to read aloud: `T-1042`."""
    return f"T-{n}"
