"""What the engine needs of the world. Each port has one real implementation and stand-ins in tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.core.turn import (
    Accepted,
    Activity,
    Lane,
    LaneStatus,
    NewTurn,
    Orphans,
    Outcome,
    Person,
    Reference,
    Reply,
    Stopped,
    Ticket,
    Turn,
)


class Clock(Protocol):
    """Time is I/O. `now` is wall time in seconds since the epoch, for records; never for deciding who is alive."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """One run: `agent` is the agent's key, `user` the value of X-GoClaw-User-Id, `text` the words."""

    agent: str
    user: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent's words as Markdown. `silent`: the agent chose not to reply."""

    text: str
    silent: bool = False


class Agent(Protocol):
    """The agent behind the gateway."""

    async def ask(self, question: Question) -> Answer:
        """One run. Cancelling closes the request, which is the gateway's only stop. Raises TurnFailure."""
        ...

    async def forget(self, agent: str, user: str) -> None:
        """Delete the session, and see that it is gone. Raises TurnFailure (SessionNotDeleted, GatewayDown, …)."""
        ...


class Channel(Protocol):
    """The way back to Teams. Content in, addressing from the reference."""

    async def send(self, to: Reference, activity: Activity) -> str:
        """Show one activity; gives its id. Raises DeliveryFailure."""
        ...

    async def typing(self, to: Reference) -> None:
        """Show the typing indicator once. Raises DeliveryFailure."""
        ...


class Roster(Protocol):
    """Who is who in a conversation: what activities do not say."""

    async def is_guest(self, where: Reference, person: Person) -> bool:
        """Whether the person is a guest of the tenant. Raises DeliveryFailure where Teams does not tell."""
        ...


class TurnStore(Protocol):
    """The turn table. Every method raises StoreUnavailable; every write is on disk when it returns.

    Writes that take a Ticket return False when the ticket is void (the row was taken over): drop the work.
    """

    async def open(self) -> None:
        """Open or create the store; brings the schema up to date. Raises StoreInUse."""
        ...

    async def close(self) -> None:
        """Write what waits, and close."""
        ...

    async def accept(self, new: NewTurn, owner: str | None) -> Accepted:
        """Insert the turn as queued, or as running for `owner` if its lane is idle. A known id changes nothing."""
        ...

    async def claim(self, lane: Lane, owner: str) -> Turn | None:
        """Claim the head of the lane, if it is queued and nothing of the lane is running or answered."""
        ...

    async def release(self, ticket: Ticket) -> bool:
        """Back to queued: the run was provably not started."""
        ...

    async def answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        """Running to answered. False also when a stop came first, unless `even_if_stopped`."""
        ...

    async def shown(self, ticket: Ticket, ids: tuple[str, ...]) -> bool:
        """Record the ids of the parts delivered so far."""
        ...

    async def attempted(self, ticket: Ticket) -> int:
        """Count a failed delivery; gives the number of them."""
        ...

    async def settle(self, ticket: Ticket, outcome: Outcome, ids: tuple[str, ...], at: float, error: str = "") -> bool:
        """Close the turn with its outcome."""
        ...

    async def stop(self, lane: Lane, id_: str, at: float) -> Stopped:
        """Mark the lane's running turn as stopped, or close its queued head; keeps `id_` as a closed row."""
        ...

    async def adopt(self, owner: str) -> Orphans:
        """Take over every claimed row that is not the owner's own; name the lanes that wait."""
        ...

    async def stalled(self, owner: str, before: float) -> Orphans:
        """Open rows accepted before `before`: the owner's claimed ones, and lanes with a queued head."""
        ...

    async def find(self, n: int) -> Turn | None:
        """The turn with this number."""
        ...

    async def lane_status(self, lane: Lane) -> LaneStatus:
        """What runs and what waits."""
        ...

    async def forget_old(self, blank_before: float, delete_before: float) -> int:
        """Blank the text of turns closed before `blank_before`, delete rows closed before `delete_before`; a batch."""
        ...
