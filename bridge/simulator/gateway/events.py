"""The gateway's events on their way to the sockets that may see them (docs/reference/goclaw.md, "Agent events").

Every socket has a buffer of 256 events; what does not fit is lost, and nothing is replayed: so says the real gateway.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from bridge.simulator.gateway.access import Caller

_BUFFER = 256


@dataclass(slots=True, eq=False)
class Subscriber:
    """One socket: who it is connected as (None before ``connect``), and the frames that wait for it."""

    caller: Caller | None = None
    user: str = ""
    frames: asyncio.Queue[dict[str, Any]] = field(default_factory=lambda: asyncio.Queue(_BUFFER))

    def sees(self, user: str) -> bool:
        """Admins see everybody's runs, others their own."""
        return self.caller is not None and (self.caller.may("admin") or bool(user and self.user == user))

    def offer(self, frame: dict[str, Any]) -> None:
        if not self.frames.full():
            self.frames.put_nowait(frame)


@dataclass(slots=True)
class Events:
    """All connected sockets."""

    subscribers: set[Subscriber] = field(default_factory=set)

    def agent(self, user: str, payload: dict[str, Any]) -> None:
        """An ``agent`` event about a run of ``user``, to those who may see it."""
        for subscriber in self.subscribers:
            if subscriber.sees(user):
                subscriber.offer({"type": "event", "event": "agent", "payload": payload})

    def everybody(self, event: str, payload: dict[str, Any] | None = None) -> None:
        """An event without a user, to every socket that has connected."""
        frame: dict[str, Any] = {"type": "event", "event": event}
        if payload is not None:
            frame["payload"] = payload
        for subscriber in self.subscribers:
            if subscriber.caller is not None:
                subscriber.offer(frame)
