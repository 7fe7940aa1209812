"""The handle by which a running turn is stopped from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bridge.core.errors import RunTimedOut
from bridge.core.ports.agent import END_WITHIN


class StopRequested(Exception):
    """The run was ended because its turn is stopped or withdrawn."""


class RunControl:
    """One turn's handle. Stopping ends the run's time limit at once, which closes its request like a time-out does.

    `settles`: the request was closed early, so the gateway may still be at work for a moment. `asked`: a question was
    on its way to the gateway; `reached`: it has answered, be it with a failure. `hears`: the run's events come, so its
    end will, too; `over`: it has come.
    """

    __slots__ = (
        "_deadline",
        "asked",
        "hears_events",
        "must_settle",
        "reached",
        "run_ended",
        "stopped",
        "stopped_by",
        "withdrawn",
    )

    def __init__(self) -> None:
        self.stopped = False
        self.withdrawn = False
        self.stopped_by = ""
        self.must_settle = False
        self.asked = False
        self.reached = False
        self.hears_events = False
        self.run_ended = asyncio.Event()
        self._deadline: asyncio.Timeout | None = None

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """Let the run in this block take `seconds` at most, and end it at once when the turn is stopped.

        A turn that was stopped before ends at its first await. Raises StopRequested, RunTimedOut.
        """
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._deadline = deadline
                if self.stopped:
                    deadline.reschedule(0)
                try:
                    yield
                finally:
                    # a stop from now on changes only what is still to be shown
                    self._deadline = None
        except TimeoutError:
            if not deadline.expired():
                raise
            self.must_settle = True
            raise StopRequested if self.stopped else RunTimedOut from None

    async def until_run_ended(self, seconds: float) -> None:
        """Wait until the run has ended; `seconds` where nobody tells, which is as long as most tools take to notice."""
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN if self.hears_events else seconds):
                await self.run_ended.wait()

    def stop(self, by: str, *, withdrawn: bool = False) -> None:
        """Stop the turn; `by` is the name of the person, for the note in groups. `withdrawn`: there will be no note."""
        self.stopped = True
        self.withdrawn = withdrawn
        self.stopped_by = by
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(0)
