"""One turn from claim to outcome.

Works from the row alone: a live turn, one found after a restart and a command all leave by the same door. The reply is
stored before it is shown, and what was shown is recorded before the turn is closed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import assert_never

import structlog

from bridge import metrics
from bridge.core.errors import (
    AnswerEmpty,
    DeliveryFailure,
    GatewayMergesUsers,
    GuestDenied,
    InternalError,
    Interrupted,
    MembershipUnknown,
    QuestionRejected,
    QuestionTooLong,
    RunNotStarted,
    RunTimedOut,
    StoreUnavailable,
    TurnFailure,
)
from bridge.core.live_message import live_message
from bridge.core.outbound import cards
from bridge.core.outbound.answers_and_notes import answer, note, stopped
from bridge.core.outbound.quote_and_mention import continued, mentioning, quoting
from bridge.core.ports.agent import Agent, Answer, Question
from bridge.core.ports.channel import Channel, Roster
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.texts import say
from bridge.core.turn import Kind, Outcome, Payload, Reply, Scope, State, Turn
from bridge.engine.delivery import Delivery
from bridge.engine.files_in import FilesIn
from bridge.engine.files_out import FilesOut
from bridge.engine.progress import Progress, Switches, note_below_progress
from bridge.engine.run_control import RunControl, StopRequested
from bridge.engine.store_retry import with_retry
from bridge.engine.waiting import WaitingReactions
from bridge.tasks import Tasks

_log = structlog.get_logger()

# After a request was closed early the gateway may still finish a tool and keep the turn (docs/reference/goclaw.md, "Sessions"),
# so the next question waits: for the run's end where the agent tells it, else so long.
SETTLE_SECONDS = 3.0
_RUN_TO_ITS_END = (Outcome.DELIVERED, Outcome.SILENT)
_ALL_ON = Switches()
# What the gateway's edge refuses by itself says nothing about the gateway.
_BEFORE_ANY_REQUEST = (QuestionTooLong, QuestionRejected, GatewayMergesUsers)
_RENDERED_AT_ONCE = 8_000


class Pipeline:
    """Runs claimed turns. `whole_turn` is the longest time for a run, in seconds. `feedback`: answers have buttons.

    `roster` is None where guests may ask.
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
        files_in: FilesIn | None = None,
        files_out: FilesOut | None = None,
        rerun: bool = False,
        agent_cards: bool = False,
        feedback: bool = True,
        settle_seconds: float = SETTLE_SECONDS,
        switches: Switches = _ALL_ON,
    ) -> None:
        self._store = store
        self._agent = agent
        self._channel = channel
        self._clock = clock
        self._whole_turn = whole_turn
        self._roster = roster
        self._files_in = files_in
        self._files_out = files_out
        self._rerun = rerun
        self._feedback = feedback
        self._agent_cards = agent_cards
        self.reactions = WaitingReactions(channel, tasks, wanted=switches.reactions)
        self._delivery = Delivery(
            store=store,
            channel=channel,
            clock=clock,
            settle_seconds=settle_seconds,
            on_closed=self.reactions.turn_ended,
        )
        self.progress = Progress(channel=channel, store=store, tasks=tasks, switches=switches)

    async def run(self, turn: Turn, control: RunControl) -> RunNotStarted | None:
        """Take a turn this process has just claimed to its outcome; or back into the queue, and why: it did not run."""
        try:
            reply = await self._work(turn, control)
        except RunNotStarted as failure:
            _log.warning("turn_released", turn=turn.name, error=failure.label, detail=failure.detail)
            if await with_retry(self._store.release, turn.ticket):
                return failure
            reply = self._failed(turn, failure)  # stopped meanwhile, or replaced: what is stored next finds out which
        await self._finish(turn, reply, control)
        return None

    async def refuse(self, turn: Turn, control: RunControl, failure: TurnFailure) -> None:
        """End a turn without asking the agent, with the failure's sentence."""
        await self._finish(
            turn, note_below_progress(self._failed(turn, failure), live_message(turn.live), turn.locale), control
        )

    async def clean_up(self, turn: Turn) -> None:
        """A turn was closed without being asked: its mark goes, and what an earlier try of it showed."""
        self.reactions.turn_ended(turn)
        if (left := live_message(turn.live)) is not None:
            await self._delivery.shrink(turn, left)

    async def resume(self, turn: Turn, control: RunControl) -> bool:
        """Take a turn that another life had claimed to its outcome; True: it is back in the queue instead."""
        if turn.stop:
            control.stop(turn.stopped_by, withdrawn=turn.withdrawn)
        left, locale = live_message(turn.live), turn.locale
        # the other life's end has closed its request, and nobody hears of the run any more
        control.must_settle = turn.kind is Kind.ASK and (
            turn.reply is None or turn.reply.outcome not in _RUN_TO_ITS_END
        )
        if turn.state is State.ANSWERED and turn.reply is not None:
            if turn.delivered or turn.reply.live is None or turn.reply.live.shrinks_to:
                # Nobody knows whether the part after the recorded ones was shown: the window of guarantee 6.
                metrics.MAYBE_DOUBLED.inc()
            await self._delivery.deliver(turn, turn.reply, control)
        elif turn.stop:
            await self._finish(turn, note_below_progress(self._stopped(turn, control), left, locale), control)
        elif turn.kind is Kind.ASK and not self._rerun:
            card = cards.interrupted(turn.n, turn.name, locale)
            reply = Reply(Outcome.INTERRUPTED, (card,), Interrupted.label, left)
            await self._finish(turn, reply, control)
        elif turn.kind in (Kind.ASK, Kind.NEW):
            # deleting a session twice changes nothing; asking again is the operator's word
            await self._delivery.settle(control)
            return await with_retry(self._store.release, turn.ticket)
        else:
            await self.run(turn, control)  # nobody was asked, and nothing was shown before it was stored
        return False

    async def _work(self, turn: Turn, control: RunControl) -> Reply:
        """The turn's reply. Raises RunNotStarted."""
        try:
            match turn.kind:
                case Kind.ASK:
                    return await self._ask(turn, control)
                case Kind.NEW:
                    await self._admit(turn)
                    await self._agent.delete_session(turn.payload.agent, turn.payload.user)
                    control.gateway_responded = True
                    return self._says(turn, Outcome.DELIVERED, "new_done")
                case Kind.NOTE | Kind.NOTIFY | Kind.WELCOME:
                    return Reply(Outcome.DELIVERED, turn.payload.activities)
                case Kind.FILE:
                    done = Reply(Outcome.DELIVERED, ())
                    return done if self._files_out is None else await self._files_out.hand_over(turn)
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
        return Reply(Outcome.FAILED, (cards.failed(turn, failure),), failure.label)

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

    async def _ask(self, turn: Turn, control: RunControl) -> Reply:
        payload = turn.payload
        show = self.progress.of(turn, control)
        try:
            async with show, control.limit(self._whole_turn):
                await self._admit(turn)
                asked = payload if self._files_in is None else await self._files_in.prepare(turn)
                control.gateway_called = not isinstance(asked, Reply)
                said = asked if isinstance(asked, Reply) else await self._agent.ask(_question(asked), show.listener)
                control.gateway_responded = control.gateway_called
            if isinstance(said, Reply):  # nothing was left to ask
                return show.note_with_live_message(said)
            reply = show.with_live_message(await self._answer(turn, said))
            return reply if payload.reference.scope is Scope.PERSONAL else await self._addressed(turn, reply)
        except RunNotStarted:
            raise
        except StopRequested:
            return show.note_with_live_message(self._stopped(turn, control))
        except RunTimedOut as failure:
            return show.note_with_live_message(self._failed(turn, failure))
        except TurnFailure as failure:
            control.gateway_responded = control.gateway_called and not isinstance(failure, _BEFORE_ANY_REQUEST)
            return show.note_with_live_message(self._failed(turn, failure))
        except Exception as error:  # noqa: BLE001  a fault of ours must still end in a visible outcome
            _log.error("turn_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            return show.note_with_live_message(self._failed(turn, InternalError()))

    async def _answer(self, turn: Turn, said: Answer) -> Reply:
        """What the agent said, ready to be shown. Raises AnswerEmpty."""
        if said.silent and not said.files:
            personal = turn.payload.reference.scope is Scope.PERSONAL
            return self._says(turn, Outcome.SILENT, "silent") if personal else Reply(Outcome.SILENT, ())
        text, files = (said.text, ()) if self._files_out is None else await self._files_out.publish(turn, said)
        # a long answer takes a while to render, and everybody else shares this loop
        locale = turn.locale
        tell = partial(answer, text, locale, cards=self._agent_cards, feedback=self._feedback)
        activities = await asyncio.to_thread(tell) if len(text) > _RENDERED_AT_ONCE else tell()
        if not activities and not files:
            raise AnswerEmpty  # words of which nothing can be shown: without a sentence this would be silence
        return Reply(Outcome.DELIVERED, activities + files)

    async def _addressed(self, turn: Turn, reply: Reply) -> Reply:
        """Among several people an answer quotes its question, and calls who asked if it comes late."""
        if not reply.activities:
            return reply
        first, *rest = reply.activities
        payload = turn.payload
        if reply.live is not None and reply.live.shrinks_to:
            first = mentioning(first, payload.person)
        activities = [quoting(first, payload.reference), *rest]
        try:
            status = await self._store.lane_status(turn.lane)
        except StoreUnavailable:
            return replace(reply, activities=tuple(activities))
        if status.last is None:  # the first one here
            key = "go_on_thread" if payload.reference.scope is Scope.CHANNEL else "go_on_group"
            activities[-1] = continued(activities[-1], say(key, payload.reference.locale))
        return replace(reply, activities=tuple(activities))

    async def _finish(self, turn: Turn, reply: Reply, control: RunControl) -> None:
        """Store the reply, then show it. A stop that came first wins over the answer, never over itself."""
        stopped = reply.outcome in (Outcome.STOPPED, Outcome.WITHDRAWN)
        stored = await with_retry(self._store.record_answer, turn.ticket, reply, even_if_stopped=stopped)
        if not stored:
            row = await with_retry(self._store.find, turn.n)
            if row is None or row.ticket != turn.ticket or not row.stop:
                _log.warning("turn_replaced", turn=turn.name)
                return
            control.stopped_by, control.withdrawn = control.stopped_by or row.stopped_by, row.withdrawn
            live = reply.live or live_message(row.live)
            reply = note_below_progress(self._stopped(turn, control), live, turn.locale)
            if not await with_retry(self._store.record_answer, turn.ticket, reply, even_if_stopped=True):
                return
        await self._delivery.deliver(turn, reply, control)

    def _says(self, turn: Turn, outcome: Outcome, key: str, error: str = "") -> Reply:
        return Reply(outcome, (note(say(key, turn.locale)),), error)

    def _stopped(self, turn: Turn, control: RunControl) -> Reply:
        if control.withdrawn:
            return Reply(Outcome.WITHDRAWN, ())
        return Reply(Outcome.STOPPED, (stopped(turn.payload.reference, control.stopped_by),))

    def begin_shutdown(self) -> None:
        """The process is about to end: wait for nothing that the next one can do as well."""
        self._delivery.begin_shutdown()


def _question(payload: Payload) -> Question:
    return Question(payload.agent, payload.user, payload.text)
