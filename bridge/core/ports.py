"""What the engine needs of the world. Each port has one real implementation and stand-ins in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bridge.core.changes import Change, Changed
from bridge.core.feedback import After, KeptRating, Rating
from bridge.core.file_ports import FileStore
from bridge.core.landing import Landing
from bridge.core.turn import (
    Accepted,
    Activity,
    Beat,
    DropVerdict,
    Lane,
    LaneStatus,
    NewTurn,
    Orphans,
    Outcome,
    Payload,
    Person,
    Reference,
    Reply,
    Stalled,
    Stopped,
    Ticket,
    Turn,
    TurnFilter,
)


class Clock(Protocol):
    """Time is I/O. `now` is wall time in seconds since the epoch, for records; never for deciding who is alive."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """One request of a stream: all text so far or, if `informative`, a line about what goes on.

    `stream` is "" for the first one, whose answer names it; `sequence` counts from 1.
    """

    text: str
    sequence: int
    stream: str
    informative: bool


class Channel(Protocol):
    """The way back to Teams. Content in, addressing from the reference."""

    async def send(self, to: Reference, activity: Activity) -> str:
        """Show one activity; gives its id. Raises DeliveryFailure."""
        ...

    async def typing(self, to: Reference) -> None:
        """Show the typing indicator once. Raises DeliveryFailure."""
        ...

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        """One request of a stream; gives the stream's id. Raises LeftOut, StreamEnded, DeliveryFailure."""
        ...

    async def place(self, to: Reference, activity: Activity) -> str:
        """Show a message of progress; gives its id. Raises LeftOut, DeliveryFailure."""
        ...

    async def edit(self, to: Reference, message: str, activity: Activity) -> None:
        """Show progress in place of what the message shows. Raises LeftOut, DeliveryFailure."""
        ...

    async def land(self, to: Reference, landing: Landing, activity: Activity) -> str:
        """Show the activity in place of what was shown under the landing's message; gives its id.

        Repeated, it changes nothing. Raises DeliveryFailure: StreamStopped where the user has stopped the stream,
        DeliveryRejected where the message cannot be changed.
        """
        ...

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        """Put the reaction on the message that the reference answers, or take it off.

        Raises LeftOut, DeliveryFailure.
        """
        ...


class Roster(Protocol):
    """Who is who in a conversation: what activities do not say."""

    async def is_guest(self, where: Reference, person: Person) -> bool:
        """Whether the person is a guest of the tenant. Raises DeliveryFailure where Teams does not tell."""
        ...


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

    async def beat(self, owner: str, running: int) -> Beat:
        """Count one beat of a life that runs so many turns, and look around."""
        ...

    async def adopt(self, owner: str, dead: frozenset[str] = frozenset()) -> Orphans:
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

    async def answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        """Running to answered; repeated, it is True again.

        False also when a stop came first, unless `even_if_stopped`.
        """
        ...

    async def rewrite(self, ticket: Ticket, payload: Payload) -> bool:
        """Put what a running turn is about in other words: whoever takes it over, or asks again, finds these."""
        ...

    async def shown(self, ticket: Ticket, ids: tuple[str, ...]) -> bool:
        """Record the ids of the parts delivered so far."""
        ...

    async def live(self, ticket: Ticket, mark: str) -> bool:
        """Record the message under which a running turn shows progress (`core.turn.live_mark`)."""
        ...

    async def attempted(self, ticket: Ticket) -> int:
        """Count a failed delivery; gives the number of them, 0 when the ticket is void."""
        ...

    async def settle(self, ticket: Ticket, outcome: Outcome, ids: tuple[str, ...], at: float, error: str = "") -> bool:
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

    async def change(self, change: Change, at: float) -> Changed:
        """A message was edited or deleted. Its question is asked as it says now where it was not asked yet.

        A question without words is withdrawn. Repeated, it does and says the same.
        """
        ...

    async def withdraw(self, seen: Turn, at: float) -> Changed:
        """Close a queued turn as withdrawn; mark a running one, and tell its owner (`on_stop`).

        One that was claimed since it was `seen` goes on (`NOTHING`): it may ask for others as well.
        """
        ...

    async def abandon(self, place: str, at: float) -> tuple[int, ...]:
        """Withdraw all that is queued or running under ids that begin with `place`; gives those that are running."""
        ...

    async def restated(self, n: int) -> tuple[Turn, str] | None:
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
