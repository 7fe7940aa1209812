"""What is shown of one turn while the agent works: news and time in, the next request to Teams out.

No I/O, no clock: the driver (`engine.progress`) sends what `step` gives, one request at a time, and says what became of
it. In personal chats this is Teams' native stream, closed before its two minutes and continued as edits of the same
message; elsewhere a placeholder, edited. https://learn.microsoft.com/microsoftteams/platform/bots/streaming-ux
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from bridge.core.live_message import LiveMessage
from bridge.core.markdown.partial import visible_prefix
from bridge.core.markdown.split import PART_UNITS, units
from bridge.core.ports.agent import AgentEvent
from bridge.core.ports.channel import Chunk
from bridge.core.progress.activity_line import ActivityLine, duration
from bridge.core.turn import Scope

# What is ready within these seconds is shown as it is, without any progress before it (docs/architecture.md, "Progress and budgets").
STREAM_AFTER = 1.0
PLACEHOLDER_AFTER = 3.0
# A stream ends after two minutes, whatever its bot does; the last word must be there before.
STREAM_SECONDS = 110.0
# Up to here people look at the chat; an answer that comes later without any text before it must call them back.
ATTENTION_SECONDS = 20.0
# That the user has pressed Stop is heard with the stream's next request only: without news one leaves after these.
LISTEN_SECONDS = 10.0
_TRY_AGAIN = 1.0
_CARD_UNITS = 1000  # a placeholder's card stands below the text, in the same message
_LEAST_PAUSE = 0.05
_CHARACTERS_A_SECOND = 4000
_GOLDEN = 0.618  # steps of it fill the interval evenly


@dataclass(frozen=True, slots=True)
class CloseStream:
    """The stream's last request, with which it becomes an ordinary message."""

    text: str
    stream: str


@dataclass(frozen=True, slots=True)
class PostPlaceholder:
    """A new message that shows progress."""

    line: str


@dataclass(frozen=True, slots=True)
class UpdatePlaceholder:
    """The same message with another text: what was said so far, and a line about what goes on."""

    message: str
    text: str
    line: str


Step = Chunk | CloseStream | PostPlaceholder | UpdatePlaceholder


class _Phase(Enum):
    NOTHING = auto()
    STREAM = auto()
    MESSAGE = auto()
    OVER = auto()


