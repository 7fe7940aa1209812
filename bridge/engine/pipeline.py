"""One turn from claim to outcome.

Works from the row alone: a live turn, one found after a restart and a command all leave by the same door. The reply is
stored before it is shown, and what was shown is recorded before the turn is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import assert_never

import structlog

from bridge import metrics
from bridge.core import cards
from bridge.core.errors import (
    DeliveryFailure,
    DeliveryRefused,
    DeliveryRejected,
    DeliveryUnknown,
    GuestDenied,
    InternalError,
    Interrupted,
    MembershipUnknown,
    RunNotStarted,
    RunTimedOut,
    SessionNotDeleted,
    Throttled,
    TurnFailure,
)
from bridge.core.notes import note, plain
from bridge.core.pacing import progress_interval
from bridge.core.ports import Agent, Channel, Clock, Question, Roster, TurnStore
from bridge.core.texts import say
from bridge.core.turn import Activity, Kind, Outcome, Reply, Scope, State, Turn
from bridge.engine.control import Control
from bridge.engine.files import NO_FILES, Files
from bridge.engine.insist import insist
from bridge.engine.typing import Typing
from bridge.tasks import Tasks

_log = structlog.get_logger()

# After a request was closed early the gateway may still finish a tool and keep the turn (goclaw-gateway.md section 4),
# so the next question waits a moment before it is asked.
SETTLE_SECONDS = 3.0
# Teams shows typing for about 3 s; a renewal a little later flickers, but costs a quarter of the hour's send budget.
_TYPING_SECONDS = 4.0
_PLAIN_AFTER = 3
_UNDELIVERED_AFTER = 5
_DELIVERY_BACKOFF = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
_DELIVERY_DEADLINE = 24 * 3600.0
_UNKNOWN_PAUSES = (60.0, 300.0)


class Pipeline:
    """Runs claimed turns. `whole_turn` is the longest time for a run, in seconds.

    `roster` is None where guests may ask. `elsewhere`: turns that run in other processes for the same tenant.
    """

    def __init__(
        self,
        *,
        store: TurnStore,
        agent: Agent,
        channel: Channel,
        clock: Clock,
        tasks: Tasks,
        whole_turn: float,
        roster: Roster | None = None,
        files: Files = NO_FILES,
        rerun: bool = False,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._store = store
        self._agent = agent
        self._channel = channel
        self._clock = clock
        self._tasks = tasks
        self._whole_turn = whole_turn
        self._roster = roster
        self._files = files
        self._rerun = rerun
        self._settle_seconds = settle_seconds
        self._running = 0
        self.elsewhere = 0
        self._leaving = asyncio.Event()

    async def run(self, turn: Turn, control: Control) -> RunNotStarted | None:
        """Take a turn this process has just claimed to its outcome; or back into the queue, and why: it did not run."""
        try:
            reply = await self._work(turn, control)
        except RunNotStarted as failure:
            _log.warning("turn_released", turn=turn.name, error=failure.label, detail=failure.detail)
            if await insist(lambda: self._store.release(turn.ticket)):
                return failure
            reply = self._failed(turn, failure)  # stopped meanwhile, or replaced: what is stored next finds out which
        await self._finish(turn, reply, control)
        return None

    async def refuse(self, turn: Turn, control: Control, failure: TurnFailure) -> None:
        """End a turn without asking the agent, with the failure's sentence."""
        await self._finish(turn, self._failed(turn, failure), control)

    async def resume(self, turn: Turn, control: Control) -> bool:
        """Take a turn that another life had claimed to its outcome; True: it is back in the queue instead."""
        if turn.stop:
            control.stop(turn.stopped_by)
        if turn.state is State.ANSWERED and turn.reply is not None:
            # Nobody knows whether the part after the recorded ones was shown: the window of guarantee 6.
            metrics.MAYBE_DOUBLED.inc()
            await self._deliver(turn, turn.reply, control)
        elif turn.stop:
            await self._finish(turn, self._stopped(turn, control), control)
        elif turn.kind is Kind.ASK and not self._rerun:
            card = cards.interrupted(turn.n, turn.name, turn.payload.reference.locale)
            await self._finish(turn, Reply(Outcome.INTERRUPTED, (card,), Interrupted.label), control)
        elif turn.kind in (Kind.ASK, Kind.NEW):
            # deleting a session twice changes nothing; asking again is the operator's word
            return await insist(lambda: self._store.release(turn.ticket))
        else:
            await self.run(turn, control)  # nobody was asked, and nothing was shown before it was stored
        return False

    async def _work(self, turn: Turn, control: Control) -> Reply:
        """The turn's reply. Raises RunNotStarted."""
        try:
            match turn.kind:
                case Kind.ASK:
                    return await self._ask(turn, control)
                case Kind.NEW:
                    await self._admit(turn)
                    await self._agent.forget(turn.payload.agent, turn.payload.user)
                    return self._says(turn, Outcome.DELIVERED, "new_done")
                case Kind.NOTE | Kind.NOTIFY | Kind.WELCOME:
                    return Reply(Outcome.DELIVERED, turn.payload.show)
                case Kind.FILE:
                    return await self._files.hand_over(turn)
                case _:
                    assert_never(turn.kind)
        except RunNotStarted:
            raise
        except TurnFailure as failure:
            return self._failed(turn, failure)
        except Exception as error:  # noqa: BLE001  a fault of ours must still end in a visible outcome
            _log.error("turn_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            return self._failed(turn, InternalError())

    def _failed(self, turn: Turn, failure: TurnFailure) -> Reply:
        _log.warning("turn_failed", turn=turn.name, error=failure.label, detail=failure.detail)
        # what the other sentences say of a question does not fit `/new`; that the old session may be there does
        about_session = turn.kind is Kind.NEW and not isinstance(failure, GuestDenied | MembershipUnknown)
        key = SessionNotDeleted.label if about_session else failure.label
        words = f"{say(key, turn.payload.reference.locale)}\n\n*{turn.name}*"
        return Reply(Outcome.FAILED, (note(words),), failure.label)

    async def _admit(self, turn: Turn) -> None:
        """Guests are told by the roster alone, so this waits for it; in personal chats there are none."""
        reference = turn.payload.reference
        if self._roster is None or reference.scope is Scope.PERSONAL:
            return
        try:
            guest = await self._roster.is_guest(reference, turn.payload.person)
        except DeliveryFailure as failure:
            raise MembershipUnknown(failure.label) from None
        if guest:
            raise GuestDenied

    async def _ask(self, turn: Turn, control: Control) -> Reply:
        self._running += 1
        try:
            async with self._typing(turn), asyncio.timeout(self._whole_turn) as deadline:
                with control.armed(deadline):
                    await self._admit(turn)
                    payload = await self._files.prepare(turn)
                    if isinstance(payload, Reply):
                        return payload
                    said = await self._agent.ask(Question(payload.agent, payload.user, payload.text))
        except TimeoutError:
            control.settles = True
            if control.stopped:
                return self._stopped(turn, control)
            raise RunTimedOut from None
        finally:
            self._running -= 1
        if said.silent:
            personal = payload.reference.scope is Scope.PERSONAL
            return self._says(turn, Outcome.SILENT, "silent") if personal else Reply(Outcome.SILENT, ())
        return Reply(Outcome.DELIVERED, await self._files.publish(turn, said))

    async def _finish(self, turn: Turn, reply: Reply, control: Control) -> None:
        """Store the reply, then show it. A stop that came first wins over the answer, never over itself."""
        stopped = reply.outcome is Outcome.STOPPED
        stored = await insist(lambda: self._store.answer(turn.ticket, reply, even_if_stopped=stopped))
        if not stored:
            row = await insist(lambda: self._store.find(turn.n))
            if row is None or row.ticket != turn.ticket or not row.stop:
                _log.warning("turn_replaced", turn=turn.name)
                return
            control.by = control.by or row.stopped_by
            reply = self._stopped(turn, control)
            if not await insist(lambda: self._store.answer(turn.ticket, reply, even_if_stopped=True)):
                return
        await self._deliver(turn, reply, control)

    async def _deliver(self, turn: Turn, reply: Reply, control: Control) -> None:
        """Show what is not yet shown, one part after the other, then close the turn."""
        outcome, ids, failures = reply.outcome, turn.shown, 0
        activities = list(reply.activities)
        while len(ids) < len(activities):
            if control.stopped and ids and outcome is not Outcome.STOPPED:
                # the rest is dropped; what was shown stays and says so
                outcome = Outcome.STOPPED
                activities[len(ids) :] = self._stopped(turn, control).activities
            try:
                ids += (await self._send(turn, activities[len(ids)]),)
            except DeliveryFailure as failure:
                failures += 1
                ended = await self._undelivered(turn, failure, failures, activities)
                if ended:
                    outcome = Outcome.UNDELIVERED
                    break
                shown = ids
                if not await insist(lambda: self._store.shown(turn.ticket, shown)):
                    return  # dropped by an operator, or taken over, while it waited
                continue
            if len(ids) < len(activities) or control.settles:
                shown = ids
                if not await insist(lambda: self._store.shown(turn.ticket, shown)):
                    return
        if control.settles:
            await asyncio.sleep(self._settle_seconds)
        await self._close(turn, outcome, ids, reply.error)

    async def _send(self, turn: Turn, activity: Activity) -> str:
        try:
            return await self._channel.send(turn.payload.reference, activity)
        except DeliveryFailure:
            raise
        except Exception as error:  # a fault of ours: tried again, in plain form, and not for ever
            _log.error("delivery_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            raise DeliveryRejected(type(error).__name__) from error

    async def _undelivered(
        self, turn: Turn, failure: DeliveryFailure, failures: int, activities: list[Activity]
    ) -> bool:
        """What a failed send means: True when the turn is given up. Waits before the next try."""
        metrics.DELIVERY_FAILURES.labels(failure.label).inc()
        _log.warning("delivery_failed", turn=turn.name, error=failure.label, detail=failure.detail)
        if isinstance(failure, DeliveryRefused):
            return True
        pause = _DELIVERY_BACKOFF[min(failures, len(_DELIVERY_BACKOFF)) - 1]
        if isinstance(failure, DeliveryRejected | DeliveryUnknown):
            attempts = await insist(lambda: self._store.attempted(turn.ticket))
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
        elif self._clock.now() - turn.accepted > _DELIVERY_DEADLINE:
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

    def leave(self) -> None:
        """The process is about to end: wait for nothing that the next one can do as well."""
        self._leaving.set()

    async def _close(self, turn: Turn, outcome: Outcome, ids: tuple[str, ...], error: str) -> None:
        at = self._clock.now()
        if await insist(lambda: self._store.settle(turn.ticket, outcome, ids, at, error)):
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

    def _says(self, turn: Turn, outcome: Outcome, key: str, error: str = "") -> Reply:
        return Reply(outcome, (note(say(key, turn.payload.reference.locale)),), error)

    def _stopped(self, turn: Turn, control: Control) -> Reply:
        locale = turn.payload.reference.locale
        if control.by and turn.payload.reference.scope is not Scope.PERSONAL:
            words = say("stopped_by", locale, name=control.by)
        else:
            words = say("stopped", locale)
        return Reply(Outcome.STOPPED, (note(words),))

    def _typing(self, turn: Turn) -> AbstractAsyncContextManager[None]:
        if turn.payload.reference.scope is Scope.CHANNEL:
            return nullcontext()  # Teams shows none in channels (design section 8)
        return Typing(self._channel, turn.payload.reference, self._tasks, self._typing_interval)

    def _typing_interval(self) -> float:
        return progress_interval(self._running + self.elsewhere, _TYPING_SECONDS)
