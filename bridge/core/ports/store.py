"""What the engine needs of the world. Each port has one real implementation and stand-ins in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from bridge.core.edits import EditResult, MessageEdit
from bridge.core.feedback import After, KeptRating, Rating
from bridge.core.ports.files import FileStore
from bridge.core.turn import (
    Accepted,
    DropVerdict,
    Kind,
    Lane,
    LaneStatus,
    NewTurn,
    Outcome,
    Payload,
    Reply,
    State,
    Stopped,
    Ticket,
    Turn,
)


@dataclass(frozen=True, slots=True)
class Orphans:
    """Claimed rows that nobody works on any more, and lanes that have something waiting."""

    turns: tuple[Turn, ...] = ()
    lanes: tuple[Lane, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Stalled:
    """What a life has open for a while, for it to see what it does not work on: numbers and lanes of its claimed rows,
    and lanes that have something waiting."""

    claimed: tuple[tuple[int, Lane], ...] = ()
    lanes: tuple[Lane, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a process learns with each beat.

    `alive`: nobody has declared this life dead. `counters`: each life's beats so far. `orphans`: open rows are there
    whose owner is not among the living. `running` and `waiting`: turns over all processes; greetings, which are in no
    hurry, do not count as waiting. `stops`: this life's running turns that somebody wants stopped.
    """

    alive: bool = True
    counters: dict[str, int] = field(default_factory=dict)
    orphans: bool = False
    running: int = 0
    waiting: int = 0
    paused: bool = False
    stops: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnFilter:
    """Which turns an operator wants to see; None means any. `user`: the value of X-GoClaw-User-Id.

    `before`: numbers below this one only, to page on.
    """

    state: State | None = None
    outcome: Outcome | None = None
    kind: Kind | None = None
    user: str | None = None
    before: int | None = None


