"""Send budgets: Teams' limits hold for every sequence of sends, and answers find room beside progress."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.progress.budgets import ConversationBudget, TenantBudget, progress_interval

LIMITS = ((1.0, 7), (2.0, 8), (30.0, 60), (3600.0, 1800))


def within(times: list[float]) -> bool:
    """Whether the sends in every window stay within Teams' limit for the window."""
    return all(
        sum(at <= later < at + window for later in times) <= limit for window, limit in LIMITS for at in times[::7]
    )


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=200))
def test_no_sequence_of_sends_exceeds_a_limit_of_teams(gaps: list[float]) -> None:
    budget, now, times = ConversationBudget(0.0), 0.0, []
    for gap in gaps:
        now += gap
        now += budget.wait(now)
        assert budget.wait(now) <= 1e-6
        budget.spent(now)
        times.append(now)
    assert within(times)


def test_sending_at_full_speed_for_two_hours_stays_within_teams_limits() -> None:
    budget, now, times = ConversationBudget(0.0), 0.0, []
    while now < 7200:
        now += budget.wait(now) or 0.001
        if budget.wait(now) == 0.0:
            budget.spent(now)
            times.append(now)
    assert within(times)
    assert len(times) > 3000


def test_no_answer_waits_longer_than_about_an_hour() -> None:
    budget = ConversationBudget(0.0)
    for n in range(3000):
        budget.spent(n * 0.5)
    assert 0 < budget.wait(1500.0) <= 3660


@settings(deadline=None)
@given(st.integers(1, 400))
def test_progress_leaves_room_for_an_answer(seconds: int) -> None:
    """Progress takes all the room it gets for some seconds, then an answer of five parts follows."""
    budget = ConversationBudget(0.0)
    for tenth in range(seconds * 10):
        now = tenth / 10
        if budget.affords_progress(now):
            budget.spent(now)
    assert budget.wait(float(seconds) + 2.0) == 0.0
    for part in range(5):
        now = seconds + 2.0 + part * 0.3
        assert budget.wait(now) == 0.0
        budget.spent(now)


def test_after_a_restart_half_of_the_hour_counts_as_spent() -> None:
    young, old = ConversationBudget(0.0, inherited=True), ConversationBudget(0.0)
    sent = {}
    for name, budget in (("young", young), ("old", old)):
        sent[name] = 0
        for second in range(3500):
            if budget.affords_progress(float(second)):
                budget.spent(float(second))
                sent[name] += 1
    assert 300 < sent["young"] < sent["old"] / 2
    assert young.wait(3500.0) == 0.0


def test_with_several_replicas_progress_takes_half() -> None:
    alone, shared = ConversationBudget(0.0), ConversationBudget(0.0, shared=True)
    counts = []
    for budget in (alone, shared):
        count = 0
        for tenth in range(300):
            if budget.affords_progress(tenth / 10):
                budget.spent(tenth / 10)
                count += 1
        counts.append(count)
    assert counts[1] * 2 - 2 <= counts[0] <= counts[1] * 2 + 2


def test_after_a_refusal_progress_is_skipped_until_teams_allows_sending() -> None:
    budget = ConversationBudget(0.0)
    budget.hold(10.0)
    assert not budget.affords_progress(9.9)
    assert budget.affords_progress(10.0)
    assert budget.wait(0.0) == 0.0


def test_progress_of_all_turns_together_stays_under_thirty_a_second() -> None:
    assert progress_interval(1, 4.0) == 4.0
    assert all(running / progress_interval(running, 4.0) <= 30.0 for running in (1, 100, 500, 5000))


def test_with_several_replicas_each_has_half_of_the_reactions() -> None:
    for began in (0.0, 0.1, 12_345.678, 1e6 + 1 / 3):
        alone, beside = TenantBudget.of_reactions(shared=False), TenantBudget.of_reactions(shared=True)
        times = [began + step / 100 for step in range(6000)]
        assert sum(alone.take(now) for now in times) in range(88, 93)
        assert sum(beside.take(now) for now in times) in range(44, 47)
