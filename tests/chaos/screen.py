"""The personal chats as Teams shows them: messages, their replacements, and streams by Teams' stream rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.core.outbound.cards import ASK_AGAIN, ASK_INSTEAD, STOP
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.stream_rules import Part, Streams, is_streamed, not_allowed, part_of
from chaos.records import BotMessage, LiveMessage, StreamRefusal

# Shorter than Teams' two minutes: a stream left open by a killed replica blocks the chat's next stream until then.
STREAM_SECONDS = 30.0
_STOPPED = "canceled by user"
_LATE = "exceeded streaming time"
# The activity line below the agent's text so far.
_ACTIVITY_LINE = re.compile(r"\*[^*\n]+( …| · [^*\n]+)\*$")


@dataclass(frozen=True, slots=True)
class Card:
    """A card in reply to the message `about`, with a button to ask the question again."""

    id: str
    lane: str
    about: str
    action: dict[str, Any]


@dataclass
class Screen:
    """All chats of a storm. `stopped`: how many streams were ended by a person's Stop.

    `visible`: every text ever shown, also progress, words on cards, and texts replaced later.
    """

    bot_messages: list[BotMessage] = field(default_factory=list)
    live_messages: dict[str, LiveMessage] = field(default_factory=dict)
    refusals: list[StreamRefusal] = field(default_factory=list)
    visible: dict[BotMessage, None] = field(default_factory=dict)
    cards: list[Card] = field(default_factory=list)
    streams: Streams = field(default_factory=lambda: Streams(seconds=STREAM_SECONDS))
    stopped: int = 0
    _positions: dict[str, int] = field(default_factory=dict)
    _ids: int = 0

    def new_id(self) -> str:
        self._ids += 1
        return f"b{self._ids}"

    def take(self, activity: dict[str, Any], message: str, shown: BotMessage) -> str:
        """Show an activity, in place of the message with the id `message` if not "".

        Gives the new message's id, "" where Teams answers without an id. Raises: Refused.
        """
        if is_streamed(activity):
            id_ = self._part(activity, shown)
            self._record_visible(activity, shown)
            return id_
        if message:
            self._end_stream_by_edit(message, shown)
        id_ = message or self.new_id()
        self._record_visible(activity, shown)
        if _shows_progress(activity):
            self._record_progress(id_, shown)
        else:
            self._show(id_, activity, shown)
        return id_

    def stop(self, choose: Callable[[list[LiveMessage]], LiveMessage], now: float) -> None:
        """A person presses Stop on one of the open streams, if there are any."""
        open_ = [live for live in self.live_messages.values() if self.streams.open_in(live.lane) == live.id]
        if open_:
            live = choose(open_)
            self.streams.end(live.lane, "stopped")
            live.ended, live.stopped = now, True
            self.stopped += 1

    def _part(self, activity: dict[str, Any], shown: BotMessage) -> str:
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
            self._record_progress(id_, shown)
            return id_
        self.streams.take(lane, part, verdict, shown.at)
        if verdict in ("dropped", "hidden"):
            self._refused(f"{verdict}: {_kind(part)}", before, shown)
        if verdict == "final":
            self._show(before, activity, shown)
        else:
            self._record_progress(before, shown)
        return ""

    def _refused(self, rule: str, stream: str, shown: BotMessage) -> None:
        if _STOPPED not in rule and _LATE not in rule:
            self.refusals.append(StreamRefusal(shown.at, shown.lane, rule, stream))

    def _end_stream_by_edit(self, message: str, shown: BotMessage) -> None:
        if self.streams.was_stopped(message):
            raise not_allowed("Content stream was canceled by user.")
        if self.streams.open_in(shown.lane) == message:
            self.streams.end(shown.lane, "replaced")

    def _record_visible(self, activity: dict[str, Any], shown: BotMessage) -> None:
        self.visible[shown] = None
        for attachment in activity.get("attachments") or ():
            for block in attachment.get("content", {}).get("body", ()):
                self.visible[replace(shown, text=str(block.get("text", "")))] = None

    def _record_progress(self, id_: str, shown: BotMessage) -> None:
        live = self.live_messages.setdefault(id_, LiveMessage(id_, shown.lane, shown.at))
        if shown.fault:
            live.faults.append(shown.at)

    def _show(self, id_: str, activity: dict[str, Any], shown: BotMessage) -> None:
        """Show a message, or replace the message with the same id; the same text again changes no record."""
        if (live := self.live_messages.get(id_)) is not None and live.ended is None:
            live.ended = shown.at
        action = _action(activity)
        if action.get("verb") in (ASK_AGAIN, ASK_INSTEAD):
            self.cards.append(Card(id_, shown.lane, shown.reply_to, action))
        position = self._positions.setdefault(id_, len(self.bot_messages))
        if position == len(self.bot_messages):
            self.bot_messages.append(shown)
        elif self.bot_messages[position].text != shown.text:
            self.bot_messages[position] = shown


def _shows_progress(activity: dict[str, Any]) -> bool:
    return _ACTIVITY_LINE.search(activity.get("text") or "") is not None or _action(activity).get("verb") == STOP


def card_turn(activity: dict[str, Any]) -> str:
    """The turn named in the button of an activity's card, as "turn <id>"; "" without."""
    data = _action(activity).get("data", {})
    return f"turn {data['turn']}" if "turn" in data else ""


def _action(activity: dict[str, Any]) -> dict[str, Any]:
    """The first button of an activity's card, {} without."""
    for attachment in activity.get("attachments") or ():
        for action in attachment.get("content", {}).get("actions", ()):
            return dict(action)
    return {}


def _kind(part: Part) -> str:
    return f"{part.kind} {part.sequence}"
