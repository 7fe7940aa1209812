"""The typing indicator of one turn: shown as the run begins, renewed during the run, ended before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.core.errors import DeliveryFailure
from bridge.core.ports.channel import Channel
from bridge.core.turn import Reference
from bridge.tasks import Tasks

# Seconds that an answer waits for an indicator request under way, so no indicator shows below the answer.
_LONGEST_WAIT = 2.0


class TypingIndicator:
    """An asynchronous context around the run. `interval` gives the seconds to the next renewal."""

    def __init__(self, channel: Channel, to: Reference, tasks: Tasks, interval: Callable[[], float]) -> None:
        self._channel = channel
        self._to = to
        self._tasks = tasks
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    async def __aenter__(self) -> None:
        self._start()

    async def __aexit__(self, *_: object) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and not self._task.done():
            # waited for, not awaited: an indicator's error must not cost the answer
            late = (await asyncio.wait({self._task}, timeout=_LONGEST_WAIT))[1]
            for task in late:
                task.cancel()

    def _start(self) -> None:
        self._task = self._tasks.start(self._show(), "typing")

    async def _show(self) -> None:
        try:
            await self._channel.typing(self._to)
        except DeliveryFailure as failure:
            if not failure.retryable:
                return  # ignored, since the answer does not depend on the indicator; no renewal
        if not self._ended:
            self._timer = asyncio.get_running_loop().call_later(self._interval(), self._start)
