"""Shows a stored reply: part after part, in place of the turn's progress if there was some, again if Teams refuses.

What was shown is recorded before the turn is closed, so a life that takes over goes on where this one has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bridge import metrics
from bridge.core.errors import (
    DeliveryFailure,
    DeliveryRefused,
    DeliveryRejected,
    DeliveryUnknown,
    StreamStopped,
    Throttled,
)
from bridge.core.live_message import ENDED, LiveMessage
from bridge.core.outbound.answers_and_notes import note, plain, stopped
from bridge.core.ports.channel import Channel
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Activity, Outcome, Reply, Turn
from bridge.engine.run_control import RunControl
from bridge.engine.store_retry import with_retry

_log = structlog.get_logger()

_PLAIN_AFTER = 3
_UNDELIVERED_AFTER = 5
_DELIVERY_BACKOFF = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
_DELIVERY_DEADLINE = 24 * 3600.0
_SHRINK_SECONDS = 5.0
_UNKNOWN_PAUSES = (60.0, 300.0)


@dataclass(slots=True)
class _Tries:
    """Of one turn in this life: how many have failed, and when the first did."""

    failed: int = 0
    since: float = 0.0


class Delivery:
    """The way of replies to their people. `settle_seconds`: the lane's rest after a request was closed early.

    `closed` is told of each turn that has its outcome.
    """

    def __init__(
        self,
        *,
        store: TurnStore,
        channel: Channel,
        clock: Clock,
        settle_seconds: float,
        closed: Callable[[Turn], None],
    ) -> None:
        self._store = store
        self._channel = channel
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._closed = closed
        self._leaving = asyncio.Event()

    async def deliver(self, turn: Turn, reply: Reply, control: RunControl) -> None:
        """Show what is not yet shown, one part after the other, then close the turn."""
        outcome, ids, tries = reply.outcome, turn.delivered, _Tries()
        activities = list(reply.activities)
        live = reply.live
        if live is not None and live.shrinks_to and not ids:
            await self.shrink(turn, live)
            live = None
        while len(ids) < len(activities):
            if control.stopped and ids and outcome is not Outcome.STOPPED:
                # the rest is dropped; what was shown stays and says so
                outcome = Outcome.STOPPED
                activities[len(ids) :] = (stopped(turn.payload.reference, control.stopped_by),)
            try:
                ids += (await self._send(turn, activities[len(ids)], None if ids else live),)
            except DeliveryFailure as failure:
                if await self._undelivered(turn, failure, tries, activities, len(ids)):
                    outcome = Outcome.UNDELIVERED
                    break
                shown = ids
                if not await with_retry(self._store.record_delivered, turn.ticket, shown):
                    return  # dropped by an operator, or taken over, while it waited
                continue
            if len(ids) < len(activities) or control.must_settle:
                shown = ids
                if not await with_retry(self._store.record_delivered, turn.ticket, shown):
                    return
        await self.settle(control)
        await self._close(turn, outcome, ids, reply.error)

    async def settle(self, control: RunControl) -> None:
        """A run whose request was closed early may still be at work: nothing else is asked in its lane meanwhile."""
        if control.must_settle:
            await control.until_run_ended(self._settle_seconds)

    async def shrink(self, turn: Turn, live: LiveMessage) -> None:
        """What was shown of a run becomes one line; that it fails costs no answer."""
        with contextlib.suppress(DeliveryFailure, TimeoutError):
            async with asyncio.timeout(_SHRINK_SECONDS):
                await self._channel.replace(turn.payload.reference, live, note(live.shrinks_to or ENDED))

    async def _send(self, turn: Turn, activity: Activity, live: LiveMessage | None) -> str:
        to = turn.payload.reference
        try:
            if live is not None:
                try:
                    return await self._channel.replace(to, live, activity)
                except (StreamStopped, DeliveryRejected) as failure:  # the user has stopped or removed it
                    _log.info("replace_refused", turn=turn.name, detail=failure.detail)
            return await self._channel.send(to, activity)
        except DeliveryFailure:
            raise
        except Exception as error:  # a fault of ours: tried again, in plain form, and not for ever
            _log.error("delivery_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            raise DeliveryRejected(type(error).__name__) from error

    async def _undelivered(
        self, turn: Turn, failure: DeliveryFailure, tries: _Tries, activities: list[Activity], at: int
    ) -> bool:
        """What it means that part `at` was not sent: True when the turn is given up. Waits before the next try."""
        tries.failed += 1
        tries.since = tries.since or self._clock.now()
        metrics.DELIVERY_FAILURES.labels(failure.label).inc()
        _log.warning("delivery_failed", turn=turn.name, error=failure.label, detail=failure.detail)
        if isinstance(failure, DeliveryRefused):
            return True
        if isinstance(failure, DeliveryRejected) and at and not activities[at].get("text"):
            del activities[at]  # a picture or a file that Teams does not take costs nobody the answer
            return False
        pause = _DELIVERY_BACKOFF[min(tries.failed, len(_DELIVERY_BACKOFF)) - 1]
        if isinstance(failure, DeliveryRejected | DeliveryUnknown):
            attempts = await with_retry(self._store.count_attempt, turn.ticket)
            if isinstance(failure, DeliveryUnknown):
                # the channel has sent it twice already: rarely again, since each time it may be shown once more
                if attempts == 0 or attempts > len(_UNKNOWN_PAUSES):
                    return True
                metrics.MAYBE_DOUBLED.inc()
                pause = _UNKNOWN_PAUSES[attempts - 1]
            elif attempts == 0 or attempts >= _UNDELIVERED_AFTER:
                return True
            elif attempts >= _PLAIN_AFTER:
                activities[:] = [plain(activity) for activity in activities]
        elif self._clock.now() - tries.since > _DELIVERY_DEADLINE:
            return True
        elif isinstance(failure, Throttled) and failure.retry_after is not None:
            pause = max(pause, min(failure.retry_after, _DELIVERY_BACKOFF[-1]))
        await self._pause(pause)
        return False

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the process is about to end: what is still to be shown is on disk for whoever runs next."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaving.wait()
        if self._leaving.is_set():
            raise asyncio.CancelledError

    def begin_shutdown(self) -> None:
        """The process is about to end: wait for nothing that the next one can do as well."""
        self._leaving.set()

    async def _close(self, turn: Turn, outcome: Outcome, ids: tuple[str, ...], error: str) -> None:
        at = self._clock.now()
        if await with_retry(self._store.close_turn, turn.ticket, outcome, ids, at, error):
            self._closed(turn)
            metrics.TURNS.labels(turn.kind.value, outcome.value, error).inc()
            metrics.TURN_SECONDS.observe(at - turn.accepted)
            _log.info(
                "turn_closed",
                turn=turn.name,
                kind=turn.kind.value,
                outcome=outcome.value,
                error=error,
                seconds=round(at - turn.accepted, 3),
            )
