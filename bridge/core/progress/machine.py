"""Progress of one turn as a state machine: the agent's events and time in, the next request to Teams out.

The driver (`engine.progress`) sends the requests that `step` returns, one at a time, and reports each result. Personal
chats get Teams' native stream, closed before two minutes have passed and continued as edits of the same message;
elsewhere a placeholder is edited. https://learn.microsoft.com/microsoftteams/platform/bots/streaming-ux
docs/reference/teams.md, "Streaming"; docs/architecture.md, "Progress and budgets".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from bridge.core.live_message import LiveMessage
from bridge.core.markdown.partial import visible_prefix
from bridge.core.markdown.split import units
from bridge.core.ports.agent import AgentEvent
from bridge.core.ports.channel import Chunk
from bridge.core.progress.activity_line import ActivityLine, duration
from bridge.core.teams_limits import PART_UNITS, STREAM_INTERVAL, STREAM_SECONDS
from bridge.core.turn import Scope

# Seconds before the first progress; an answer ready earlier is shown without any progress before.
STREAM_AFTER = 1.0
PLACEHOLDER_AFTER = 3.0
# People look at the chat for so long; a later answer, if no text was visible before, must notify them.
ATTENTION_SECONDS = 20.0
# Seconds after which a stream without news repeats its last text: only a response tells that the user pressed Stop.
# Shorter once the user has written again (`_patience`): then a newer question may wait for the end of this run.
LISTEN_SECONDS = 10.0
_TRY_AGAIN = 1.0
_FASTEST = 1.5
_CARD_UNITS = 1000  # room for the placeholder's card below the text, in the same message
_LEAST_PAUSE = 0.05
_CHARACTERS_A_SECOND = 4000
_GOLDEN = 0.618  # multiples of the golden ratio, modulo 1, fill the interval evenly


@dataclass(frozen=True, slots=True)
class CloseStream:
    """The stream's last request, which turns the stream into an ordinary message."""

    text: str
    stream: str


@dataclass(frozen=True, slots=True)
class PostPlaceholder:
    """A new progress message, so far with an activity line only."""

    line: str


@dataclass(frozen=True, slots=True)
class UpdatePlaceholder:
    """New content for the progress message: the agent's words so far, and the activity line."""

    message: str
    text: str
    line: str


Step = Chunk | CloseStream | PostPlaceholder | UpdatePlaceholder


class _Phase(Enum):
    NOTHING = auto()
    STREAM = auto()
    MESSAGE = auto()
    ENDED = auto()


