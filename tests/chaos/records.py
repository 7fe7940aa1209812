"""What a storm leaves behind: everything that people, Teams and the gateway saw. Times in seconds of one clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bridge.core.lease import CERTAIN_SECONDS

LINE = "\n\n———\n\n"
"""Between what the agent had said and a note of the bridge."""


def beginning(tokens: Sequence[str]) -> str:
    """How the agent's answer to these begins."""
    return f"re {' '.join(f'[{token}]' for token in tokens)}"


@dataclass(frozen=True, slots=True)
class Sent:
    """A person's message: when it was first sent, and when a 200 came for it first (None: never)."""

    id: str
    lane: str
    token: str
    sent: float
    acked: float | None
    file: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """What Teams has shown: to which message it replies. `fault`: what the bridge was told instead of 201.

    `arrived`: when it came, if showing it took Teams a while. `of`: the run or the turn that it names, if it does.
    """

    at: float
    lane: str
    text: str
    reply_to: str
    fault: str = ""
    arrived: float | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A run in the gateway: the tokens in its text; `ended` is when it was really over. `refused`: it never began.

    `edited`: tokens whose message was asked as it was edited; `files`: those whose file was in the text.
    """

    lane: str
    tokens: tuple[str, ...]
    began: float
    ended: float
    how: str
    edited: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return self.how == "refused"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something done to a replica (`kill`, `term`, `freeze`) or to all (`outage`: no database); from when, to when.

    `ended`: when a process that was asked to end had ended, and with it what it had in hand.
    """

    what: str
    at: float
    until: float
    ended: float | None = None

    @property
    def lost(self) -> float:
        """When what was not written yet was lost."""
        return self.at if self.ended is None else self.ended


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did about the message `about`, and when a 200 came for it (None: never).

    A `click` is on a card that replies to `about`; only one that had the question asked once more counts (`worked`).
    """

    what: Literal["edit", "delete", "click"]
    about: str
    at: float
    acked: float | None = None
    worked: bool = True


@dataclass(slots=True)
class Progress:
    """A message that shows progress; `ended` when something took its place or its person stopped it.

    `faults`: when the bridge was not told, or wrongly, what became of a request for it.
    """

    id: str
    lane: str
    began: float
    ended: float | None = None
    faults: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Teams refused a part of a stream by its rules; `stream` is the one that was open, or was named."""

    at: float
    lane: str
    rule: str
    stream: str


@dataclass
class History:
    """All that was recorded. `merged`: a message's id to the id of the one with which it was asked."""

    sent: list[Sent] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    withdrawn: dict[str, float] = field(default_factory=dict)
    """When `/stop` took a message back before it was asked (once more): the note replies to the `/stop`."""
    deeds: list[Deed] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    claims: dict[str, list[float]] = field(default_factory=dict)
    """When each message was taken out of the queue to be asked: from then on its words stand."""
    unfetched: frozenset[str] = frozenset()
    """Tokens of files that were not given out."""
    certain: float = CERTAIN_SECONDS
    """How long a life goes on without a beat."""
    notes: tuple[str, ...] = ()
    """How notes begin that are an outcome."""
    early: str = "Stopped before"
    refused: str = "Too many messages"
    """How the note begins that says at once that a message was not kept."""

    def asks(self, id_: str) -> str:
        """The message that asks for the group of this one."""
        seen: set[str] = set()
        while id_ in self.merged and id_ not in seen:
            seen.add(id_)
            id_ = self.merged[id_]
        return id_

    def group(self, id_: str) -> set[str]:
        """The messages that were asked together with this one, and itself."""
        asks = self.asks(id_)
        return {asks, *(other for other in self.merged if self.asks(other) == asks)}

    def timeline(self, lane: str) -> str:
        """Everything that happened in a lane, in order."""
        mine = {m.id for m in self.sent if m.lane == lane}
        events = [(m.sent, f"sent     {m.id} {m.token}{' with a file' * m.file}") for m in self.sent if m.lane == lane]
        events += [(m.acked, f"acked    {m.id} {m.token}") for m in self.sent if m.lane == lane and m.acked]
        events += [(s.at, f"shown    {s.text[:60]!r} to {s.reply_to} {s.fault}") for s in self.shown if s.lane == lane]
        for run in self.asked:
            if run.lane == lane:
                events += [(run.began, f"asked    {run.tokens} edited {run.edited} files {run.files}")]
                events += [(run.ended, f"ended    {run.tokens} {run.how}")]
        for deed in self.deeds:
            if deed.about in mine:
                events += [(deed.at, f"{deed.what:8} {deed.about}")]
                if deed.acked is not None:
                    events += [(deed.acked, f"acked    the {deed.what} of {deed.about}, {deed.worked}")]
        events += [(at, f"claimed  {about}") for about in mine for at in self.claims.get(about, ())]
        for one in self.progress:
            if one.lane == lane:
                events += [(one.began, f"progress {one.id}"), *((at, f"fault    at {one.id}") for at in one.faults)]
                events += [(one.ended, f"replaced {one.id}")] if one.ended is not None else []
        events += [(r.at, f"refused  {r.rule!r} of {r.stream}") for r in self.refusals if r.lane == lane]
        events += [(t.at, f"{t.what:8} until {t.until:.2f}") for t in self.troubles]
        return "\n".join(f"{at:9.2f} {what}" for at, what in sorted(events))


@dataclass(frozen=True, slots=True)
class Violation:
    kind: str
    lane: str
    about: str
