"""The ports to Teams: messages, progress, reactions, the roster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.core.live_message import LiveMessage
from bridge.core.turn import Activity, Person, Reference


@dataclass(frozen=True, slots=True)
class Chunk:
    """One request of a stream: all text so far or, if `informative`, a line about the agent's activity.

    `sequence` counts from 1. `stream` is the stream's id, "" in the first request, whose response brings the id.
    """

    text: str
    sequence: int
    stream: str
    informative: bool


class Channel(Protocol):
    """The way back to Teams: content comes in, addressing is added from the conversation reference `to`.

    Answers and notes (`send`, `replace`) wait until the conversation's budget has room, and are repeated where a repeat
    is safe. Progress and reactions are sent at most once; without room in the budgets they are skipped (`LeftOut`).
    """

    async def send(self, to: Reference, activity: Activity) -> str:
        """Send a new message; returns its id, "" where Teams names no id.

        `DeliveryDelayed`: the message was not shown, sending again is safe. `DeliveryUnknown`: the message may have
        been shown. Raises: DeliveryFailure.
        """
        ...

    async def typing(self, to: Reference) -> None:
        """Show the typing indicator once, for some seconds. Raises: DeliveryFailure."""
        ...

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        """Send one request of a stream; returns the stream's id.

        `StreamEnded`: Teams accepts no more requests of this stream. Raises: LeftOut, StreamEnded, DeliveryFailure.
        """
        ...

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        """Send a new progress message; returns its id. Raises: LeftOut, DeliveryFailure."""
        ...

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        """Replace the content of the progress message with this id. Raises: LeftOut, DeliveryFailure."""
        ...

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        """Show the activity in place of the live message; returns the message's id. A repeat changes nothing.

        An open stream is ended first. `StreamStopped`: the person stopped the stream, whose content stays.
        `DeliveryRejected`: the message cannot be edited. Raises: DeliveryFailure.
        """
        ...

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        """Add the reaction to the message that `to` answers (`to.activity`), or remove it; `on`: add.

        `reaction` is a name of Teams such as `1f440_eyes` (docs/reference/teams.md, "Reactions"). A repeat changes
        nothing. Raises: LeftOut, DeliveryFailure.
        """
        ...


class Roster(Protocol):
    """The members of a conversation, for facts missing in activities."""

    async def is_guest(self, where: Reference, person: Person) -> bool:
        """Whether the person is a guest of the conversation's tenant; may be some hours old.

        A roster without a clear statement about the person is an error, never False. Raises: DeliveryFailure.
        """
        ...