class ProgressMachine:
    """The progress of one turn that began at `began`; times in seconds of a monotonic clock.

    `interval` returns the least seconds between two requests now, by the load of the whole tenant. `earlier`: the live
    message of an earlier claim of the turn. `spread`, from 0 to 1, differs between turns, so that turns begun together
    do not all send together.

    `message`: the id of the progress message, "" for none. `visible_text`: the agent's words visible in the message.
    `streaming`: a stream is open or may be begun. `nameless`: a placeholder was shown whose id Teams did not name.
    """

    def __init__(
        self,
        scope: Scope,
        locale: str,
        began: float,
        *,
        streaming: bool,
        interval: Callable[[], float],
        earlier: LiveMessage | None = None,
        spread: float = 0.0,
    ) -> None:
        self._began = began
        self._locale = locale
        self.streaming = streaming and scope is Scope.PERSONAL
        self._interval = interval
        self._spread = spread
        self._activity_line = ActivityLine(locale)
        self._phase = _Phase.NOTHING
        self._not_before = began + (STREAM_AFTER if self.streaming else PLACEHOLDER_AFTER)
        self._sequence = 0
        self._last_sent = ""
        self._announced = ""
        self._withdrawals = 0
        self._news = True
        self._listens = self._asked_to_listen = self._awaited = False
        self._opened = self._sent_at = began
        self.message = earlier.id if earlier is not None else ""
        self._unclosed_stream = earlier is not None and earlier.stream
        self._begun_again = False
        self.nameless = False
        self.visible_text = ""
        if earlier is not None:
            self._phase = _Phase.MESSAGE

    def on_event(self, event: AgentEvent) -> bool:
        """Take in an event; returns whether `wait` has changed: only the first event after a step changes the time."""
        self._activity_line.on_event(event)
        first, self._news = not self._news, True
        return first

    def listen(self) -> bool:
        """Send the open stream's next request as soon as Teams allows, with or without news; False: no stream is open.

        For a person who writes while the stream is open: the person may have pressed Stop just before.
        """
        if self.streams:
            self._listens = self._awaited = True
            self._not_before = min(self._not_before, self._sent_at + STREAM_INTERVAL)
        return self.streams

    @property
    def streams(self) -> bool:
        """Whether a stream of this machine is open."""
        return self._phase is _Phase.STREAM

    def wait(self, now: float) -> float | None:
        """Seconds until the next `step` unless an event comes earlier; None: progress has ended."""
        if self._phase is _Phase.ENDED:
            return None
        due = self._not_before
        if not (self._news or self._listens):
            due = max(due, self._began + self._next_time_change(now))
        if self.streams:
            own = min(self._opened + STREAM_SECONDS, self._sent_at + self._patience())
            due = min(due, max(self._not_before, own))
        return max(_LEAST_PAUSE, due - now)

    def step(self, now: float) -> Step | None:
        """The request to send now, if any; the driver then calls `sent`, `skipped`, `refused` or `unchangeable`."""
        if now < self._not_before or self._phase is _Phase.ENDED:
            return None
        self._news = False
        # a person who writes during the request may have pressed Stop after Teams' response
        self._asked_to_listen, self._listens = self._listens, False
        return self._next(now)

    def sent(self, step: Step, id_: str, now: float) -> None:
        """Teams accepted the request; `id_`: the id of the message in the response, "" for none."""
        self.message = self.message or id_
        if not self.message:
            self._unnamed(now)
            return
        match step:
            case Chunk():
                self._opened = self._opened if self.streams else now
                self._phase, self._sequence = _Phase.STREAM, step.sequence
                if not step.informative:
                    self.visible_text = step.text
            case CloseStream() | PostPlaceholder():
                self._phase, self._news = _Phase.MESSAGE, True  # neither request shows all text so far
            case UpdatePlaceholder():
                self.visible_text = step.text
        self._last_sent, self._sent_at = _content(step), now
        pause = self._patience() if self.streams and self._awaited else self._pace(now)
        self._not_before = now + self._in_time(now, STREAM_INTERVAL if self._listens else pause)

    def _unnamed(self, now: float) -> None:
        """Teams named no id for the message just sent: the message can neither grow nor be replaced.

        A stream is begun once more; after that, and for a placeholder, no further request is sent.
        """
        again, self._begun_again = not self._begun_again and self.streaming, True
        if again:
            self._news, self._last_sent = True, ""
            self._not_before = now + _TRY_AGAIN
        elif self.streaming:
            self.refused(stream_over=True)
        else:
            self.nameless, self._phase = True, _Phase.ENDED

    def skipped(self, now: float) -> None:
        """The budgets had no room for the request: try again later with newer content."""
        self._spread = (self._spread + _GOLDEN) % 1.0
        self._news = True
        self._listens = self._listens or self._asked_to_listen
        pause = _TRY_AGAIN if self._listens else max(_TRY_AGAIN, self._interval() * self._spread)
        self._not_before = now + self._in_time(now, pause)

    def refused(self, *, stream_over: bool = False) -> None:
        """Teams refused the request, which ends progress, or with `stream_over` only the stream.

        The stream's message is edited from then on; a stream that never began is replaced by a placeholder.
        """
        if stream_over and self.message:
            self._phase = _Phase.MESSAGE
        elif stream_over and self.streaming:
            self.streaming, self._news = False, True
            self._not_before = self._began + PLACEHOLDER_AFTER
        else:
            # the stream may still be open, so the reply must close the stream
            self._unclosed_stream = self._unclosed_stream or self.streams
            self._phase = _Phase.ENDED

    def unchangeable(self) -> None:
        """The user has stopped the stream: the visible text stays, and no request can change the message."""
        self._phase, self.message, self.visible_text = _Phase.ENDED, "", ""

    def live_message(self, now: float, *, notify: bool, silent: bool = False) -> LiveMessage | None:
        """The message that the reply replaces; None: no progress was shown.

        `silent`: the reply has no content. `notify`: an answer that comes late, with no text visible before, goes into
        a new message, which notifies people.
        """
        if not self.message:
            return None
        stream = self.streams or self._unclosed_stream
        unseen = notify and not self.visible_text and now - self._began > ATTENTION_SECONDS
        if unseen or silent:
            return LiveMessage(self.message, stream, self.visible_text, self._activity_line.done(now - self._began))
        return LiveMessage(self.message, stream, self.visible_text)

    def _next(self, now: float) -> Step | None:
        text, line = self._text(), self._line(now)
        match self._phase:
            case _Phase.NOTHING if not self.streaming:
                return PostPlaceholder(line)
            case _Phase.NOTHING | _Phase.STREAM:
                if self.streams and now - self._opened >= STREAM_SECONDS:
                    return CloseStream(self.visible_text or line, self.message)
                listens = self._asked_to_listen or now - self._sent_at >= self._patience()
                if text and (text != self.visible_text or listens):
                    return Chunk(text, self._sequence + 1, self.message, informative=False)
                if not self.visible_text and (line != self._last_sent or listens):
                    return Chunk(line, self._sequence + 1, self.message, informative=True)
                return None
            case _:
                edit = UpdatePlaceholder(self.message, text, line)
                return edit if _content(edit) != self._last_sent else None

    def _text(self) -> str:
        """All text to show. Announcements before a tool stay visible, since the text of a stream may only grow."""
        if self._activity_line.withdrawn != self._withdrawals:
            self._withdrawals = self._activity_line.withdrawn
            self._announced = f"{self.visible_text}\n\n" if self.visible_text else ""
        running = visible_prefix(self._activity_line.text)
        text = self._announced + running if running else self.visible_text
        grows = text.startswith(self.visible_text) and units(text) <= PART_UNITS - _CARD_UNITS
        return text if grows else self.visible_text

    def _line(self, now: float) -> str:
        """The activity line with the time so far, in growing steps."""
        passed = self._next_time_change(now) - _time_step(now - self._began)
        words = self._activity_line.now()
        return f"{words} · {duration(passed, self._locale)}" if passed else f"{words} …"

    def _next_time_change(self, now: float) -> int:
        """The next change of the time in the activity line, in seconds since the beginning."""
        seconds = now - self._began
        step = _time_step(seconds)
        return int(seconds // step + 1) * step

    def _in_time(self, now: float, pause: float) -> float:
        """The pause, shortened where an open stream must be closed before Teams ends the stream."""
        return min(pause, max(_TRY_AGAIN, self._opened + STREAM_SECONDS - now)) if self.streams else pause

    def _patience(self) -> float:
        """Seconds without news until the stream repeats its text, to hear of Stop."""
        if not self._awaited:
            return LISTEN_SECONDS
        load = self._interval()
        return STREAM_INTERVAL if load <= _FASTEST else load

    def _pace(self, now: float) -> float:
        seconds = now - self._began
        own = _FASTEST if seconds < 30 else 3.0 if seconds < 120 else 6.0
        # the whole text is rendered for each request, so a longer text gets fewer requests
        return max(own, len(self.visible_text) / _CHARACTERS_A_SECOND, self._interval())


def _time_step(seconds: float) -> int:
    return 10 if seconds < 60 else 30 if seconds < 300 else 60


def _content(step: Step) -> str:
    match step:
        case Chunk() | CloseStream():
            return step.text
        case PostPlaceholder():
            return f"\n{step.line}"
        case UpdatePlaceholder():
            return f"{step.text}\n{step.line}"
