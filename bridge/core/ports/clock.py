"""The port to wall time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time, for records only. Leases and time limits use a monotonic clock, since wall time may be set back."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...
