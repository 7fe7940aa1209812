"""Delivery: sends a stored reply to Teams part after part, retries by the kind of failure, then closes the turn.

The first part replaces the turn's live message, if the turn has one. Ids of delivered parts are recorded before the
close, so a replica that takes the turn over continues after the last recorded part.
docs/architecture.md, "Windows of doubt"
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

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
from bridge.core.outbound.smaller_parts import smaller, within
from bridge.core.ports.channel import Channel
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Activity, Outcome, Reply, Turn
from bridge.engine.part_sizes import PartSizes
from bridge.engine.run_control import RunControl
from bridge.engine.store_retry import with_retry

_log = structlog.get_logger()

# Rejected or unknown sends of one turn, over all replicas, after which parts go as plain text, or the turn is given up.
_PLAIN_AFTER = 3
_UNDELIVERED_AFTER = 5
_DELIVERY_BACKOFF = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
_DELIVERY_DEADLINE = 24 * 3600.0
_SHRINK_SECONDS = 5.0
_UNKNOWN_PAUSES = (60.0, 300.0)


@dataclass(slots=True)
class _Tries:
    """The failed sends of one turn in this process; `since`: epoch seconds of the first failure."""

    failed: int = 0
    since: float = 0.0


class Delivery:
    """Delivers replies and closes their turns. `settle_seconds`: how long a lane rests after a run was cut short.

    `on_closed` is called with each turn that was closed.
    """

    def __init__(
        self,
        *,
        store: TurnStore,
        channel: Channel,
        clock: Clock,
        settle_seconds: float,
        on_closed: Callable[[Turn], None],
    ) -> None:
        self._store = store
        self._channel = channel
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._on_closed = on_closed
        self._sizes = PartSizes()
        self._shutting_down = asyncio.Event()

    async def deliver(self, turn: Turn, reply: Reply, control: RunControl) -> None:
        """Send the parts of the reply not delivered yet, one after the other, then close the turn."""
        outcome, delivered, tries = reply.outcome, turn.delivered, _Tries()
        activities = list(reply.activities)
        if not await self._fit(turn, reply, activities):
            return
        live = reply.live
        if live is not None and live.shrinks_to and not delivered:
            await self.shrink(turn, live)
            live = None
        while len(delivered) < len(activities):
            if control.stopped and delivered and outcome is not Outcome.STOPPED:
                # the note of the stop takes the place of the parts still to be sent; delivered parts stay
                outcome = Outcome.STOPPED
                activities[len(delivered) :] = (stopped(turn.payload, control.stopped_by),)
            try:
                told = outcome is Outcome.STOPPED
                part = activities[len(delivered)]
                delivered += (await self._send(turn, part, None if delivered else live, needless=told),)
            except DeliveryFailure as failure:
                seen = replace(reply, outcome=outcome)
                outcome, retries = await self._after_failure(
                    turn, seen, failure, tries, activities=activities, part=len(delivered)
                )
                if not retries:
                    break
                if not await with_retry(self._store.record_delivered, turn.ticket, delivered):
                    return  # meanwhile an operator dropped the turn, or a replica took the turn over
                continue
            if (len(delivered) < len(activities) or control.must_settle) and not await with_retry(
                self._store.record_delivered, turn.ticket, delivered
            ):
                return
        await self.settle(control)
        await self._close(turn, outcome, delivered, reply.error)

    async def _fit(self, turn: Turn, reply: Reply, activities: list[Activity]) -> bool:
        """Cut `activities` to the size that Teams takes in this conversation; False: the ticket is void."""
        size = self._sizes.known(turn.payload.reference.conversation)
        parts = () if size is None else within(activities, len(turn.delivered), size)
        return len(parts) <= len(activities) or await self._keep(turn, reply, activities, parts)

    async def _cut(
        self, turn: Turn, reply: Reply, failure: DeliveryRejected, activities: list[Activity], part: int
    ) -> Outcome | None:
        """Put activity number `part`, which Teams refused, in a smaller form; returns the turn's outcome now.

        None: the activity has no smaller form.
        """
        to = turn.payload.reference
        cut = smaller(activities, part, too_large=failure.too_large, locale=to.locale)
        if cut is None:
            return None
        if cut.size and failure.too_large:
            self._sizes.remember(to.conversation, cut.size)
        _log.warning("part_cut", turn=turn.name, size=cut.size, given_up=cut.given_up)
        outcome = Outcome.UNDELIVERED if cut.given_up else reply.outcome
        await self._keep(turn, replace(reply, outcome=outcome), activities, cut.activities)
        return outcome

    async def _keep(
        self, turn: Turn, reply: Reply, activities: list[Activity], smaller_parts: tuple[Activity, ...]
    ) -> bool:
        """Put the smaller parts on disk, before the first of them leaves; False: the ticket is void."""
        activities[:] = smaller_parts
        return await with_retry(self._store.record_smaller_parts, turn.ticket, replace(reply, activities=smaller_parts))

    async def settle(self, control: RunControl) -> None:
        """Wait for the end of a run whose request was closed early: until then the lane's next turn must wait."""
        if control.must_settle:
            await control.until_run_ended(self._settle_seconds)

    async def shrink(self, turn: Turn, live: LiveMessage) -> None:
        """Replace the live message by one line; a failure is ignored, since the answer does not depend on the line."""
        with contextlib.suppress(DeliveryFailure, TimeoutError):
            async with asyncio.timeout(_SHRINK_SECONDS):
                await self._channel.replace(turn.payload.reference, live, note(live.shrinks_to or ENDED))

    def begin_shutdown(self) -> None:
        """End the waits before retries: the process is about to end, and the next process delivers the rest."""
        self._shutting_down.set()

    async def _send(self, turn: Turn, activity: Activity, live: LiveMessage | None, *, needless: bool) -> str:
        """Send a part, give its id. `needless`: not as a new message, if the person stopped the live message.

        A note of a stop would then stand below newer messages. `/stop` has its own sign, and Teams shows the client's.
        """
        to = turn.payload.reference
        try:
            if live is not None:
                try:
                    return await self._channel.replace(to, live, activity)
                except (StreamStopped, DeliveryRejected) as failure:  # the asker has stopped or deleted the message
                    if isinstance(failure, DeliveryRejected) and failure.too_large:
                        raise
                    _log.info("replace_refused", turn=turn.name, detail=failure.detail)
                    if needless and isinstance(failure, StreamStopped):
                        return live.id
            return await self._channel.send(to, activity)
        except DeliveryFailure:
            raise
        except Exception as error:  # a fault of the bridge: retried as a rejected part, later as plain text
            _log.error("delivery_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            raise DeliveryRejected(type(error).__name__) from error

    async def _after_failure(
        self,
        turn: Turn,
        reply: Reply,
        failure: DeliveryFailure,
        tries: _Tries,
        *,
        activities: list[Activity],
        part: int,
    ) -> tuple[Outcome, bool]:
        """After activity number `part` was refused: the turn's outcome from now on, and whether to send again.

        Waits, or changes `activities`: a part refused for its size or content becomes smaller, parts rejected again and
        again become plain text.
        """
        metrics.DELIVERY_FAILURES.labels(failure.label).inc()
        _log.warning("delivery_failed", turn=turn.name, error=failure.label, detail=failure.detail)
        if (
            isinstance(failure, DeliveryRejected)
            and _needs_smaller(failure, activities[part], part)
            and (outcome := await self._cut(turn, reply, failure, activities, part))
        ):
            return outcome, True
        tries.failed += 1
        tries.since = tries.since or self._clock.now()
        if await self._wait_for_retry(turn, failure, tries, activities):
            return reply.outcome, True
        return Outcome.UNDELIVERED, False

    async def _wait_for_retry(
        self, turn: Turn, failure: DeliveryFailure, tries: _Tries, activities: list[Activity]
    ) -> bool:
        """After a failed send: wait, then True to retry; False gives the turn up."""
        pause: float | None
        match failure:
            case DeliveryRefused():
                return False
            case DeliveryRejected():
                pause = await self._pause_after_rejection(turn, tries, activities)
            case DeliveryUnknown():
                pause = await self._pause_after_unknown(turn)
            case _:
                pause = self._pause_after_delay(failure, tries)
        if pause is None:
            return False
        await self._pause(pause)
        return True

    async def _pause_after_rejection(self, turn: Turn, tries: _Tries, activities: list[Activity]) -> float | None:
        """Teams does not take this form of the part. Seconds before the retry; None: too many rejections."""
        attempts = await with_retry(self._store.count_attempt, turn.ticket)
        if attempts == 0 or attempts >= _UNDELIVERED_AFTER:
            return None
        if attempts >= _PLAIN_AFTER:
            activities[:] = [plain(activity) for activity in activities]
        return _backoff(tries)

    async def _pause_after_unknown(self, turn: Turn) -> float | None:
        """The part may be visible. Seconds before the retry, which may show the part twice; None: too many retries.

        The channel has sent the part twice already, so retries are few and late.
        """
        attempts = await with_retry(self._store.count_attempt, turn.ticket)
        if attempts == 0 or attempts > len(_UNKNOWN_PAUSES):
            return None
        metrics.MAYBE_DOUBLED.inc()
        return _UNKNOWN_PAUSES[attempts - 1]

    def _pause_after_delay(self, failure: DeliveryFailure, tries: _Tries) -> float | None:
        """Teams takes no part now. Seconds before the retry; None: past the deadline."""
        if self._clock.now() - tries.since > _DELIVERY_DEADLINE:
            return None
        if isinstance(failure, Throttled) and failure.retry_after is not None:
            return max(_backoff(tries), min(failure.retry_after, _DELIVERY_BACKOFF[-1]))
        return _backoff(tries)

    async def _pause(self, seconds: float) -> None:
        """Wait before a retry; at shutdown the parts still to be sent stay on disk. Raises: CancelledError."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._shutting_down.wait()
        if self._shutting_down.is_set():
            raise asyncio.CancelledError

    async def _close(self, turn: Turn, outcome: Outcome, delivered: tuple[str, ...], error: str) -> None:
        at = self._clock.now()
        if await with_retry(self._store.close_turn, turn.ticket, outcome, delivered, at, error):
            self._on_closed(turn)
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


def _needs_smaller(failure: DeliveryRejected, activity: Activity, part: int) -> bool:
    """Tell whether the refused activity number `part` is to be sent in a smaller form, at once."""
    return failure.too_large or failure.content or (part > 0 and not activity.get("text"))


def _backoff(tries: _Tries) -> float:
    return _DELIVERY_BACKOFF[min(tries.failed, len(_DELIVERY_BACKOFF)) - 1]
