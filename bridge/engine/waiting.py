"""The mark on a question that waits behind another: a reaction, taken off when the question has its outcome.

Cheap to lose: where there is no room for one, or Teams takes none, nothing is said.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from bridge.core.errors import DeliveryFailure, LeftOut
from bridge.core.history import steps
from bridge.core.ports.channel import Channel
from bridge.core.turn import Kind, Lane, Reference, Turn
from bridge.tasks import Tasks

# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/message-reactions
WAITING = "1f440_eyes"
_TRIES = 8
_PAUSE = 2.0
_MOST = 200
_MOST_LANES = 1000


class WaitingReactions:
    """Puts marks on and takes them off, beside everything else."""

    def __init__(self, channel: Channel, tasks: Tasks, *, wanted: bool) -> None:
        self._channel = channel
        self._tasks = tasks
        self._wanted = wanted
        self._under_way = 0
        self._marked: OrderedDict[Lane, list[Reference]] = OrderedDict()

    def question_waits(self, lane: Lane, question: Reference) -> None:
        """The question waits in its lane."""
        if self._wanted and question.activity and self._under_way < _MOST:
            self._marked.setdefault(lane, []).append(question)
            self._marked.move_to_end(lane)
            if len(self._marked) > _MOST_LANES:  # another process has closed what waited there
                self._marked.popitem(last=False)
            self._start(question, on=True, tries=1)

    def turn_ended(self, turn: Turn) -> None:
        """The turn has its outcome, and so has what was asked together with it.

        A mark that stays is worse than one that never came, so this is tried for longer.
        """
        if not self._wanted or turn.kind is not Kind.ASK:
            return
        question, marked = turn.payload.reference, self._marked.get(turn.lane, [])
        at = next((at for at, other in enumerate(marked) if other.activity == question.activity), None)
        if at is None:
            # put on by another life, if by anybody
            over = [question] if any(step.what == "queued" for step in steps(turn.history)) else []
        else:
            over, self._marked[turn.lane] = marked[: at + 1], marked[at + 1 :]
        if not self._marked.get(turn.lane):
            self._marked.pop(turn.lane, None)
        for one in over:
            self._start(one, on=False, tries=_TRIES)

    def _start(self, question: Reference, *, on: bool, tries: int) -> None:
        if self._under_way < 2 * _MOST:
            self._under_way += 1
            self._tasks.start(self._react(question, on=on, tries=tries), "mark")

    async def _react(self, question: Reference, *, on: bool, tries: int) -> None:
        try:
            for left in range(tries, 0, -1):
                try:
                    await self._channel.react(question, WAITING, on=on)
                except LeftOut:
                    if left > 1:
                        await asyncio.sleep(_PAUSE)
                    continue
                return
        except DeliveryFailure:
            return
        finally:
            self._under_way -= 1
