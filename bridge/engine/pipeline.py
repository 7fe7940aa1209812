"""The pipeline takes a claimed turn to its outcome: ask the agent, store the reply, deliver the parts, close the turn.

Works from the row alone, so fresh turns, turns taken over after a crash and notes go the same way. The reply is stored
before delivery, and delivered parts are recorded before the close. docs/architecture.md, "A turn's states"
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
from bridge.engine.progress import Progress, ProgressSwitches, note_below_progress
from bridge.engine.run_control import RunControl, StopRequested
from bridge.engine.store_retry import with_retry
from bridge.engine.waiting import WaitingReactions
from bridge.tasks import Tasks

_log = structlog.get_logger()

# Seconds that a lane rests after a request closed early, where no event tells the run's end: the gateway may still
# finish a tool and keep the turn in the session. docs/reference/goclaw.md, "Sessions"
SETTLE_SECONDS = 3.0
_RUN_TO_ITS_END = (Outcome.DELIVERED, Outcome.SILENT)
_ALL_ON = ProgressSwitches()
# Failures raised before a request leaves: no sign that the gateway is reachable.
_BEFORE_ANY_REQUEST = (QuestionTooLong, QuestionRejected, GatewayMergesUsers)
_RENDERED_AT_ONCE = 8_000


class Pipeline:
    """Runs claimed turns. `whole_turn`: the longest time for a run, in seconds. `roster`: None where guests may ask.

    Without `files_in` or `files_out` no files go that way. `rerun`: a question interrupted by a crash is asked again.
    `agent_cards`: Adaptive Cards of answers are shown. `feedback`: answers have buttons.
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
        switches: ProgressSwitches = _ALL_ON,
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
        """Take a freshly claimed turn to its outcome; gives None, or the failure for which the turn is queued again."""
        try:
            reply = await self._work(turn, control)
        except RunNotStarted as failure:
            _log.warning("turn_released", turn=turn.name, error=failure.label, detail=failure.detail)
            if await with_retry(self._store.release, turn.ticket):
                return failure
            reply = self._failed(turn, failure)  # stopped or taken over: _finish finds out which
        await self._finish(turn, reply, control)
        return None

    async def refuse(self, turn: Turn, control: RunControl, failure: TurnFailure) -> None:
        """End a turn with the failure's sentence, without asking the agent."""
        reply = note_below_progress(self._failed(turn, failure), live_message(turn.live), turn.locale)
        await self._finish(turn, reply, control)

    async def clean_up(self, turn: Turn) -> None:
        """Remove the reaction and shrink the live message of a turn that was closed while queued."""
        self.reactions.turn_ended(turn)
        if (live := live_message(turn.live)) is not None:
            await self._delivery.shrink(turn, live)

    async def resume(self, turn: Turn, control: RunControl) -> bool:
        """Take a turn claimed earlier, by this or an expired replica, to its outcome; True: queued again instead."""
        if turn.stop:
            control.stop(turn.stopped_by, withdrawn=turn.withdrawn)
        live, locale = live_message(turn.live), turn.locale
        # the request was closed with the process that claimed the turn, and no event will tell the run's end
        control.must_settle = turn.kind is Kind.ASK and (
            turn.reply is None or turn.reply.outcome not in _RUN_TO_ITS_END
        )
        if turn.state is State.ANSWERED and turn.reply is not None:
            if turn.delivered or turn.reply.live is None or turn.reply.live.shrinks_to:
                # the part after the recorded parts may be visible already: docs/architecture.md, "Windows of doubt"
                metrics.MAYBE_DOUBLED.inc()
            await self._delivery.deliver(turn, turn.reply, control)
        elif turn.stop:
            await self._finish(turn, note_below_progress(self._stopped(turn, control), live, locale), control)
        elif turn.kind is Kind.ASK and not self._rerun:
            card = cards.interrupted(turn.n, turn.name, locale)
            reply = Reply(Outcome.INTERRUPTED, (card,), Interrupted.label, live)
            await self._finish(turn, reply, control)
        elif turn.kind in (Kind.ASK, Kind.NEW):
            # a session may be deleted twice; the operator has chosen by BRIDGE_AFTER_CRASH to ask questions again
            await self._delivery.settle(control)
            return await with_retry(self._store.release, turn.ticket)
        else:
            # no question for the agent, and no part was delivered: the reply would have been stored before
            await self.run(turn, control)
        return False

    async def _work(self, turn: Turn, control: RunControl) -> Reply:
        """Do the turn's work, give the reply. Raises: RunNotStarted."""
        try:
            match turn.kind:
                case Kind.ASK:
                    return await self._ask(turn, control)
                case Kind.NEW:
                    await self._refuse_guest(turn)
                    await self._agent.delete_session(turn.payload.agent, turn.payload.user)
                    control.gateway_responded = True
                    return self._note(turn, Outcome.DELIVERED, "new_done")
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
        except Exception as error:  # noqa: BLE001  a fault of the bridge must still end in a visible outcome
            _log.error("turn_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            return self._failed(turn, InternalError())

    def _failed(self, turn: Turn, failure: TurnFailure) -> Reply:
        _log.warning("turn_failed", turn=turn.name, error=failure.label, detail=failure.detail)
        return Reply(Outcome.FAILED, (cards.failed(turn, failure),), failure.label)

    async def _refuse_guest(self, turn: Turn) -> None:
        """Look the asker up in the roster; personal chats have no guests. Raises: GuestDenied, MembershipUnknown."""
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
        """Ask the agent beside the turn's progress, give the reply. Raises: RunNotStarted."""
        payload = turn.payload
        progress = self.progress.of(turn, control)
        try:
            async with progress, control.limit(self._whole_turn):
                await self._refuse_guest(turn)
                asked = payload if self._files_in is None else await self._files_in.prepare(turn)
                if isinstance(asked, Payload):
                    control.gateway_called = True
                    answered = await self._agent.ask(_question(asked), progress.listener)
                    control.gateway_responded = True
            if isinstance(asked, Reply):  # the files were the whole question, and none can be passed on
                return progress.note_with_live_message(asked)
            reply = progress.with_live_message(await self._answer(turn, answered))
            return reply if payload.reference.scope is Scope.PERSONAL else await self._addressed(turn, reply)
        except RunNotStarted:
            raise
        except StopRequested:
            told = control.stopped_in_client and await self._next_waits(turn)
            ended = Reply(Outcome.STOPPED, ()) if told else self._stopped(turn, control)
            return progress.note_with_live_message(ended)
        except RunTimedOut as failure:
            # Stop in the client may arrive with the progress request that was under way at the time limit
            ended = self._stopped(turn, control) if control.stopped else self._failed(turn, failure)
            return progress.note_with_live_message(ended)
        except TurnFailure as failure:
            control.gateway_responded = control.gateway_called and not isinstance(failure, _BEFORE_ANY_REQUEST)
            return progress.note_with_live_message(self._failed(turn, failure))
        except Exception as error:  # noqa: BLE001  a fault of the bridge must still end in a visible outcome
            _log.error("turn_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            return progress.note_with_live_message(self._failed(turn, InternalError()))

    async def _answer(self, turn: Turn, answered: Answer) -> Reply:
        """Render the agent's answer. Raises: AnswerEmpty."""
        if answered.silent and not answered.files:
            personal = turn.payload.reference.scope is Scope.PERSONAL
            return self._note(turn, Outcome.SILENT, "silent") if personal else Reply(Outcome.SILENT, ())
        files_out = self._files_out
        text, files = (answered.text, ()) if files_out is None else await files_out.publish(turn, answered)
        # a long answer takes a while to render, and all turns share the event loop
        render = partial(answer, text, turn.locale, cards=self._agent_cards, feedback=self._feedback)
        activities = await asyncio.to_thread(render) if len(text) > _RENDERED_AT_ONCE else render()
        if not activities and not files:
            raise AnswerEmpty  # no visible word is left: without an error's sentence people would read no reply
        return Reply(Outcome.DELIVERED, activities + files)

    async def _addressed(self, turn: Turn, reply: Reply) -> Reply:
        """In groups and channels: quote the question, and mention the asker if the answer is late."""
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
        if status.last is None:  # the lane's first question
            key = "go_on_thread" if payload.reference.scope is Scope.CHANNEL else "go_on_group"
            activities[-1] = continued(activities[-1], say(key, payload.reference.locale))
        return replace(reply, activities=tuple(activities))

    async def _finish(self, turn: Turn, reply: Reply, control: RunControl) -> None:
        """Store and deliver the reply. A stop recorded earlier wins: the note of the stop replaces the reply."""
        ends_stopped = reply.outcome in (Outcome.STOPPED, Outcome.WITHDRAWN)
        stored = await with_retry(self._store.record_answer, turn.ticket, reply, even_if_stopped=ends_stopped)
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

    async def _next_waits(self, turn: Turn) -> bool:
        """Whether a question waits behind the turn, so that a note of the turn would stand below a newer question."""
        try:
            return (await self._store.lane_status(turn.lane)).waiting > 0
        except StoreUnavailable:
            return False

    def _note(self, turn: Turn, outcome: Outcome, key: str) -> Reply:
        return Reply(outcome, (note(say(key, turn.locale)),))

    def _stopped(self, turn: Turn, control: RunControl) -> Reply:
        if control.withdrawn:
            return Reply(Outcome.WITHDRAWN, ())
        return Reply(Outcome.STOPPED, (stopped(turn.payload, control.stopped_by),))

    def begin_shutdown(self) -> None:
        """End the waits before delivery retries: the process is about to end."""
        self._delivery.begin_shutdown()


def _question(payload: Payload) -> Question:
    return Question(payload.agent, payload.user, payload.text)
