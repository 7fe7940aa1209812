"""Who is alive, decided without any wall clock (docs/architecture.md, "A turn's states"): each life counts beats, others watch the counters.

A life is dead when its counter has not changed for one lease of the watcher's own monotonic time, in unbroken contact
with the store. A life that has not beaten for a while stops its own work before anybody may think it dead.
"""

from __future__ import annotations

from collections.abc import Mapping

LEASE_SECONDS = 20.0
CERTAIN_SECONDS = 15.0
# Longer between two looks than this, and the contact was broken: nobody is declared dead for one lease.
_UNBROKEN_SECONDS = 5.0


class Lease:
    """What one life knows of itself and the others. All times in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._beaten: float | None = None
        self._looked = 0.0
        self._seen: dict[str, tuple[int, float]] = {}

    def renewed(self, began: float, now: float, owner: str, counters: Mapping[str, int]) -> frozenset[str]:
        """A beat of `owner` was counted: it was sent at `began` and came back at `now`. Gives the lives that are dead.

        The beat counts from when it was sent: it was written at some moment after that.
        """
        unbroken = self._beaten is not None and now - self._looked <= _UNBROKEN_SECONDS
        self._beaten, self._looked = began, now
        seen: dict[str, tuple[int, float]] = {}
        for life, counter in counters.items():
            before = self._seen.get(life)
            since = before[1] if unbroken and before is not None and before[0] == counter else now
            seen[life] = (counter, since)
        self._seen = seen
        return frozenset(life for life, (_, since) in seen.items() if life != owner and now - since >= LEASE_SECONDS)

    def certain(self, now: float) -> bool:
        """Whether nobody can have declared this life dead: its last beat is young enough."""
        return self._beaten is not None and now - self._beaten < CERTAIN_SECONDS

    def lost(self) -> None:
        """This life is over; the next one begins without a beat."""
        self._beaten = None
        self._seen = {}
