"""The Connector's rate limits as sliding windows."""

import pytest

from bridge.simulator.teams.rate_limits import REQUESTS, SENDS, SlidingWindows, Window, retry_after


def accepted_at(windows: SlidingWindows, times: list[float]) -> list[bool]:
    return [windows.take("chat", now) == 0 for now in times]


def test_seven_sends_in_a_second_pass_and_the_eighth_waits() -> None:
    sends = SlidingWindows(SENDS)
    assert accepted_at(sends, [0.1 * n for n in range(8)]) == [True] * 7 + [False]
    assert sends.take("chat", 0.7) == pytest.approx(0.3)
    assert sends.take("chat", 1.0) == 0


def test_two_seconds_hold_eight_sends() -> None:
    sends = SlidingWindows(SENDS)
    assert all(accepted_at(sends, [0, 0, 0, 0, 0, 0, 0, 1.0]))
    assert sends.take("chat", 1.5) == pytest.approx(0.5)


def test_half_a_minute_holds_sixty_sends() -> None:
    sends = SlidingWindows(SENDS)
    assert all(accepted_at(sends, [n / 4 for n in range(60)]))
    assert sends.take("chat", 15.0) == pytest.approx(15.0)
    assert sends.take("chat", 30.0) == 0


def test_an_hour_holds_1800_sends_however_evenly_they_come() -> None:
    sends = SlidingWindows(SENDS)
    assert all(accepted_at(sends, [n * 0.6 for n in range(1800)]))
    assert sends.take("chat", 1080.0) == pytest.approx(3600 - 1080)


def test_conversations_do_not_share_a_budget() -> None:
    windows = SlidingWindows((Window(1, 1),))
    assert windows.take("first chat", 0) == 0
    assert windows.take("second chat", 0) == 0
    assert windows.take("first chat", 0) > 0


def test_refused_operations_do_not_count() -> None:
    windows = SlidingWindows((Window(1, 1),))
    windows.take("chat", 0)
    for tenth in range(1, 10):
        assert windows.take("chat", tenth / 10) > 0
    assert windows.take("chat", 1.0) == 0


def test_an_app_has_fifty_requests_a_second_in_a_tenant() -> None:
    requests = SlidingWindows(REQUESTS)
    assert accepted_at(requests, [0.01 * n for n in range(51)]) == [True] * 50 + [False]


@pytest.mark.parametrize(("seconds", "header"), [(0.01, "1"), (1.0, "1"), (1.2, "2"), (2520, "2520")])
def test_retry_after_is_whole_seconds_rounded_up(seconds: float, header: str) -> None:
    assert retry_after(seconds) == header
