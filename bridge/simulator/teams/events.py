"""News for the open pages: each has a bounded queue; one that falls behind is let go and comes back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# about a minute of a busy chat; a page that is further behind had better load everything anew
BACKLOG = 1024


class Listener:
    """One open page. `next` gives its news in order."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque()
        self._news = asyncio.Event()
        self._gone = False

    def offer(self, event: dict[str, Any]) -> bool:
        """False when the listener is too far behind and was let go."""
        if len(self._events) >= BACKLOG:
            self.leave()
            return False
        self._events.append(event)
        self._news.set()
        return True

    def leave(self) -> None:
        self._gone = True
        self._news.set()

    async def next(self, patience: float) -> dict[str, Any] | None:
        """The next event, or None after `patience` seconds without one.

        Raises:
            ConnectionAbortedError: this listener was let go.
        """
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
    """Tells every open page the same news."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def announce(self, event: dict[str, Any]) -> None:
        """Give `event` (a JSON object of the page API) to everybody who listens; never waits."""
        self._listeners = {listener for listener in self._listeners if listener.offer(event)}

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Let everybody go, so that the server can stop."""
        for listener in self._listeners:
            listener.leave()
        self._listeners.clear()
