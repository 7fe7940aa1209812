"""Facts recorded during a storm: what people sent, what Teams showed, what the gateway ran, which faults were injected.

All times are seconds of this process's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bridge.core.lease import CERTAIN_SECONDS

LINE = "\n\n———\n\n"
"""The separator between the agent's partial text and a note of the bridge below."""


def beginning(tokens: Sequence[str]) -> str:
    """The first words of the agent's answer to the questions with these tokens."""
    return f"re {' '.join(f'[{token}]' for token in tokens)}"


@dataclass(frozen=True, slots=True)
class PersonMessage:
    """A message that a person sent. `sent`: first delivery to the bridge; `acked`: first 200, None if none came.

    `token` occurs in the question's text; a command has "". `file`: the question carries a text file.
    """

    id: str
    lane: str
    token: str
    sent: float
    acked: float | None
    file: bool = False


@dataclass(frozen=True, slots=True)
class BotMessage:
    """A message of the bridge, as Teams showed the text at `at`.

    `reply_to`: id of the person's message. `fault`: the injected reply (502, 504, closed) sent instead of 201, else "".
    `arrived`: arrival of the request, earlier than `at` where Teams was slow. `source`: the run or turn named in the
    text or card, else "".
    """

    at: float
    lane: str
    text: str
    reply_to: str
    fault: str = ""
    arrived: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class ProcessorWait:
    """A replica that was ready to run waited `seconds` for a processor, in the moments before `at`."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SessionDeleted:
    """A session deleted in the gateway on the bridge's request; `lane` is the session's lane."""

    lane: str
    at: float


@dataclass(frozen=True, slots=True)
class GatewayRun:
    """A run in the gateway, from `began` to `ended`; `ended` includes a tool still at work after a hang-up.

    `tokens`: the questions in the prompt. `edited`: tokens whose text was the edited text. `files`: tokens whose file
    was in the prompt. `result`: answered, refused, failed, broken or closed (the bridge hung up).
    """

    lane: str
    tokens: tuple[str, ...]
    began: float
    ended: float
    result: str
    edited: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the gateway's rate limit refused the request, so that the agent never started."""
        return self.result == "refused"


@dataclass(frozen=True, slots=True)
class Trouble:
    """An injected failure from `at` to `until`.

    `kind`: `kill`, `term` or `freeze` of a replica, `cut` of its way to the database, or `outage` of the database.
    `ended`: exit of the process after a `kill` or `term`.
    """

    kind: str
    at: float
    until: float
    ended: float | None = None

    @property
    def memory_lost(self) -> float:
        """When the replica lost all facts not yet written to the store."""
        return self.at if self.ended is None else self.ended


@dataclass(frozen=True, slots=True)
class PersonAction:
    """An edit or deletion of the message `about`, or a click on a card that replies to `about`, started at `at`.

    `acked`: the bridge's 200, None if none came. `worked`: a click had the question asked again; also True when no
    response arrived, since the bridge may have acted.
    """

    kind: Literal["edit", "delete", "click"]
    about: str
    at: float
    acked: float | None = None
    worked: bool = True


@dataclass(slots=True)
class LiveMessage:
    """A message with a turn's progress. `ended`: the outcome replaced it, or the person pressed Stop (`stopped`).

    `faults`: times of requests about the message whose result the bridge did not learn.
    """

    id: str
    lane: str
    began: float
    ended: float | None = None
    faults: list[float] = field(default_factory=list)
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class StreamRefusal:
    """A part of a stream, refused by Teams under `rule`. `stream`: the open stream's id, else the requested id."""

    at: float
    lane: str
    rule: str
    stream: str


