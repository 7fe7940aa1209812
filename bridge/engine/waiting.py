"""Signs for people whose question waits: a reaction on the question at once, a note when the wait is long."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from bridge.core.errors import DeliveryFailure, LeftOut
from bridge.core.history import steps
from bridge.core.outbound.answers_and_notes import note, note_turn
from bridge.core.ports.channel import Channel
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.texts import say, span
from bridge.core.turn import Accepted, Kind, Lane, NewTurn, Reference, Turn, turn_name
from bridge.engine.admission import NEEDS_ADMISSION, QueuePosition
from bridge.engine.store_retry import with_retry
from bridge.tasks import Tasks

# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/message-reactions
WAITING = "1f440_eyes"
_REMOVAL_TRIES = 8
_RETRY_SECONDS = 2.0
# Requests under way to add reactions; removals may use as many more.
_MOST_UNDER_WAY = 200
_MOST_LANES = 1000
# Seconds behind a running turn of the same lane; a shorter wait has only the reaction.
_LONG_WAIT = 30.0


class WaitingReactions:
    """Adds a reaction to each question that must wait, and removes the reaction when the question's turn ends.

    A lost reaction costs little: without room in the budget, or if Teams refuses, the question gets none.
    """

    def __init__(self, channel: Channel, tasks: Tasks, *, wanted: bool) -> None:
        self._channel = channel
        self._tasks = tasks
        self._wanted = wanted
        self._under_way = 0
        self._with_reaction: OrderedDict[Lane, list[Reference]] = OrderedDict()

    def question_waits(self, lane: Lane, question: Reference) -> None:
        """Add the reaction to a question that was queued in its lane."""
        if self._wanted and question.activity and self._under_way < _MOST_UNDER_WAY:
            self._with_reaction.setdefault(lane, []).append(question)
            self._with_reaction.move_to_end(lane)
            if len(self._with_reaction) > _MOST_LANES:  # another replica has closed the turns of the oldest lane
                self._with_reaction.popitem(last=False)
            self._start(question, on=True, tries=1)

    def turn_ended(self, turn: Turn) -> None:
        """Remove the reactions from a closed turn's question and from the questions merged into the turn.

        A reaction that stays misleads more than a missing reaction, so removals are retried.
        """
        if not self._wanted or turn.kind is not Kind.ASK:
            return
        question, waiting = turn.payload.reference, self._with_reaction.get(turn.lane, [])
        index = next((i for i, earlier in enumerate(waiting) if earlier.activity == question.activity), None)
        if index is None:
            # another replica, or this process before a restart, may have added the reaction
            ended = [question] if any(step.what == "queued" for step in steps(turn.history)) else []
        else:
            ended, self._with_reaction[turn.lane] = waiting[: index + 1], waiting[index + 1 :]
        if not self._with_reaction.get(turn.lane):
            self._with_reaction.pop(turn.lane, None)
        for answered in ended:
            self._start(answered, on=False, tries=_REMOVAL_TRIES)

    def _start(self, question: Reference, *, on: bool, tries: int) -> None:
        if self._under_way < 2 * _MOST_UNDER_WAY:
            self._under_way += 1
            self._tasks.start(self._react(question, on=on, tries=tries), "reaction")

    async def _react(self, question: Reference, *, on: bool, tries: int) -> None:
        try:
            for tries_left in range(tries, 0, -1):
                try:
                    await self._channel.react(question, WAITING, on=on)
                except LeftOut:
                    if tries_left > 1:
                        await asyncio.sleep(_RETRY_SECONDS)
                    continue
                return
        except DeliveryFailure:
            return
        finally:
            self._under_way -= 1


class WaitingNotes:
    """Writes a note to people whose question waits for long; each question gets one note at most.

    `accept` queues the note's turn. `progress`: whether people see progress; without, a wait in the lane has no note.
    """

    def __init__(
        self,
        *,
        store: TurnStore,
        accept: Callable[[NewTurn], Awaitable[Accepted]],
        clock: Clock,
        tasks: Tasks,
        progress: bool,
    ) -> None:
        self._store = store
        self._accept = accept
        self._clock = clock
        self._tasks = tasks
        self._progress = progress

    def waits_for_admission(self, position: QueuePosition) -> None:
        """Notify the asker of the head of the position's lane now."""
        self._tasks.start(self._notify_position(position), "waiting note")

    def waits_in_lane(self, question: NewTurn, n: int) -> None:
        """Notify the asker of turn `n` later, if a turn still runs before the question after _LONG_WAIT seconds."""
        if self._progress:
            loop = asyncio.get_running_loop()
            loop.call_later(_LONG_WAIT, lambda: self._tasks.start(self._notify_in_lane(question, n), "long wait"))

    async def _notify_position(self, position: QueuePosition) -> None:
        head = await with_retry(self._store.head, position.lane)  # the question in the queue may have been withdrawn
        if head is None or head.kind not in NEEDS_ADMISSION:
            return
        rank, locale = position.ahead + 1, head.locale
        if position.paused:
            words = say("waiting_paused", locale)
        elif position.seconds is None:
            words = say("waiting_place", locale, place=rank)
        else:
            words = say("waiting_time", locale, place=rank, time=span(position.seconds, locale))
        await self._notify(head, words)

    async def _notify_in_lane(self, question: NewTurn, n: int) -> None:
        status = await with_retry(self._store.lane_status, question.lane)
        if status.running is not None and status.queued[:1] == (turn_name(n),):
            await self._notify(question, say("waiting_turn", question.locale))

    async def _notify(self, question: Turn | NewTurn, words: str) -> None:
        waiting = note_turn(f"{question.id}|waiting", question.payload, note(words), self._clock.now())
        await with_retry(self._accept, waiting)
