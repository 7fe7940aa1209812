"""Operators' actions on turns: list, show, ask again, drop, pause all turns, read feedback.

Operators must not read conversations: no question, reply or person's name leaves this module. Feedback is written for
operators, so the words of ratings do.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import structlog

from bridge.core.edits import changed_since
from bridge.core.feedback import After, KeptRating
from bridge.core.history import steps
from bridge.core.outbound.answers_and_notes import note, note_turn
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnFilter
from bridge.core.texts import say
from bridge.core.turn import DropVerdict, Kind, NewTurn, State, Turn, turn_name
from bridge.engine.dispatcher import Dispatcher

_log = structlog.get_logger()

_DROPPED = {Kind.ASK: "dropped", Kind.NEW: "dropped_new"}


class Refusal(StrEnum):
    """Why an action on a turn was refused."""

    UNKNOWN = "unknown"
    OPEN = "open"
    CLOSED = "closed"
    NO_QUESTION = "no_question"
    TEXT_GONE = "text_gone"
    ASKED_AGAIN = "asked_again"


class Operator:
    """The admin API's access to the engine. Each change is on disk when its method returns."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._clock = clock

    @property
    def paused(self) -> bool:
        """Whether an operator has paused all turns."""
        return self._dispatcher.paused

    async def list(self, wanted: TurnFilter, limit: int) -> tuple[dict[str, Any], ...]:
        """The newest turns matching the filter, newest first, as JSON values. Raises: StoreUnavailable."""
        now = self._clock.now()
        return tuple(_summary(turn, now) for turn in await self._dispatcher.turns(wanted, limit))

    async def show(self, n: int) -> dict[str, Any] | None:
        """All facts of turn `n` except the texts, as JSON values; None if unknown. Raises: StoreUnavailable."""
        turn = await self._dispatcher.find(n)
        return None if turn is None else _details(turn, self._clock.now())

    async def again(self, n: int) -> int | Refusal:
        """Ask a closed question again in the same lane and session; gives the new number. Raises: StoreUnavailable."""
        asked = await self._dispatcher.find(n)
        if asked is None:
            return Refusal.UNKNOWN
        if asked.kind is not Kind.ASK:
            return Refusal.NO_QUESTION
        if asked.state is not State.CLOSED:
            return Refusal.OPEN
        restated = await self._dispatcher.edits.current_question(n)
        # a merged question is asked again with the words of the question alone, not of the whole group
        text = restated[1] if restated is not None and restated[0].n == n else asked.words
        if not text and (changed_since(asked) or not asked.payload.files):
            return Refusal.TEXT_GONE
        payload = replace(asked.payload, text=text)
        new = NewTurn(f"again|{n}", Kind.ASK, asked.lane, payload, self._clock.now(), again_of=n)
        accepted = await self._dispatcher.accept(new, bounded=False)
        if accepted.duplicate:
            return Refusal.ASKED_AGAIN
        _log.info("operator_again", turn=asked.name, new=turn_name(accepted.n))
        return accepted.n

    async def drop(self, n: int) -> DropVerdict | Refusal:
        """Close an open turn and show its people a note; a running turn is stopped. Raises: StoreUnavailable."""
        turn = await self._dispatcher.find(n)
        if turn is None:
            return Refusal.UNKNOWN
        if turn.state is State.CLOSED:
            return Refusal.CLOSED
        verdict = await self._dispatcher.drop(n, self._drop_note(turn))
        _log.info("operator_drop", turn=turn.name, verdict=verdict.value)
        return Refusal.CLOSED if verdict is DropVerdict.NOTHING else verdict

    async def feedback(self, after: After, limit: int) -> tuple[dict[str, Any], ...]:
        """Ratings of answers, oldest first, as JSON values; `after` continues the list. Raises: StoreUnavailable."""
        found = await self._dispatcher.edits.ratings(after, limit)
        return tuple(_rating(rating) for rating in found)

    async def pause(self, paused: bool) -> None:
        """Hold all turns, or let turns go on; messages during a pause are kept. Raises: StoreUnavailable."""
        await self._dispatcher.pause(paused)
        _log.info("operator_pause", paused=paused)

    def _drop_note(self, turn: Turn) -> NewTurn:
        words = f"{say(_DROPPED.get(turn.kind, 'dropped_message'), turn.locale)}\n\n*{turn.name}*"
        return note_turn(f"drop|{turn.n}", turn.payload, note(words), self._clock.now())


def _summary(turn: Turn, now: float) -> dict[str, Any]:
    return {
        "n": turn.n,
        "name": turn.name,
        "kind": turn.kind,
        "state": turn.state,
        "outcome": turn.outcome,
        "error": turn.error,
        "accepted": _time(turn.accepted),
        "closed": None if turn.closed is None else _time(turn.closed),
        "seconds": round(max(0.0, (now if turn.closed is None else turn.closed) - turn.accepted), 3),
        "user": turn.session.rpartition(":")[2],
        "lane": turn.lane,
        "attempts": turn.attempts,
        "owner": turn.owner,
        "fence": turn.fence,
        "stop": turn.stop,
        "again_of": None if turn.again_of is None else turn_name(turn.again_of),
        "merged_into": None if turn.merged_into is None else turn_name(turn.merged_into),
    }


def _details(turn: Turn, now: float) -> dict[str, Any]:
    """A turn's summary and details. Texts appear as sizes in bytes, None after the text's retention."""
    kept = bool(turn.payload.reference.conversation)
    return {
        **_summary(turn, now),
        "session": turn.session,
        "conversation": turn.payload.reference.conversation or None,
        "scope": turn.payload.reference.scope if kept else None,
        "text_bytes": len(turn.payload.text.encode()) if kept else None,
        "parts": None if turn.reply is None else len(turn.reply.activities),
        "parts_shown": len(turn.delivered),
        "history": [{"at": _time(step.at), "what": step.what, "by": step.by} for step in steps(turn.history)],
    }


def _rating(rating: KeptRating) -> dict[str, Any]:
    return {
        "turn": turn_name(rating.turn),
        "at": _time(rating.at),
        "person": rating.person,
        "reaction": rating.reaction,
        "words": rating.words,
        "outcome": rating.outcome or None,
        "session": rating.session or None,
        "after": f"{rating.at!r},{rating.turn},{rating.person}",
    }


def _time(at: float) -> str:
    """ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
