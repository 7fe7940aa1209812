"""Writes that must happen: a finished answer is held in memory until the store takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from bridge.core.errors import StoreUnavailable

_log = structlog.get_logger()
_T = TypeVar("_T")


def _report(state: RetryCallState) -> None:
    # the first failure and then every tenth: a disk that stays full must not fill the log as well
    if state.attempt_number % 10 == 1 and state.outcome is not None:
        _log.error("store_unavailable", attempt=state.attempt_number, error=str(state.outcome.exception()))


_UNTIL_WRITTEN = AsyncRetrying(
    retry=retry_if_exception_type(StoreUnavailable),
    wait=wait_exponential_jitter(multiplier=0.1, max=5.0),
    after=_report,
    sleep=asyncio.sleep,
    reraise=True,
)


async def with_retry(write: Callable[[], Awaitable[_T]]) -> _T:
    """The result of `write`, repeated while the store is unavailable. Ends early only by cancellation."""
    try:
        return await write()  # the ordinary case pays nothing for the retry machinery
    except StoreUnavailable:
        return await _UNTIL_WRITTEN.copy()(_awaited, write)


async def _awaited(write: Callable[[], Awaitable[_T]]) -> _T:
    # tenacity awaits only what is a coroutine function by its looks, which a lambda is not
    return await write()
