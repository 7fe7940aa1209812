"""Sends events to the open pages through bounded queues; a page too far behind is disconnected and reconnects."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# events, about a minute of a busy chat; a page further behind does better to load the chat again
BACKLOG = 1024


class Listener:
    """The event queue of an open page. `next` gives the events in order."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque()
        self._news = asyncio.Event()
        self._gone = False

    def offer(self, event: dict[str, Any]) -> bool:
        """Add an event; False when the page was too far behind and is now disconnected."""
        if len(self._events) >= BACKLOG:
            self.disconnect()
            return False
        self._events.append(event)
        self._news.set()
        return True

    def disconnect(self) -> None:
        """Make `next` raise ConnectionAbortedError."""
        self._gone = True
        self._news.set()

    async def next(self, patience: float) -> dict[str, Any] | None:
        """The next event, or None after `patience` seconds without an event. Raises: ConnectionAbortedError."""
        try:
            async with asyncio.timeout(patience):
                await self._news.wait()
        except TimeoutError:
            return None
        if self._gone:
            raise ConnectionAbortedError
        event = self._events.popleft()
        if not self._events:
            self._news.clear()
        return event


class Announcer:
    """Sends each event to every open page."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def announce(self, event: dict[str, Any]) -> None:
        """Queue `event`, a JSON object of the page API, for all open pages; never waits."""
        self._listeners = {listener for listener in self._listeners if listener.offer(event)}

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """The queue of a newly opened page, for as long as the context is open."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Disconnect all pages, so the server can stop."""
        for listener in self._listeners:
            listener.disconnect()
        self._listeners.clear()
