"""Who is alive: counters and one's own monotonic clock decide, nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.lease import CERTAIN_SECONDS, LEASE_SECONDS, Lease

ME, OTHER = "me", "other"


def watched(times: list[float], counters: list[int]) -> list[frozenset[str]]:
    """What a life that beats at these times says of another with these counters."""
    lease = Lease()
    return [
        lease.renewed(at, at + 0.01, ME, {ME: n, OTHER: counter})
        for n, (at, counter) in enumerate(zip(times, counters, strict=True))
    ]


def test_a_counter_that_stands_still_for_one_lease_is_dead() -> None:
    seconds = [float(n) for n in range(25)]
    dead = watched(seconds, [7] * 25)
    assert [at for at, lives in zip(seconds, dead, strict=True) if lives] == [20.0, 21.0, 22.0, 23.0, 24.0]
    assert dead[-1] == {OTHER}


def test_a_counter_that_moves_is_alive_however_slowly() -> None:
    seconds = [float(n) for n in range(100)]
    assert not any(watched(seconds, [n // 19 for n in range(100)]))


def test_after_a_gap_in_ones_own_contact_nobody_is_dead_for_one_lease() -> None:
    seconds = [*map(float, range(10)), *map(float, range(40, 65))]
    dead = watched(seconds, [7] * len(seconds))
    assert next(at for at, lives in zip(seconds, dead, strict=True) if lives) == 60.0


def test_nobody_declares_itself_dead() -> None:
    lease = Lease()
    assert not any(lease.renewed(float(n), float(n), ME, {ME: 1}) for n in range(60))


def test_a_beat_counts_from_when_it_was_sent() -> None:
    lease = Lease()
    assert not lease.certain(0.0)
    lease.renewed(100.0, 108.0, ME, {})
    assert lease.certain(100.0 + CERTAIN_SECONDS - 0.1)
    assert not lease.certain(100.0 + CERTAIN_SECONDS)
    lease.lost()
    assert not lease.certain(100.0)


@given(st.lists(st.floats(0.01, 4.9), min_size=1, max_size=60), st.floats(0.0, 5.0))
def test_nobody_is_dead_to_others_while_certain_of_itself(gaps: list[float], delay: float) -> None:
    """Its last beat is written at most `delay` after it was sent; the watcher sees that at some later look."""
    sent = 1000.0
    written = sent + delay
    mine, watcher = Lease(), Lease()
    mine.renewed(sent, written, ME, {})
    now = 990.0
    for gap in gaps:
        now += gap
        dead = watcher.renewed(now, now, OTHER, {ME: 2 if now >= written else 1, OTHER: 0})
        assert not (ME in dead and now >= written and mine.certain(now))


def test_there_is_time_between_being_uncertain_and_being_dead() -> None:
    assert CERTAIN_SECONDS + 4.0 < LEASE_SECONDS
