"""The rate limits of the Bot Connector as sliding windows. Pure: the caller brings the clock.

Numbers: learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit (reference: docs/reference/teams.md, "Rate limits and retries").
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """At most `most` operations in any `seconds` seconds."""

    seconds: float
    most: int


# per bot and thread: send to conversation, create conversation. Edits are not in the page's table, but bots
# that posted and edited got 429 all the same (vercel/chat #396), so they are counted with the sends here.
SENDS = (Window(1, 7), Window(2, 8), Window(30, 60), Window(3600, 1800))
# per bot and thread: get conversation members, get conversations
READS = (Window(1, 14), Window(2, 16), Window(30, 120), Window(3600, 3600))
# per app, over all conversations: bots' reactions (docs/reference/teams.md, "Rate limits and retries" and docs/reference/teams.md, "Typing, reactions, quotes")
REACTIONS = (Window(1, 2),)
# per app and tenant, whatever the operation
REQUESTS = (Window(1, 50),)


class SlidingWindows:
    """What was accepted lately under each key; refused operations do not count."""

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self._windows = windows
        self._longest = max(window.seconds for window in windows)
        self._capacity = max(window.most for window in windows)
        self._accepted: dict[str, deque[float]] = {}

    def take(self, key: str, now: float) -> float:
        """Count one operation at `now` (seconds of a clock that only goes forward).

        Returns 0.0 when it is accepted, else the seconds until it would be, and then nothing is counted.
        """
        accepted = self._accepted.setdefault(key, deque(maxlen=self._capacity))
        while accepted and accepted[0] <= now - self._longest:
            accepted.popleft()
        wait = max(self._wait(accepted, window, now) for window in self._windows)
        if wait <= 0:
            accepted.append(now)
            return 0.0
        return wait

    @staticmethod
    def _wait(accepted: deque[float], window: Window, now: float) -> float:
        """Seconds until the oldest of the last `most` operations has left the window."""
        if len(accepted) < window.most:
            return 0.0
        return accepted[-window.most] + window.seconds - now


def retry_after(seconds: float) -> str:
    """The header's value: whole seconds, at least one."""
    return str(max(1, math.ceil(seconds)))