@dataclass
class History:
    """All records of one storm."""

    person_messages: list[PersonMessage] = field(default_factory=list)
    bot_messages: list[BotMessage] = field(default_factory=list)
    runs: list[GatewayRun] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    """From a message's id to the id of the message whose turn asked both."""
    stopped_early: dict[str, float] = field(default_factory=dict)
    """When `/stop` closed a message's turn before the agent was asked; the note then replies to the `/stop`."""
    stopped_runs: frozenset[str] = frozenset()
    """Ids of messages whose claimed turn was closed as stopped."""
    actions: list[PersonAction] = field(default_factory=list)
    live_messages: list[LiveMessage] = field(default_factory=list)
    refusals: list[StreamRefusal] = field(default_factory=list)
    visible: list[BotMessage] = field(default_factory=list)
    """All texts that Teams ever showed: progress, words on cards, and texts replaced later."""
    deleted_sessions: list[SessionDeleted] = field(default_factory=list)
    processor_waits: list[ProcessorWait] = field(default_factory=list)
    """A busy machine: time that replicas lost, and that no limit of the checker counts."""
    observer_lags: list[ProcessorWait] = field(default_factory=list)
    """Time for which this process, which records all arrivals, was behind with its work."""
    claims: dict[str, list[float]] = field(default_factory=dict)
    """When each message's turn was claimed: text and deletion count as they were at the claim."""
    unfetched: frozenset[str] = frozenset()
    """Tokens of files whose download failed by an injected fault."""
    certain_seconds: float = CERTAIN_SECONDS
    """How long an owner goes on sending without a heartbeat."""
    latest_seconds: float = 120.0
    """How long a message may wait for its outcome without a recorded reason."""
    outcome_notes: tuple[str, ...] = ()
    """First words of notes that are an outcome of a question."""
    outcome_phrases: tuple[str, ...] = ()
    """Words inside notes of an outcome that begin with a person's name."""
    stopped_early_note: str = "Stopped before"
    """First words of the note after a stop before the agent was asked."""
    refused_note: str = "Too many messages"
    """First words of the note that a message was not accepted because the queue was full."""

    def slowed(self, since: float, seconds: float) -> float:
        """A limit of `seconds` after `since`, longer by all waits for a processor from `since` to the limit's end."""
        end = since + seconds
        for wait in sorted(self.processor_waits, key=lambda wait: wait.at):
            if since <= wait.at <= end + wait.seconds:
                end += wait.seconds
        return end

    def sent_from(self, arrived: float, seconds: float) -> float:
        """The earliest sending of a request recorded at `arrived`: `seconds` before, and all lags of this process."""
        start = arrived - seconds
        for lag in sorted(self.observer_lags, key=lambda lag: lag.at, reverse=True):
            if lag.at - lag.seconds <= arrived and start <= lag.at:
                start -= lag.seconds
        return start

    def asking_message(self, id_: str) -> str:
        """The id of the message whose turn asked for the merged group of message `id_`."""
        seen: set[str] = set()
        while id_ in self.merged and id_ not in seen:
            seen.add(id_)
            id_ = self.merged[id_]
        return id_

    def group(self, id_: str) -> set[str]:
        """The ids of all messages asked in one turn with message `id_`, `id_` included."""
        asking = self.asking_message(id_)
        return {asking, *(merged for merged in self.merged if self.asking_message(merged) == asking)}

    def timeline(self, lane: str) -> str:
        """A lane's records in order of time, one a line, for the report of a violation."""
        mine = {m.id for m in self.person_messages if m.lane == lane}
        messages = [m for m in self.person_messages if m.lane == lane]
        events = [(m.sent, f"sent     {m.id} {m.token}{' with a file' * m.file}") for m in messages]
        events += [(m.acked, f"acked    {m.id} {m.token}") for m in messages if m.acked]
        events += [
            (m.at, f"shown    {m.text[:60]!r} to {m.reply_to} {m.fault}") for m in self.bot_messages if m.lane == lane
        ]
        for run in self.runs:
            if run.lane == lane:
                events += [(run.began, f"asked    {run.tokens} edited {run.edited} files {run.files}")]
                events += [(run.ended, f"ended    {run.tokens} {run.result}")]
        for action in self.actions:
            if action.about in mine:
                events += [(action.at, f"{action.kind:8} {action.about}")]
                if action.acked is not None:
                    events += [(action.acked, f"acked    the {action.kind} of {action.about}, {action.worked}")]
        events += [(at, f"claimed  {about}") for about in mine for at in self.claims.get(about, ())]
        for live in self.live_messages:
            if live.lane == lane:
                events += [(live.began, f"progress {live.id}"), *((at, f"fault    at {live.id}") for at in live.faults)]
                events += [(live.ended, f"replaced {live.id}")] if live.ended is not None else []
        events += [(r.at, f"refused  {r.rule!r} of {r.stream}") for r in self.refusals if r.lane == lane]
        events += [(t.at, f"{t.kind:8} until {t.until:.2f}") for t in self.troubles]
        return "\n".join(f"{at:9.2f} {event}" for at, event in sorted(events))


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken guarantee: its kind ("lost", "doubled", …), the lane, and the ids and times for the report."""

    kind: str
    lane: str
    about: str
