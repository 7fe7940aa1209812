"""What happened, and what of it the guarantees forbid. Pure: records in, violations out.

Every exception must be explained by a recorded fact that opens one of the windows of design section 5: a fault that was
put into that very send, or a kill or freeze at that moment. What is explained is counted by window.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

# A replica that was killed may have shown something this long before, and not have written it yet.
BEFORE_A_KILL = 3.0
# A frozen owner wakes and sees that it was replaced.
AFTER_A_FREEZE = 3.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A person's message: when it was first sent, and when a 200 came for it first (None: never)."""

    id: str
    lane: str
    token: str
    sent: float
    acked: float | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What Teams has shown: to which message it replies. `fault`: what the bridge was told instead of 201.

    `arrived`: when it came, if showing it took Teams a while.
    """

    at: float
    lane: str
    text: str
    reply_to: str
    fault: str = ""
    arrived: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A run in the gateway: the tokens in its text; `ended` is when it was really over. `refused`: it never began."""

    lane: str
    tokens: tuple[str, ...]
    began: float
    ended: float
    how: str

    @property
    def refused(self) -> bool:
        return self.how == "refused"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something done to a replica: `kill`, `term` or `freeze`, from when to when it was away."""

    what: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Violation:
    kind: str
    lane: str
    about: str


@dataclass
class History:
    """All that was recorded. `merged`: a message's id to the id of the one with which it was asked."""

    sent: list[Sent] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()
    """Messages that `/stop` took back before they were asked: the note replies to the `/stop`."""
    notes: tuple[str, ...] = ()
    """How notes begin that are an outcome."""
    early: str = "Stopped before"
    refused: str = "Too many messages"
    """How the note begins that says at once that a message was not kept."""


@dataclass(frozen=True, slots=True)
class Verdict:
    violations: tuple[Violation, ...]
    windows: dict[str, int]

    def timeline(self, history: History, lane: str) -> str:
        """Everything that happened in a lane, in order."""
        events = [(m.sent, f"sent     {m.id} {m.token}") for m in history.sent if m.lane == lane]
        events += [(m.acked, f"acked    {m.id} {m.token}") for m in history.sent if m.lane == lane and m.acked]
        events += [
            (s.at, f"shown    {s.text[:60]!r} to {s.reply_to} {s.fault}") for s in history.shown if s.lane == lane
        ]
        for run in history.asked:
            if run.lane == lane:
                events += [(run.began, f"asked    {run.tokens}"), (run.ended, f"ended    {run.tokens} {run.how}")]
        events += [(t.at, f"{t.what:8} until {t.until:.2f}") for t in history.troubles]
        return "\n".join(f"{at:9.2f} {what}" for at, what in sorted(events))


def check(history: History) -> Verdict:
    """What the guarantees forbid, and how often each window was used."""
    return _Check(history).verdict()


class _Check:
    def __init__(self, history: History) -> None:
        self._history = history
        self._windows: Counter[str] = Counter()
        self._shown: dict[str, list[Shown]] = defaultdict(list)
        for shown in sorted(history.shown, key=lambda shown: shown.at):
            self._shown[shown.lane].append(shown)
        self._withdrawn: set[str] = set()
        self._outcomes = {message.id: self._outcomes_of(message) for message in history.sent}

    def verdict(self) -> Verdict:
        found = [*self._lost(), *self._too_many(), *self._out_of_order(), *self._two_at_once(), *self._asked_twice()]
        return Verdict(tuple(found), dict(self._windows))

    def _outcomes_of(self, message: Sent) -> list[Shown]:
        """Everything that ends this message: answers that hold its token, notes that reply to it."""
        about, seen = {message.id}, message.id
        while (seen := self._history.merged.get(seen, "")) and seen not in about:
            about.add(seen)
        if about & self._history.withdrawn:
            self._withdrawn.add(message.id)
            return [s for s in self._shown[message.lane] if s.text.startswith(self._history.early)][:1]
        return [
            shown
            for shown in self._shown[message.lane]
            if (message.token and f"[{message.token}]" in shown.text)
            or (shown.reply_to in about and shown.text.startswith(self._history.notes))
        ]

    def _lost(self) -> Iterator[Violation]:
        for message in self._history.sent:
            if message.acked is not None and not self._outcomes[message.id]:
                yield Violation("lost", message.lane, f"{message.id} {message.token}")

    def _too_many(self) -> Iterator[Violation]:
        for message in self._history.sent:
            outcomes = self._outcomes[message.id]
            if len({shown.text for shown in outcomes}) > 1:
                yield Violation("two outcomes", message.lane, f"{message.id} {[s.text[:40] for s in outcomes]}")
                continue
            for first, second in pairwise(outcomes):
                window = self._why_doubled(first)
                if window:
                    self._windows[window] += 1
                else:
                    yield Violation("doubled", message.lane, f"{message.id} {first.at:.2f} and {second.at:.2f}")

    def _why_doubled(self, first: Shown) -> str:
        if first.fault:
            return "6: the result of the send was unknown"
        for trouble in self._history.troubles:
            arrived = first.at if first.arrived is None else first.arrived
            if arrived - 0.5 <= trouble.at <= first.at + BEFORE_A_KILL:
                return f"6: {trouble.what} between Teams' 201 and our commit"
        return ""

    def _out_of_order(self) -> Iterator[Violation]:
        lanes: dict[str, list[tuple[Sent, float]]] = defaultdict(list)
        for message in self._history.sent:
            outcomes = self._outcomes[message.id]
            at_once = message.id in self._withdrawn or any(s.text.startswith(self._history.refused) for s in outcomes)
            if outcomes and not at_once:
                lanes[message.lane].append((message, outcomes[0].at))
        for lane, messages in lanes.items():
            for x, x_at in messages:
                late = [y for y, y_at in messages if x.acked is not None and x.acked < y.sent and y_at < x_at]
                for y in late:
                    yield Violation("out of order", lane, f"{x.id} acknowledged before {y.id} was sent")

    def _two_at_once(self) -> Iterator[Violation]:
        lanes: dict[str, list[Asked]] = defaultdict(list)
        for run in self._history.asked:
            if not run.refused:
                lanes[run.lane].append(run)
        for lane, runs in lanes.items():
            for first, second in pairwise(sorted(runs, key=lambda run: run.began)):
                if second.began < first.ended - 0.005:
                    if self._frozen(first, second):
                        self._windows["3: a frozen owner's run went on"] += 1
                    elif self._killed(first, second):
                        self._windows["3: the gateway was not done when its caller died"] += 1
                    else:
                        yield Violation("two at once", lane, f"{first.tokens} and {second.tokens}")

    def _frozen(self, first: Asked, second: Asked) -> bool:
        return any(
            trouble.what == "freeze"
            and trouble.at < second.began
            and first.began < trouble.until
            and second.began < trouble.until + AFTER_A_FREEZE
            for trouble in self._history.troubles
        )

    def _killed(self, first: Asked, second: Asked) -> bool:
        return first.how == "closed" and any(
            trouble.what in ("kill", "term") and first.began <= trouble.at <= second.began
            for trouble in self._history.troubles
        )

    def _asked_twice(self) -> Iterator[Violation]:
        runs = Counter((run.lane, token) for run in self._history.asked if not run.refused for token in run.tokens)
        for (lane, token), times in runs.items():
            if times > 1:
                yield Violation("asked twice", lane, token)
