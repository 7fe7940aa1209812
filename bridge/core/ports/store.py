"""The port to the turn table: a row for each turn, shared by all replicas on the same table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bridge.core.edits import EditResult, MessageEdit
from bridge.core.feedback import After, KeptRating, Rating
from bridge.core.ports.files import FileStore
from bridge.core.ports.heartbeat import Heartbeat, Orphans, Stalled
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
class TurnFilter:
    """An operator's selection of turns; None in a field selects all.

    `user`: the value of X-GoClaw-User-Id. `before`: turns with a smaller number only, for paging.
    """

    state: State | None = None
    outcome: Outcome | None = None
    kind: Kind | None = None
    user: str | None = None
    before: int | None = None


class TurnStore(Protocol):
    """The turn table (states of a row: docs/architecture.md, "A turn's states").

    Every write is on disk when the method returns. Every coroutine may raise StoreUnavailable; the write may then have
    happened or not, and may be repeated.

    An *owner* is the id under which a replica holds rows. A claim gives a `Ticket`; writes take the ticket and return
    False, without any change, when the ticket is void: a takeover or an earlier write ended the claim. The caller then
    drops all work on the turn. Each change of a row's state is appended to the row's history. Times are seconds since
    the epoch unless named otherwise.
    """

    @property
    def shared(self) -> bool:
        """Whether other replicas may work on the same table: True for PostgreSQL, False for a SQLite file."""
        ...

    @property
    def files(self) -> FileStore:
        """The store of files, in the same database."""
        ...

    async def open(self) -> None:
        """Open or create the store and bring the schema up to date.

        `StoreInUse`: a second process holds the file. Raises: StoreInUse, StoreUnavailable.
        """
        ...

    @property
    def made_at(self) -> float | None:
        """When the store was made, new and empty; None before `open`, and for stores made by version 0.1."""
        ...

    async def close(self) -> None:
        """Write all pending changes, then close."""
        ...

    async def join(self, owner: str) -> None:
        """Register the owner, which holds rows until `leave` or a takeover."""
        ...

    async def leave(self, owner: str) -> None:
        """Remove the owner, whose open rows can then be taken over at once.

        An unknown owner changes nothing.
        """
        ...

    async def heartbeat(self, owner: str, running: int) -> Heartbeat:
        """Count one heartbeat of the owner, which runs `running` turns now; returns the state of the table."""
        ...

    async def take_over(self, owner: str, expired: frozenset[str] = frozenset()) -> Orphans:
        """Remove the `expired` owners, then give `owner` every open row whose owner is not registered.

        Tickets of these rows become void. Atomic.
        """
        ...

    async def accept(self, new: NewTurn, owner: str, *, claim: bool, room: int | None = None) -> Accepted:
        """Insert a turn: running if `claim` and the lane has no open row, else queued.

        A known id changes nothing (`duplicate`). With `room` or more turns queued in the lane, nothing is kept
        (`full`). A kept edit of the message replaces the text; a message deleted before is inserted as withdrawn.
        """
        ...

    async def head(self, lane: Lane) -> Turn | None:
        """The queued turn for the next claim; None: the lane is empty, or the first open turn is claimed."""
        ...

    async def claim(self, lane: Lane, owner: str, *, merge: bool = False) -> Turn | None:
        """Claim the head of the lane for the owner; None: nothing is queued, or a turn of the lane is claimed.

        `merge`: messages to be asked together (`core.merging`) become a single turn: the last is claimed with the text
        of all, the earlier turns are closed as merged, in the same transaction.
        """
        ...

    async def release(self, ticket: Ticket) -> bool:
        """Put a running turn back into the queue; only for a run that provably did not start.

        False: the ticket is void, or the turn is marked to be stopped.
        """
        ...

    async def record_answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        """Record the reply of a running turn, which becomes answered; True again on a repeat.

        False: the ticket is void, or a stop came first and `even_if_stopped` is not set.
        """
        ...

    async def record_smaller_parts(self, ticket: Ticket, reply: Reply) -> bool:
        """Replace the reply of an answered turn by the same reply in smaller parts; delivered parts stay as they are.

        False: the ticket is void.
        """
        ...

    async def replace_payload(self, ticket: Ticket, payload: Payload) -> bool:
        """Replace the payload of a running turn, for takeovers and *Ask again*.

        False: the ticket is void.
        """
        ...

    async def record_delivered(self, ticket: Ticket, ids: tuple[str, ...]) -> bool:
        """Record the ids of all parts delivered so far, in order.

        False: the ticket is void.
        """
        ...

    async def record_live_message(self, ticket: Ticket, live: str) -> bool:
        """Record the live message of a running turn, as `core.live_message.live_column` writes it.

        False: the ticket is void.
        """
        ...

    async def count_attempt(self, ticket: Ticket) -> int:
        """Count a failed delivery of an answered turn; returns the number of failures, 0 when the ticket is void."""
        ...

    async def close_turn(
        self, ticket: Ticket, outcome: Outcome, ids: tuple[str, ...], at: float, error: str = ""
    ) -> bool:
        """Close the claimed turn at `at` with the outcome, the ids of all delivered parts and an error's label.

        False: the ticket is void.
        """
        ...

    async def stop(self, lane: Lane, note: NewTurn, by: str, at: float, *, only: int = 0) -> Stopped:
        """Stop all that the person of `note` asked in the conversation of `note`, and in `lane`; a repeat does nothing.

        Queued questions are closed as stopped, and a note that names the questions (`stopped_early` makes `note` that
        note) is queued in the same transaction. A running question, or an answered question with two or more parts to
        deliver, is marked, and the owner is called (`on_stop`). If the person has no such question, the claimed
        question of the lane is marked, whoever asked.

        The command is known by `note.id`. `by`: the name of the person who stops. `only`: if not 0, the number of the
        only turn to stop; a queued turn is then left alone.
        """
        ...

    async def call_owner(self, lane: Lane) -> None:
        """Call the owner of the lane's claimed turn (`on_stop`), whether the turn is marked to be stopped or not."""
        ...

    async def drop(self, n: int, note: NewTurn, at: float) -> DropVerdict:
        """Drop turn `n` for an operator.

        A queued or answered turn is closed as dropped, and `note` is queued in the same transaction. A running turn is
        marked to be stopped.
        """
        ...

    async def edit(self, wanted: MessageEdit, at: float) -> EditResult:
        """Apply an edit or deletion of a message to the turn; a repeat has the same result.

        A question not asked yet is asked with the new text; without any text and files left, the question is
        withdrawn.
        """
        ...

    async def withdraw(self, seen: Turn, at: float) -> EditResult:
        """Close a queued turn as withdrawn; mark a running turn and call the owner (`on_stop`).

        A turn claimed after the caller read `seen` goes on (verdict `NOTHING`), since further messages may have been
        merged into the turn.
        """
        ...

    async def withdraw_all(self, id_prefix: str, at: float) -> tuple[int, ...]:
        """Withdraw all queued and running turns of a conversation, threads included.

        `id_prefix`: the conversation's part of the turns' ids. Returns the numbers of the running turns, which are
        marked.
        """
        ...

    async def current_question(self, n: int) -> tuple[Turn, str] | None:
        """The turn that asked the question of turn `n`, and the question's present text ("": no longer kept).

        None: turn `n` is unknown.
        """
        ...

    async def rate(self, rating: Rating) -> int:
        """Keep or remove a person's rating of a closed turn; returns the turn's number, 0 when nothing changed."""
        ...

    async def ratings(self, after: After, limit: int) -> tuple[KeptRating, ...]:
        """A page of at most `limit` ratings behind `after`, oldest first."""
        ...

    def on_stop(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the number of each turn that any replica marks to be stopped, and for `call_owner`.

        Never called on a SQLite file. The callback must be fast and must not raise. Calls may get lost;
        `Heartbeat.stops` names every marked turn.
        """
        ...

    async def stalled(self, owner: str, claimed_before: float, queued_before: float) -> Stalled:
        """The owner's open rows accepted before the two times; cheap, since called every second.

        Rows accepted over a minute after both times are old too: the clock was set back since.
        """
        ...

    async def find(self, n: int) -> Turn | None:
        """The turn with this number; None: unknown, or deleted by `forget_old`."""
        ...

    async def turns(self, wanted: TurnFilter, limit: int) -> tuple[Turn, ...]:
        """At most `limit` turns of the selection, newest first, without texts."""
        ...

    async def lane_status(self, lane: Lane) -> LaneStatus:
        """The running turn of the lane and the queue behind it."""
        ...

    async def spend(self, budget: str, interval: float, burst: int) -> float:
        """Take one token of a budget shared by all replicas; returns 0.0, or the seconds to wait, with nothing taken.

        The budget holds at most `burst` tokens and gains one each `interval` seconds.
        A time on disk that lies further ahead than the budget holds, from before the clock was set back, counts as now.
        """
        ...

    async def refund(self, budget: str, interval: float) -> None:
        """Put back a token taken and not used."""
        ...

    async def exhaust(self, budget: str, interval: float, burst: int) -> None:
        """Empty the budget: the next token is there after one `interval` (seconds)."""
        ...

    async def pause(self, paused: bool) -> None:
        """Hold all turns of all replicas, or let the turns go on; survives restarts."""
        ...

    async def forget_old(self, blank_before: float, delete_before: float, now: float = 0.0) -> int:
        """Forget a batch of old data; returns the number of rows and files concerned, 0 when all is done.

        Texts of turns closed before `blank_before` are blanked, rows closed before `delete_before` deleted. Ratings go
        with the rows; files with the texts, or when expired at `now`; edits kept for messages not arrived within an
        hour.
        """
        ...