class ProgressMachine:
    """The progress of one turn that began at `began` (seconds of a clock that only goes forward).

    `streaming`: the chat takes Teams' streams. `interval` gives the least seconds between two requests now, by how
    much the whole tenant shows. `left`: the message of an earlier try of the same turn. `spread`: from 0 to 1,
    different for different turns, so that many which began at once do not all speak at once.
    """

    def __init__(
        self,
        scope: Scope,
        locale: str,
        began: float,
        *,
        streaming: bool,
        interval: Callable[[], float],
        left: LiveMessage | None = None,
        spread: float = 0.0,
    ) -> None:
        self._began = began
        self._locale = locale
        self._streaming = streaming and scope is Scope.PERSONAL
        self._interval = interval
        self._spread = spread
        self._activity_line = ActivityLine(locale)
        self._phase = _Phase.NOTHING
        self._not_before = began + (STREAM_AFTER if self._streaming else PLACEHOLDER_AFTER)
        self._sequence = 0
        self._told = ""
        self._before = ""
        self._withdrawn = 0
        self._news = True
        self._opened = self._sent_at = began
        self.message = left.id if left is not None else ""
        self._left_stream = left is not None and left.stream
        self.shown = ""
        if left is not None:
            self._phase = _Phase.MESSAGE

    def on_event(self, event: AgentEvent) -> bool:
        """News of the agent; whether they change how long to `wait`: only the first since the last step do."""
        self._activity_line.on_event(event)
        first, self._news = not self._news, True
        return first

    @property
    def streams(self) -> bool:
        """Whether a stream is open."""
        return self._phase is _Phase.STREAM

    def wait(self, now: float) -> float | None:
        """Seconds until `step` is worth calling, if no news come before; None: never again."""
        if self._phase is _Phase.OVER:
            return None
        due = self._not_before if self._news else max(self._not_before, self._began + self._next_mark(now))
        if self.streams:
            own = min(self._opened + STREAM_SECONDS, self._sent_at + LISTEN_SECONDS)
            due = min(due, max(self._not_before, own))
        return max(_LEAST_PAUSE, due - now)

    def step(self, now: float) -> Step | None:
        """What to send now, if anything; the driver then calls `sent`, `left_out` or `refused`."""
        if now < self._not_before or self._phase is _Phase.OVER:
            return None
        self._news = False
        return self._next(now)

    def sent(self, step: Step, id_: str, now: float) -> None:
        """Teams took it; `id_` is the message's, where it named one."""
        self.message = self.message or id_
        match step:
            case Chunk():
                self._opened = self._opened if self.streams else now
                self._phase, self._sequence = _Phase.STREAM, step.sequence
                if not step.informative:
                    self.shown = step.text
            case CloseStream() | PostPlaceholder():
                self._phase, self._news = _Phase.MESSAGE, True  # neither has shown all text that came before
            case UpdatePlaceholder():
                self.shown = step.text
        self._told, self._sent_at = _told(step), now
        self._not_before = now + self._in_time(now, self._pace(now))

    def skipped(self, now: float) -> None:
        """There was no room for it: a later one will say more."""
        self._spread = (self._spread + _GOLDEN) % 1.0
        self._not_before = now + self._in_time(now, max(_TRY_AGAIN, self._interval() * self._spread))
        self._news = True

    def refused(self, *, stream_over: bool = False) -> None:
        """Teams takes no progress here. `stream_over`: only the stream has ended, or never began.

        Its message can be edited; where there is none, a placeholder takes its place.
        """
        if stream_over and self.message:
            self._phase = _Phase.MESSAGE
        elif stream_over and self._streaming:
            self._streaming, self._news = False, True
            self._not_before = self._began + PLACEHOLDER_AFTER
        else:
            # for all that is known it is still open, and its last word is due
            self._left_stream = self._left_stream or self.streams
            self._phase = _Phase.OVER

    def unchangeable(self) -> None:
        """The user has stopped the stream: what is shown stays as it is."""
        self._phase, self.message, self.shown = _Phase.OVER, "", ""

    def live_message(self, now: float, *, notify: bool, silent: bool = False) -> LiveMessage | None:
        """Where the reply goes; None: no progress was shown. `silent`: there is nothing to show.

        `notify`: what nobody has seen coming shall be a message of its own.
        """
        if not self.message:
            return None
        stream = self.streams or self._left_stream
        unseen = notify and not self.shown and now - self._began > ATTENTION_SECONDS
        if unseen or silent:
            return LiveMessage(self.message, stream, self.shown, self._activity_line.done(now - self._began))
        return LiveMessage(self.message, stream, self.shown)

    def _next(self, now: float) -> Step | None:
        text, line = self._text(), self._line(now)
        match self._phase:
            case _Phase.NOTHING if not self._streaming:
                return PostPlaceholder(line)
            case _Phase.NOTHING | _Phase.STREAM:
                if self.streams and now - self._opened >= STREAM_SECONDS:
                    return CloseStream(self.shown or line, self.message)
                listens = now - self._sent_at >= LISTEN_SECONDS
                if text and (text != self.shown or listens):
                    return Chunk(text, self._sequence + 1, self.message, informative=False)
                if not self.shown and (line != self._told or listens):
                    return Chunk(line, self._sequence + 1, self.message, informative=True)
                return None
            case _:
                edit = UpdatePlaceholder(self.message, text, line)
                return edit if _told(edit) != self._told else None

    def _text(self) -> str:
        """All text that may be shown. What was an announcement before a tool stays: a stream takes nothing back."""
        if self._activity_line.withdrawn != self._withdrawn:
            self._withdrawn = self._activity_line.withdrawn
            self._before = f"{self.shown}\n\n" if self.shown else ""
        running = visible_prefix(self._activity_line.text)
        text = self._before + running if running else self.shown
        grows = text.startswith(self.shown) and units(text) <= PART_UNITS - _CARD_UNITS
        return text if grows else self.shown

    def _line(self, now: float) -> str:
        """What goes on and, in steps that grow, for how long."""
        passed = self._next_mark(now) - _mark_step(now - self._began)
        words = self._activity_line.now()
        return f"{words} · {duration(passed, self._locale)}" if passed else f"{words} …"

    def _next_mark(self, now: float) -> int:
        """When the time that is shown changes next, in seconds since the beginning."""
        seconds = now - self._began
        step = _mark_step(seconds)
        return int(seconds // step + 1) * step

    def _in_time(self, now: float, pause: float) -> float:
        """However rarely progress may be shown, an open stream is closed before Teams ends it."""
        return min(pause, max(_TRY_AGAIN, self._opened + STREAM_SECONDS - now)) if self.streams else pause

    def _pace(self, now: float) -> float:
        seconds = now - self._began
        own = 1.5 if seconds < 30 else 3.0 if seconds < 120 else 6.0
        # each time all the text is rendered anew, which takes the longer the more it is
        return max(own, len(self.shown) / _CHARACTERS_A_SECOND, self._interval())


def _mark_step(seconds: float) -> int:
    return 10 if seconds < 60 else 30 if seconds < 300 else 60


def _told(step: Step) -> str:
    match step:
        case Chunk() | CloseStream():
            return step.text
        case PostPlaceholder():
            return f"\n{step.line}"
        case UpdatePlaceholder():
            return f"{step.text}\n{step.line}"
