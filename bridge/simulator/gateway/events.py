"""Distributes the gateway's events to sockets, by right (docs/reference/goclaw.md, "Agent events").

Each socket has a buffer of 256 events. As in the gateway, further events are lost, and lost events are not replayed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from bridge.simulator.gateway.access import Caller

_BUFFER = 256


@dataclass(slots=True, eq=False)
class Subscriber:
    """A socket: caller (None before ``connect``), user, and waiting frames."""

    caller: Caller | None = None
    user: str = ""
    frames: asyncio.Queue[dict[str, Any]] = field(default_factory=lambda: asyncio.Queue(_BUFFER))

    def sees(self, user: str) -> bool:
        """Whether the socket gets the events of ``user``: admins see all runs, the rest only the own user's."""
        return self.caller is not None and (self.caller.may("admin") or bool(user and self.user == user))

    def offer(self, frame: dict[str, Any]) -> None:
        if not self.frames.full():
            self.frames.put_nowait(frame)


@dataclass(slots=True)
class Events:
    """All connected sockets."""

    subscribers: set[Subscriber] = field(default_factory=set)

    def agent(self, user: str, payload: dict[str, Any]) -> None:
        """Offer an ``agent`` event of a run of ``user`` to the sockets with the right to see the event."""
        for subscriber in self.subscribers:
            if subscriber.sees(user):
                subscriber.offer({"type": "event", "event": "agent", "payload": payload})

    def broadcast(self, event: str, payload: dict[str, Any] | None = None) -> None:
        """Offer an event without a user to all connected sockets."""
        frame: dict[str, Any] = {"type": "event", "event": event}
        if payload is not None:
            frame["payload"] = payload
        for subscriber in self.subscribers:
            if subscriber.caller is not None:
                subscriber.offer(frame)
