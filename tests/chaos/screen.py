"""What Teams shows in its personal chats: messages, what takes their place, and streams by the rules of streams."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bridge.core.outbound.cards import ASK_AGAIN, ASK_INSTEAD, STOP
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.stream_rules import Part, Streams, is_streamed, not_allowed, part_of
from chaos.records import Progress, Refusal, Shown

# Shorter than Teams' own, so that a stream which a dead process has left stands in the way of the next not too long.
STREAM_SECONDS = 30.0
_STOPPED = "canceled by user"
_LATE = "exceeded streaming time"
# The line below what the agent has said so far.
_LINE = re.compile(r"\*[^*\n]+( …| · [^*\n]+)\*$")


@dataclass(frozen=True, slots=True)
class Card:
    """A card with a button that has a question asked once more; it replies to `about`."""

    id: str
    lane: str
    about: str
    action: dict[str, Any]


@dataclass
class Screen:
    """All chats. `limited`: a stream takes one request a second."""

    shown: list[Shown] = field(default_factory=list)
    progress: dict[str, Progress] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    streams: Streams = field(default_factory=lambda: Streams(seconds=STREAM_SECONDS))
    stopped: int = 0
    _places: dict[str, int] = field(default_factory=dict)
    _ids: int = 0

    def new_id(self) -> str:
        self._ids += 1
        return f"b{self._ids}"

    def take(self, activity: dict[str, Any], message: str, shown: Shown) -> str:
        """Show an activity, in place of `message` if it names one; gives its id, "" where Teams names none.

        Raises Refused.
        """
        if is_streamed(activity):
            return self._part(activity, shown)
        if message:
            self._edited(message, shown)
        id_ = message or self.new_id()
        if _shows_progress(activity):
            self._progress_of(id_, shown)
        else:
            self._show(id_, activity, shown)
        return id_

    def stop(self, choose: Callable[[list[Progress]], Progress], now: float) -> None:
        """A person presses Stop on one of the streams that are open, if any is."""
        open_ = [one for one in self.progress.values() if self.streams.open_in(one.lane) == one.id]
        if open_:
            one = choose(open_)
            self.streams.end(one.lane, "stopped")
            one.ended = now
            self.stopped += 1

    def _part(self, activity: dict[str, Any], shown: Shown) -> str:
        part, lane = part_of(activity), shown.lane
        before = self.streams.open_in(lane) or part.stream_id or ""
        try:
            verdict = self.streams.judge(lane, part, shown.at)
        except Refused as refused:
            self._refused(refused.message, before, shown)
            raise
        if verdict == "started":
            id_ = self.new_id()
            self.streams.start(lane, id_, part, shown.at)
            self._progress_of(id_, shown)
            return id_
        self.streams.take(lane, part, verdict, shown.at)
        if verdict in ("dropped", "hidden"):
            self._refused(f"{verdict}: {_kind(part)}", before, shown)
        if verdict == "final":
            self._show(before, activity, shown)
        else:
            self._progress_of(before, shown)
        return ""

    def _refused(self, rule: str, stream: str, shown: Shown) -> None:
        if _STOPPED not in rule and _LATE not in rule:
            self.refusals.append(Refusal(shown.at, shown.lane, rule, stream))

    def _edited(self, message: str, shown: Shown) -> None:
        if self.streams.was_stopped(message):
            raise not_allowed("Content stream was canceled by user.")
        if self.streams.open_in(shown.lane) == message:
            self.streams.end(shown.lane, "replaced")

    def _progress_of(self, id_: str, shown: Shown) -> None:
        one = self.progress.setdefault(id_, Progress(id_, shown.lane, shown.at))
        if shown.fault:
            one.faults.append(shown.at)

    def _show(self, id_: str, activity: dict[str, Any], shown: Shown) -> None:
        """What takes a message's place is shown in its stead."""
        if (one := self.progress.get(id_)) is not None and one.ended is None:
            one.ended = shown.at
        action = _action(activity)
        if action.get("verb") in (ASK_AGAIN, ASK_INSTEAD):
            self.cards.append(Card(id_, shown.lane, shown.reply_to, action))
        at = self._places.setdefault(id_, len(self.shown))
        if at == len(self.shown):
            self.shown.append(shown)
        elif self.shown[at].text != shown.text:
            self.shown[at] = shown


def _shows_progress(activity: dict[str, Any]) -> bool:
    text = activity.get("text")
    return _LINE.search(text) is not None if text else _action(activity).get("verb") == STOP


def card_of(activity: dict[str, Any]) -> str:
    """The turn that an activity's card is about."""
    data = _action(activity).get("data", {})
    return f"turn {data['turn']}" if "turn" in data else ""


def _action(activity: dict[str, Any]) -> dict[str, Any]:
    """The button of an activity's card."""
    for attachment in activity.get("attachments") or ():
        for action in attachment.get("content", {}).get("actions", ()):
            return dict(action)
    return {}


def _kind(part: Part) -> str:
    return f"{part.kind} {part.sequence}"
