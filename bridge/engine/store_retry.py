"""Time limit and retries of store calls: a finished answer is held in memory until the store has taken the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from bridge.core.errors import StoreUnavailable

_log = structlog.get_logger()

ANSWER_SECONDS = 8.0
"""Longest wait of an activity and of a heartbeat for the store: Teams waits 15 s for its answer
(docs/reference/teams.md, "Time to answer, and repeats"), and a store that is gone must be noticed within 10 s."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _report(state: RetryCallState) -> None:
    # the first failure and then every tenth: a full disk must not fill the log as well
    if state.attempt_number % 10 == 1 and state.outcome is not None:
        _log.error("store_unavailable", attempt=state.attempt_number, error=str(state.outcome.exception()))


_WHILE_UNAVAILABLE = AsyncRetrying(
    retry=retry_if_exception_type(StoreUnavailable),
    wait=wait_exponential_jitter(multiplier=0.1, max=5.0),
    after=_report,
    sleep=asyncio.sleep,
    reraise=True,
)


async def in_time(call: Awaitable[_T]) -> _T:
    """The call's result within ANSWER_SECONDS; the store may carry the call out all the same. Raises: StoreUnavailable.

    A disk that hangs (a network drive whose server is gone) gives no error, and would hold the caller for ever.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await call
    except TimeoutError:
        raise StoreUnavailable("the store does not answer") from None


async def with_retry(call: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call the store, and again while the store is unavailable; give the call's result.

    Ends early by cancellation only. Every try has the same arguments.
    """
    try:
        return await call(*args, **kwargs)  # the ordinary case runs without tenacity
    except StoreUnavailable:
        async for attempt in _WHILE_UNAVAILABLE.copy():
            with attempt:
                return await call(*args, **kwargs)
        raise AssertionError("unreachable: the retries end by success or cancellation") from None
