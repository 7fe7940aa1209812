"""Expired replicas, found without a wall clock: each owner counts heartbeats, and all replicas watch the counters.

An owner has expired when the counter stood still for a whole lease of the watcher's monotonic time, in unbroken
contact with the store. A replica whose heartbeats fail stops all work earlier, before a takeover is possible
(docs/architecture.md, "A turn's states").
"""

from __future__ import annotations

from collections.abc import Mapping

LEASE_SECONDS = 20.0
# Below LEASE_SECONDS, so that a replica has stopped its work before a takeover.
CERTAIN_SECONDS = 15.0
# A longer gap between two looks means broken contact: no owner counts as expired for one lease.
_UNBROKEN_SECONDS = 5.0


class Lease:
    """A replica's own lease, and the counters of all owners as seen here. Times in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._sent: float | None = None  # when the last successful heartbeat was sent
        self._looked = 0.0
        self._seen: dict[str, tuple[int, float]] = {}

    def renewed(self, began: float, now: float, owner: str, counters: Mapping[str, int]) -> frozenset[str]:
        """Take in a heartbeat of `owner`, sent at `began` and confirmed at `now`; returns the expired owners.

        The lease counts from `began`, since the store wrote the heartbeat at an unknown moment afterwards.
        """
        unbroken = self._sent is not None and now - self._looked <= _UNBROKEN_SECONDS
        self._sent, self._looked = began, now
        seen: dict[str, tuple[int, float]] = {}
        for known, counter in counters.items():
            before = self._seen.get(known)
            since = before[1] if unbroken and before is not None and before[0] == counter else now
            seen[known] = (counter, since)
        self._seen = seen
        return frozenset(known for known, (_, since) in seen.items() if known != owner and now - since >= LEASE_SECONDS)

    def certain(self, now: float) -> bool:
        """Whether the replica surely still holds the rows: the last heartbeat is younger than `CERTAIN_SECONDS`."""
        return self._sent is not None and now - self._sent < CERTAIN_SECONDS

    def lost(self) -> None:
        """Forget all heartbeats; the replica rejoins under a new owner."""
        self._sent = None
        self._seen = {}
