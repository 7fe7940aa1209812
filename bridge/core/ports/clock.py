"""The port to wall time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time is I/O. `now` is wall time in seconds since the epoch, for records; never for deciding who is alive."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...
