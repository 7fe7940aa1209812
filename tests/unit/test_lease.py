"""The lease: counters and the replica's own monotonic clock tell which owners have expired."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.lease import CERTAIN_SECONDS, LEASE_SECONDS, Lease

ME, OTHER = "me", "other"


def watched(times: list[float], counters: list[int]) -> list[frozenset[str]]:
    """The expired owners after each heartbeat of `ME` at these times, beside an owner with these counters."""
    lease = Lease()
    return [
        lease.renewed(at, at + 0.01, ME, {ME: n, OTHER: counter})
        for n, (at, counter) in enumerate(zip(times, counters, strict=True))
    ]


def test_an_owner_whose_counter_stands_still_for_one_lease_has_expired() -> None:
    seconds = [float(n) for n in range(25)]
    expired = watched(seconds, [7] * 25)
    assert [at for at, owners in zip(seconds, expired, strict=True) if owners] == [20.0, 21.0, 22.0, 23.0, 24.0]
    assert expired[-1] == {OTHER}


def test_an_owner_whose_counter_moves_slowly_has_not_expired() -> None:
    seconds = [float(n) for n in range(100)]
    assert not any(watched(seconds, [n // 19 for n in range(100)]))


def test_after_a_gap_in_the_watchers_contact_no_owner_expires_for_one_lease() -> None:
    seconds = [*map(float, range(10)), *map(float, range(40, 65))]
    expired = watched(seconds, [7] * len(seconds))
    assert next(at for at, owners in zip(seconds, expired, strict=True) if owners) == 60.0


def test_a_replica_never_declares_its_own_owner_expired() -> None:
    lease = Lease()
    assert not any(lease.renewed(float(n), float(n), ME, {ME: 1}) for n in range(60))


def test_a_heartbeat_counts_from_the_moment_of_sending() -> None:
    lease = Lease()
    assert not lease.certain(0.0)
    lease.renewed(100.0, 108.0, ME, {})
    assert lease.certain(100.0 + CERTAIN_SECONDS - 0.1)
    assert not lease.certain(100.0 + CERTAIN_SECONDS)
    lease.lost()
    assert not lease.certain(100.0)


@given(st.lists(st.floats(0.01, 4.9), min_size=1, max_size=60), st.floats(0.0, 5.0))
def test_no_owner_expires_for_a_watcher_while_certain_of_its_rows(gaps: list[float], delay: float) -> None:
    """The last heartbeat is written at most `delay` after sending; the watcher reads the counter some time later."""
    sent = 1000.0
    written = sent + delay
    mine, watcher = Lease(), Lease()
    mine.renewed(sent, written, ME, {})
    now = 990.0
    for gap in gaps:
        now += gap
        expired = watcher.renewed(now, now, OTHER, {ME: 2 if now >= written else 1, OTHER: 0})
        assert not (ME in expired and now >= written and mine.certain(now))


def test_a_replica_is_uncertain_some_seconds_before_its_owner_expires() -> None:
    assert CERTAIN_SECONDS + 4.0 < LEASE_SECONDS
