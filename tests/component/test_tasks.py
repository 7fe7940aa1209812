"""Tasks that run for good: after a failure they run again, with growing pauses, and the failure is in the record."""

from __future__ import annotations

import asyncio
from typing import Any

from structlog.testing import capture_logs
from support.engine_world import until, virtual_time

from bridge.metrics import REGISTRY
from bridge.tasks import Tasks


class _Breaking:
    """Work that fails at each of the first `failures` runs, after `seconds`, and then goes on for ever."""

    def __init__(self, failures: int, seconds: float = 0.0) -> None:
        self._failures = failures
        self._seconds = seconds
        self.began: list[float] = []

    async def __call__(self) -> None:
        self.began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._seconds)
        if len(self.began) <= self._failures:
            raise TypeError("unhashable type: 'list'")
        await asyncio.Event().wait()

    @property
    def pauses(self) -> list[float]:
        return [
            round(later - before - self._seconds, 3) for before, later in zip(self.began, self.began[1:], strict=False)
        ]


@virtual_time
async def test_a_task_that_failed_runs_again_after_growing_pauses() -> None:
    tasks, work = Tasks(), _Breaking(failures=8)
    tasks.keep(work, "events")
    await until(lambda: len(work.began) == 9, 600)
    assert work.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    await tasks.cancel()


@virtual_time
async def test_a_failure_is_in_the_record_until_the_task_ran_for_two_minutes() -> None:
    tasks, work = Tasks(), _Breaking(failures=2)
    further = tasks.beside()
    further.keep(work, "events")
    await until(lambda: tasks.failing)
    assert tasks.failing == {"events": "failed with TypeError (1 in a row), started again after 1 s"}
    await asyncio.sleep(1.5)
    assert tasks.failing == {"events": "failed with TypeError (2 in a row), started again after 2 s"}
    await until(lambda: len(work.began) == 3, 10)
    assert "events" in tasks.failing
    await asyncio.sleep(121)
    assert tasks.failing == {}
    await further.cancel()


@virtual_time
async def test_a_task_that_ran_for_two_minutes_starts_again_soon() -> None:
    tasks, work = Tasks(), _Breaking(failures=3, seconds=130.0)
    tasks.keep(work, "events")
    await until(lambda: len(work.began) == 4, 600)
    assert work.pauses == [1.0, 1.0, 1.0]
    await tasks.cancel()


@virtual_time
async def test_each_failure_is_logged_and_counted() -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("bridge_task_failures_total", {"task": "counted"}) or 0.0

    tasks, work, before = Tasks(), _Breaking(failures=2), counted()
    with capture_logs() as logs:
        tasks.keep(work, "counted")
        await until(lambda: len(work.began) == 3, 10)
    failures: list[Any] = [(line["task"], line["error"], line["again_in"]) for line in logs]
    assert failures == [("counted", "TypeError", 1.0), ("counted", "TypeError", 2.0)]
    assert counted() == before + 2
    await tasks.cancel()


@virtual_time
async def test_a_task_that_returns_is_not_started_again() -> None:
    tasks, runs = Tasks(), 0

    async def once() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError

    tasks.keep(once, "once")
    assert await tasks.finish(60.0) == 0
    assert (runs, tasks.failing) == (2, {})


@virtual_time
async def test_a_cancelled_task_is_not_started_again_not_even_within_a_pause() -> None:
    tasks, work = Tasks(), _Breaking(failures=99)
    tasks.keep(work, "events")
    await until(lambda: len(work.began) == 3, 10)
    await tasks.cancel()
    await asyncio.sleep(300)
    assert len(work.began) == 3
