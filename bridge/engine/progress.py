"""Shows one turn's progress beside its run: typing at once, then what `core.streaming` decides, request after request.

The message under which progress is shown is on disk before the next request leaves, so that whoever answers later, this
life or another, puts the answer in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, assert_never

import structlog

from bridge import metrics
from bridge.core.errors import DeliveryFailure, LeftOut, StreamEnded, StreamStopped, Throttled
from bridge.core.identity import speaker
from bridge.core.live_message import LiveMessage, live_column, live_message
from bridge.core.outbound import cards
from bridge.core.outbound.answers_and_notes import below_text, note
from bridge.core.ports.agent import AgentEvent, RunEnded
from bridge.core.ports.channel import Channel, Chunk
from bridge.core.ports.store import TurnStore
from bridge.core.progress.budgets import progress_interval
from bridge.core.progress.machine import CloseStream, PostPlaceholder, ProgressMachine, Step, UpdatePlaceholder
from bridge.core.texts import say
from bridge.core.turn import Reply, Scope, Turn
from bridge.engine.run_control import RunControl
from bridge.engine.store_retry import with_retry
from bridge.engine.typing_indicator import TypingIndicator
from bridge.tasks import Tasks

_log = structlog.get_logger()

# An answer waits for a request of its progress that is under way, for a little longer than the channel does: one that
# was given up might be shown after the answer, or leave a message that nobody knows of.
_LONGEST_WAIT = 17.0
# Teams shows typing for about 3 s; a renewal a little later flickers, but costs a quarter of the hour's send budget.
_TYPING_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Switches:
    """What is shown: streams in personal chats, progress at all, late answers as messages of their own, reactions."""

    streaming: bool = True
    progress: bool = True
    notify: bool = True
    reactions: bool = True


def note_below_progress(note_: Reply, live: LiveMessage | None, locale: str) -> Reply:
    """A note of the bridge in place of the progress, below what the agent had said before."""
    if live is None or live.shrinks_to:
        return replace(note_, live=live)
    if not note_.activities:  # the question was taken back: nobody waits for words, but its progress must end
        return replace(note_, live=replace(live, shrinks_to=live.text or say("stopped", locale)))
    first, *more = note_.activities
    activities = (below_text(live.text, first), *more) if live.text else note_.activities
    return replace(note_, activities=activities, live=live)


class Progress:
    """Makes the show of each turn. `elsewhere`: turns that run in other processes for the same tenant."""

    def __init__(self, *, channel: Channel, store: TurnStore, tasks: Tasks, switches: Switches) -> None:
        self.channel = channel
        self.store = store
        self.tasks = tasks
        self.switches = switches
        self.running = 0
        self.elsewhere = 0

    def of(self, turn: Turn, control: RunControl) -> TurnProgress:
        """The show of a turn whose run begins now."""
        return TurnProgress(self, turn, control)

    def interval(self, least: float) -> float:
        """Seconds between two signs of progress of one turn."""
        return progress_interval(self.running + self.elsewhere, least)


class TurnProgress:
    """Use as an asynchronous context around the run; then `landed` says where the reply goes."""

    def __init__(self, all_progress: Progress, turn: Turn, control: RunControl) -> None:
        self._all = all_progress
        self._turn = turn
        self._control = control
        self._to = turn.payload.reference
        self._now = asyncio.get_running_loop().time
        switches = all_progress.switches
        self._machine = ProgressMachine(
            self._to.scope,
            self._to.locale,
            self._now(),
            streaming=switches.streaming,
            interval=lambda: all_progress.interval(1.5),
            left=live_message(turn.live),
            spread=turn.n * 0.618 % 1.0,
        )
        self._news = asyncio.Event()
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._typing: TypingIndicator | None = None

    @property
    def listener(self) -> Callable[[AgentEvent], None] | None:
        """What the agent is to tell its news, if anybody looks."""
        return self._on_event if self._all.switches.progress else None

    async def __aenter__(self) -> Self:
        self._all.running += 1
        if (
            self._to.scope is not Scope.CHANNEL
        ):  # Teams shows no typing in channels (docs/architecture.md, "Progress and budgets")
            interval = lambda: self._all.interval(_TYPING_SECONDS)  # noqa: E731
            self._typing = TypingIndicator(self._all.channel, self._to, self._all.tasks, interval)
            await self._typing.__aenter__()
        if self._all.switches.progress:
            # most answers come before it: a timer costs less than a task
            self._timer = asyncio.get_running_loop().call_later(self._machine.wait(self._now()) or 0.0, self._begin)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._all.running -= 1
        self._ended = True
        self._news.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and not self._task.done():
            late = (await asyncio.wait({self._task}, timeout=_LONGEST_WAIT))[1]
            for task in late:
                task.cancel()
        await self._end_typing()

    def with_live_message(self, reply: Reply) -> Reply:
        """The reply, and where it goes: in place of the progress, or after it."""
        notify = self._all.switches.notify
        live = self._machine.live_message(self._now(), notify=notify, silent=not reply.activities)
        return replace(reply, live=live)

    def note_with_live_message(self, reply: Reply) -> Reply:
        """A note of the bridge, which leaves standing what the agent had said so far."""
        return note_below_progress(reply, self._machine.live_message(self._now(), notify=False), self._to.locale)

    def _on_event(self, event: AgentEvent) -> None:
        self._control.receives_events = True
        if isinstance(event, RunEnded):
            self._control.run_ended.set()
        elif self._machine.on_event(event):  # an answer comes in thousands of pieces
            self._news.set()

    def _begin(self) -> None:
        self._task = self._all.tasks.start(self._run(), "progress")

    async def _run(self) -> None:
        while not self._ended and (pause := self._machine.wait(self._now())) is not None:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()
            await self._take_step()

    async def _take_step(self) -> None:
        step = None if self._ended else self._machine.step(self._now())
        if step is None:
            return
        before = self._machine.message
        try:
            id_ = await self._send(step)
        except (LeftOut, Throttled):
            self._machine.skipped(self._now())
            return
        except StreamStopped:
            self._machine.unchangeable()
            self._control.stop(speaker(self._turn.payload.person.name))
            return
        except DeliveryFailure as failure:
            # the answer matters, progress does not
            metrics.DELIVERY_FAILURES.labels(failure.label).inc()
            _log.info("progress_ended", turn=self._turn.name, error=failure.label, detail=failure.detail)
            self._machine.refused(stream_over=isinstance(failure, StreamEnded))
            return
        self._machine.sent(step, id_, self._now())
        if self._machine.message and (self._machine.message != before or isinstance(step, CloseStream)):
            mark = live_column(self._machine.message, stream=self._machine.streams)
            if not await with_retry(self._all.store.record_live_message, self._turn.ticket, mark):
                self._machine.refused()  # stopped showing: somebody else has the turn

    async def _send(self, step: Step) -> str:
        channel, to = self._all.channel, self._to
        await self._end_typing()  # before a stream starts; and a message that shows progress needs none
        match step:
            case Chunk():
                return await channel.stream(to, step)
            case CloseStream():
                closing = LiveMessage(step.stream, stream=True)
                return await channel.replace(to, closing, note(step.text))
            case PostPlaceholder():
                return await channel.post_placeholder(to, self._activity("", step.line))
            case UpdatePlaceholder():
                await channel.update_placeholder(to, step.message, self._activity(step.text, step.line))
                return step.message
            case _:
                assert_never(step)

    def _activity(self, text: str, line: str) -> dict[str, object]:
        return cards.progress(self._turn.n, text, line, self._to.locale)

    async def _end_typing(self) -> None:
        typing, self._typing = self._typing, None
        if typing is not None:
            await typing.__aexit__(None, None, None)