class TurnStore(Protocol):
    """The turn table. Every method raises StoreUnavailable; every write is on disk when it returns.

    Writes that take a Ticket return False when the ticket is void (the row was taken over): drop the work. An *owner*
    is one life of one process. Every change of a row's state is appended to its history.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes may work on the same table."""
        ...

    @property
    def files(self) -> FileStore:
        """The files beside the turns."""
        ...

    async def open(self) -> None:
        """Open or create the store; brings the schema up to date. Raises StoreInUse."""
        ...

    async def close(self) -> None:
        """Write what waits, and close."""
        ...

    async def join(self, owner: str) -> None:
        """Begin a life: from now on its rows are its own, until it leaves or is declared dead."""
        ...

    async def leave(self, owner: str) -> None:
        """End a life: whatever it has open may be adopted at once. An unknown owner changes nothing."""
        ...

    async def heartbeat(self, owner: str, running: int) -> Heartbeat:
        """Count one beat of a life that runs so many turns, and look around."""
        ...

    async def take_over(self, owner: str, expired: frozenset[str] = frozenset()) -> Orphans:
        """Declare `dead` dead, and take over every open row whose owner is not among the living.

        The lanes are those of the queued rows that were taken over.
        """
        ...

    async def accept(self, new: NewTurn, owner: str, *, claim: bool, room: int | None = None) -> Accepted:
        """Insert the turn: running if `claim` and nothing is open in its lane, else queued. A known id changes nothing.

        `room`: with so many turns queued in its lane already, it is not kept (`full`).
        """
        ...

    async def head(self, lane: Lane) -> Turn | None:
        """The turn that a claim would take."""
        ...

    async def claim(self, lane: Lane, owner: str, *, merge: bool = False) -> Turn | None:
        """Claim the head of the lane, if it is queued and nothing of the lane is running or answered.

        `merge`: together with the messages behind it that belong to it (`core.merging`): the last of them is claimed
        with the text of all, those before it are closed as merged, in one transaction.
        """
        ...

    async def release(self, ticket: Ticket) -> bool:
        """Back to queued: the run was provably not started. False also when somebody wants it stopped."""
        ...

    async def record_answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        """Running to answered; repeated, it is True again.

        False also when a stop came first, unless `even_if_stopped`.
        """
        ...

    async def replace_payload(self, ticket: Ticket, payload: Payload) -> bool:
        """Put what a running turn is about in other words: whoever takes it over, or asks again, finds these."""
        ...

    async def record_delivered(self, ticket: Ticket, ids: tuple[str, ...]) -> bool:
        """Record the ids of the parts delivered so far."""
        ...

    async def record_live_message(self, ticket: Ticket, mark: str) -> bool:
        """Record the message under which a running turn shows progress (`core.turn.live_mark`)."""
        ...

    async def count_attempt(self, ticket: Ticket) -> int:
        """Count a failed delivery; gives the number of them, 0 when the ticket is void."""
        ...

    async def close_turn(
        self, ticket: Ticket, outcome: Outcome, ids: tuple[str, ...], at: float, error: str = ""
    ) -> bool:
        """Close the turn with its outcome."""
        ...

    async def stop(self, lane: Lane, note: NewTurn, by: str, at: float, *, only: int = 0) -> Stopped:
        """Stop what the lane asks, for the command with `note.id`, which does nothing when repeated.

        Running, or answered with parts still to be shown: it is marked, and its owner is told (`on_stop`). A queued
        head is closed as stopped, and `note`, which says so, is queued in the same transaction. `by`: who stops.
        `only`: no other turn than this one, and only one that has begun.
        """
        ...

    async def drop(self, n: int, note: NewTurn, at: float) -> DropVerdict:
        """Close a queued or answered turn as dropped and queue `note` in the same transaction; mark a running one."""
        ...

    async def edit(self, change: MessageEdit, at: float) -> EditResult:
        """A message was edited or deleted. Its question is asked as it says now where it was not asked yet.

        A question without words is withdrawn. Repeated, it does and says the same.
        """
        ...

    async def withdraw(self, seen: Turn, at: float) -> EditResult:
        """Close a queued turn as withdrawn; mark a running one, and tell its owner (`on_stop`).

        One that was claimed since it was `seen` goes on (`NOTHING`): it may ask for others as well.
        """
        ...

    async def withdraw_all(self, place: str, at: float) -> tuple[int, ...]:
        """Withdraw all that is queued or running under ids that begin with `place`; gives those that are running."""
        ...

    async def current_question(self, n: int) -> tuple[Turn, str] | None:
        """The turn that asked what turn `n` was to ask, and what its messages say now ("": no longer kept)."""
        ...

    async def rate(self, rating: Rating) -> int:
        """Keep what a person thinks of a closed turn, or forget it; gives its number, 0 where nothing changed."""
        ...

    async def ratings(self, after: After, limit: int) -> tuple[KeptRating, ...]:
        """What people think, in order of time."""
        ...

    def on_stop(self, heard: Callable[[int], None]) -> None:
        """Call `heard` with the number of each turn that another process marks. Fast, but may miss some: see `beat`."""
        ...

    async def stalled(self, owner: str, claimed_before: float, queued_before: float) -> Stalled:
        """What the owner's life has open, accepted before these times: its claimed rows, and the lanes whose queued
        head it looks after while nothing in them is claimed. Asked every second, so it must be cheap."""
        ...

    async def find(self, n: int) -> Turn | None:
        """The turn with this number."""
        ...

    async def turns(self, wanted: TurnFilter, limit: int) -> tuple[Turn, ...]:
        """The newest turns that fit, newest first, without their texts."""
        ...

    async def lane_status(self, lane: Lane) -> LaneStatus:
        """What runs and what waits."""
        ...

    async def spend(self, budget: str, interval: float, burst: int) -> float:
        """Take one of a shared budget of `burst` that refills by one each `interval` seconds; gives 0.0, or the seconds
        until one is there and takes nothing."""
        ...

    async def refund(self, budget: str, interval: float) -> None:
        """Give one back that was taken and not used."""
        ...

    async def exhaust(self, budget: str, interval: float, burst: int) -> None:
        """The budget has turned out to be empty: the next one is there after one `interval`."""
        ...

    async def pause(self, paused: bool) -> None:
        """Hold all turns in all processes, or let them go on. Survives restarts."""
        ...

    async def forget_old(self, blank_before: float, delete_before: float, now: float = 0.0) -> int:
        """Blank the text of turns closed before `blank_before`, delete rows closed before `delete_before`; a batch.

        Ratings go with the rows, files kept before `blank_before` or expired `now` with the texts; so do changes whose
        message has not come within an hour.
        """
        ...
