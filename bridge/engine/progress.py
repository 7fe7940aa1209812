"""Shows the progress of a running turn: typing at once, then the steps of `core.progress.machine`, one at a time.

The live message's id is on disk before the next request to Teams leaves, so after a crash the replica that takes the
turn over replaces the same message. docs/architecture.md, "Progress and budgets"
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self, assert_never

import structlog

from bridge import metrics
from bridge.core.errors import DeliveryFailure, LeftOut, StreamEnded, StreamStopped, Throttled
from bridge.core.identity import speaker_name
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

# Seconds that an answer waits for a progress request under way, a little longer than the channel's own limit: a request
# given up earlier might show progress below the answer, or leave a message without a recorded id.
_LONGEST_WAIT = 17.0
# Teams shows typing for about 3 s (docs/reference/teams.md, "Typing"). Renewals each 4 s flicker, but take a quarter
# less of the hour's send budget than renewals each 3 s.
_TYPING_SECONDS = 4.0
_MOST_NAMELESS = 1000


@dataclass(frozen=True, slots=True)
class ProgressSwitches:
    """Parts of progress that an operator can switch off.

    `streaming`: streams in personal chats. `progress`: live messages. `notify`: late answers as new messages.
    `reactions`: reactions on waiting questions.
    """

    streaming: bool = True
    progress: bool = True
    notify: bool = True
    reactions: bool = True


def note_below_progress(note_: Reply, live: LiveMessage | None, locale: str) -> Reply:
    """Let the bridge's note replace the live message; the agent's text shown so far stays above the note."""
    if live is None or live.shrinks_to:
        return replace(note_, live=live)
    if not note_.activities:  # withdrawn: no note is shown, but the live message must not look like work
        return replace(note_, live=replace(live, shrinks_to=live.text or say("stopped", locale)))
    first, *more = note_.activities
    activities = (below_text(live.text, first), *more) if live.text else note_.activities
    return replace(note_, activities=activities, live=live)


class Progress:
    """Makes each turn's TurnProgress. More running turns slow all down; `elsewhere`: running in other replicas.

    `open`: the progress of running turns by conversation.
    """

    def __init__(self, *, channel: Channel, store: TurnStore, tasks: Tasks, switches: ProgressSwitches) -> None:
        self.channel = channel
        self.store = store
        self.tasks = tasks
        self.switches = switches
        self.running = 0
        self.elsewhere = 0
        self._nameless: set[str] = set()
        self.open: dict[str, list[TurnProgress]] = {}

    def of(self, turn: Turn, control: RunControl) -> TurnProgress:
        """The progress of a turn whose run begins now."""
        return TurnProgress(self, turn, control)

    def may_post(self, conversation: str) -> bool:
        """Whether a placeholder may be shown: not where Teams named no id for an earlier one, which then stayed."""
        return conversation not in self._nameless

    def note_nameless(self, conversation: str) -> None:
        """Show no further placeholder in the conversation."""
        if len(self._nameless) >= _MOST_NAMELESS:
            self._nameless.clear()
        self._nameless.add(conversation)

    def listen(self, conversation: str) -> None:
        """A person wrote in the conversation: ask Teams at once whether the person stopped an open stream before."""
        for progress in self.open.get(conversation, ()):
            progress.listen()

    def interval(self, least: float) -> float:
        """Seconds between two progress requests of one turn, `least` or more."""
        return progress_interval(self.running + self.elsewhere, least)


class TurnProgress:
    """One turn's progress: an asynchronous context around the run, then `with_live_message` completes the reply."""

    def __init__(self, shared: Progress, turn: Turn, control: RunControl) -> None:
        self._shared = shared
        self._turn = turn
        self._control = control
        self._to = turn.payload.reference
        self._now = asyncio.get_running_loop().time
        switches = shared.switches
        self._state_machine = ProgressMachine(
            self._to.scope,
            self._to.locale,
            self._now(),
            streaming=switches.streaming,
            interval=lambda: shared.interval(1.5),
            earlier=live_message(turn.live),
            spread=turn.n * 0.618 % 1.0,
        )
        if not self._state_machine.streaming and not shared.may_post(self._to.conversation):
            self._state_machine.refused()
        self._event_came = asyncio.Event()
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._typing: TypingIndicator | None = None

    @property
    def listener(self) -> Callable[[AgentEvent], None] | None:
        """The callback for the agent's events; None where progress is switched off."""
        return self._on_event if self._shared.switches.progress else None

    async def __aenter__(self) -> Self:
        self._shared.running += 1
        if self._to.scope is not Scope.CHANNEL:  # channels show no typing (docs/reference/teams.md, "Typing")
            interval = partial(self._shared.interval, _TYPING_SECONDS)
            self._typing = TypingIndicator(self._shared.channel, self._to, self._shared.tasks, interval)
            await self._typing.__aenter__()
        if self._shared.switches.progress:
            # most answers come before the first step: a timer costs less than a task
            self._timer = asyncio.get_running_loop().call_later(
                self._state_machine.wait(self._now()) or 0.0, self._start_task
            )
        self._shared.open.setdefault(self._to.conversation, []).append(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._shared.running -= 1
        beside = self._shared.open[self._to.conversation]
        beside.remove(self)
        if not beside:
            del self._shared.open[self._to.conversation]
        self._ended = True
        self._event_came.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and not self._task.done():
            late = (await asyncio.wait({self._task}, timeout=_LONGEST_WAIT))[1]
            for task in late:
                task.cancel()
        await self._end_typing()

    def with_live_message(self, reply: Reply) -> Reply:
        """The reply with the live message, which the first part replaces, or which shrinks above a new message."""
        notify = self._shared.switches.notify
        live = self._state_machine.live_message(self._now(), notify=notify, silent=not reply.activities)
        return replace(reply, live=live)

    def note_with_live_message(self, reply: Reply) -> Reply:
        """The bridge's note as a replacement of the live message (`note_below_progress`)."""
        return note_below_progress(reply, self._state_machine.live_message(self._now(), notify=False), self._to.locale)

    def listen(self) -> None:
        """Let an open stream's next request leave as soon as Teams allows; needless where the run is ending."""
        if not self._control.stopped and self._state_machine.listen():
            self._event_came.set()

    def _on_event(self, event: AgentEvent) -> None:
        self._control.receives_events = True
        if isinstance(event, RunEnded):
            self._control.run_ended.set()
        elif self._state_machine.on_event(event):  # only an event that changes the wait: an answer has thousands
            self._event_came.set()

    def _start_task(self) -> None:
        self._task = self._shared.tasks.start(self._run(), "progress")

    async def _run(self) -> None:
        while not self._ended and (pause := self._state_machine.wait(self._now())) is not None:
            self._event_came.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._event_came.wait()
            await self._take_step()

    async def _take_step(self) -> None:
        step = None if self._ended else self._state_machine.step(self._now())
        if step is None:
            return
        before = self._state_machine.message
        try:
            id_ = await self._send(step)
        except (LeftOut, Throttled):
            self._state_machine.skipped(self._now())
            return
        except StreamStopped:
            self._state_machine.unchangeable()
            self._control.stopped_in_client = True
            self._control.stop(speaker_name(self._turn.payload.person.name))
            return
        except DeliveryFailure as failure:
            # a failed progress request must not fail the turn
            metrics.DELIVERY_FAILURES.labels(failure.label).inc()
            _log.info("progress_ended", turn=self._turn.name, error=failure.label, detail=failure.detail)
            self._state_machine.refused(stream_over=isinstance(failure, StreamEnded))
            return
        self._state_machine.sent(step, id_, self._now())
        if self._state_machine.nameless:
            _log.warning("placeholder_without_id", turn=self._turn.name)
            self._shared.note_nameless(self._to.conversation)
            return
        if self._state_machine.message and (self._state_machine.message != before or isinstance(step, CloseStream)):
            live = live_column(self._state_machine.message, stream=self._state_machine.streams)
            if not await with_retry(self._shared.store.record_live_message, self._turn.ticket, live):
                self._state_machine.refused()  # the ticket is void: another replica shows the turn's progress

    async def _send(self, step: Step) -> str:
        channel, to = self._shared.channel, self._to
        await self._end_typing()  # no typing beside a stream, and none needed beside a placeholder
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
