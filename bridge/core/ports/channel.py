"""The ports to Teams: sending, progress, reactions, the roster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.core.live_message import LiveMessage
from bridge.core.turn import Activity, Person, Reference


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

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        """Show a message of progress; gives its id. Raises LeftOut, DeliveryFailure."""
        ...

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        """Show progress in place of what the message shows. Raises LeftOut, DeliveryFailure."""
        ...

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
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
