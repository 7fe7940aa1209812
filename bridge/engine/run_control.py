"""The handle by which a running turn is stopped from outside its task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bridge.core.errors import RunTimedOut
from bridge.core.ports.agent import END_WITHIN


class StopRequested(Exception):
    """The run was ended because the turn was stopped or withdrawn."""


class RunControl:
    """The stop handle and run facts of one turn. A stop expires the run's time limit, which closes the request.

    `must_settle`: the request was closed early, so the run may go on for a moment. `gateway_called`: a request left
    for the gateway; `gateway_responded`: with an answer or a failure. `receives_events`: events of the run arrive, so
    the run's end will be an event, too; `run_ended` is set by that event. `stopped_in_client`: by *Stop* beside the
    stream, which Teams shows there.
    """

    __slots__ = (
        "_deadline",
        "gateway_called",
        "gateway_responded",
        "must_settle",
        "receives_events",
        "run_ended",
        "stopped",
        "stopped_by",
        "stopped_in_client",
        "withdrawn",
    )

    def __init__(self) -> None:
        self.stopped = False
        self.withdrawn = False
        self.stopped_by = ""
        self.stopped_in_client = False
        self.must_settle = False
        self.gateway_called = False
        self.gateway_responded = False
        self.receives_events = False
        self.run_ended = asyncio.Event()
        self._deadline: asyncio.Timeout | None = None

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """Limit the run in this block to `seconds`, and end the run at once when the turn is stopped.

        A turn stopped earlier ends at the block's first await. Raises: StopRequested, RunTimedOut.
        """
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._deadline = deadline
                if self.stopped:
                    deadline.reschedule(0)
                try:
                    yield
                finally:
                    # a stop after the run changes only the parts still to be delivered
                    self._deadline = None
        except TimeoutError:
            if not deadline.expired():
                raise
            self.must_settle = True
            raise StopRequested if self.stopped else RunTimedOut from None

    async def until_run_ended(self, seconds: float) -> None:
        """Wait for the run's end, at most END_WITHIN seconds; `seconds` if no events arrive to report the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN if self.receives_events else seconds):
                await self.run_ended.wait()

    def stop(self, by: str, *, withdrawn: bool = False) -> None:
        """Stop the turn. `by`: the person's name for the note in groups. `withdrawn`: the turn ends without a note."""
        self.stopped = True
        self.withdrawn = withdrawn
        self.stopped_by = by
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(0)
