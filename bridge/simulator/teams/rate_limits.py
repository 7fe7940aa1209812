"""The rate limits of the Bot Connector as sliding windows. Pure: the caller brings the clock.

Source of the numbers: docs/reference/teams.md, "Limits of the connector".
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


# per bot and thread: send to conversation, create conversation. Edits are not in Microsoft's table, but bots with posts
# and edits got 429 all the same (https://github.com/vercel/chat/issues/396), so an edit counts as a send.
SENDS = (Window(1, 7), Window(2, 8), Window(30, 60), Window(3600, 1800))
# per bot and thread: get conversation members, get conversations
READS = (Window(1, 14), Window(2, 16), Window(30, 120), Window(3600, 3600))
# per app, over all conversations: reactions of bots; source: docs/reference/teams.md, "Reactions"
REACTIONS = (Window(1, 2),)
# per app and tenant, all operations together
REQUESTS = (Window(1, 50),)


class SlidingWindows:
    """Counts the accepted operations of each key; refused operations do not count."""

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self._windows = windows
        self._longest = max(window.seconds for window in windows)
        self._capacity = max(window.most for window in windows)
        self._accepted: dict[str, deque[float]] = {}

    def take(self, key: str, now: float) -> float:
        """Count an operation of `key` at `now` (monotonic seconds).

        Returns 0.0 when the operation is accepted. A refused operation is not counted; the result is then the seconds
        until the operation would be accepted.
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
    """The Retry-After header's value: whole seconds, at least 1."""
    return str(max(1, math.ceil(seconds)))
