"""Operations for messages that people edit or delete after sending, and for a conversation that loses the bot.

Generators of statements, like `operations`. `release` is atomic; the others may be repeated after any statement.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bridge.core.edits import EditResult, EditVerdict, MessageEdit, emptied, files_left, reworded
from bridge.core.turn import Kind, Outcome, State, Turn
from bridge.store.codec import clean, dump_edit, dump_payload, step, turn_of
from bridge.store.database import Operation

_TRIES = 5
_LONGEST_CHAIN = 20


def edit(wanted: MessageEdit, now: float) -> Operation[EditResult]:
    """See `TurnStore.edit`."""
    for _ in range(_TRIES):
        own = yield from _by_id(wanted.message)
        if own is None and wanted.keep:
            kept = {"id": clean(wanted.message), "text": clean(wanted.edit.text), "stamp": wanted.edit.stamp}
            yield "keep_edit", kept
            own = yield from _by_id(wanted.message)  # the message may have come: write, commit, then look
            if own is None:
                return EditResult(EditVerdict.KEPT)
        if own is None or not _counts(own, wanted):
            return EditResult(EditVerdict.NOTHING)
        result = yield from _apply(own, wanted, now)
        if result is not None:
            return result
    return EditResult(EditVerdict.NOTHING)


def _counts(own: Turn, wanted: MessageEdit) -> bool:
    """Whether the edit is allowed, newer than the last edit of the message, and changes the question."""
    if own.kind is Kind.NEW:
        return wanted.person is None
    asker = own.payload.person.aad_id.lower()
    allowed = own.kind is Kind.ASK and (wanted.person is None or wanted.person.lower() == asker)
    if not allowed or (own.edit is not None and own.edit.stamp > wanted.edit.stamp):
        return False
    # Teams also reports an edit when it adds the preview of a link; and a message without words may have had files
    news = wanted.person is None or own.words != wanted.edit.text or own.outcome is Outcome.WITHDRAWN
    return news or own.edit == wanted.edit


def _apply(own: Turn, wanted: MessageEdit, now: float) -> Operation[EditResult | None]:
    """The edit's result; None if the turn changed its state meanwhile: try the edit again."""
    # write, commit, then look: of two messages deleted together, the later edit sees both empty
    rows = yield "set_edit", {"n": own.n, "edit": dump_edit(wanted.edit)}
    if not rows:
        return None
    group = yield from _group(turn_of(rows[0]))
    last = yield from _last_repetition(group[-1])
    if _withdrawn_in_queue(last):
        return EditResult(EditVerdict.UNASKED, last.n)
    if emptied(group):
        withdrawn = yield from withdraw(last, now)
        return None if withdrawn.verdict is EditVerdict.NOTHING and _may_be_withdrawn(last) else withdrawn
    text = reworded(group)
    if last.state is not State.QUEUED:
        if (rows := (yield "find", {"n": last.n})) and turn_of(rows[0]).state is State.QUEUED:
            return None  # the turn was released meanwhile
        # a repeated edit may find its words asked already
        return EditResult(EditVerdict.NOTHING if last.payload.text == text else EditVerdict.LATE, last.n)
    payload = replace(last.payload, text=text, files=files_left(group))
    queued = {"n": last.n, "fence": last.fence, "payload": dump_payload(payload), "step": step(now, "edited")}
    return EditResult(EditVerdict.USED, last.n) if (yield "edit_queued", queued) else None


def withdraw(seen: Turn, now: float) -> Operation[EditResult]:
    """See `TurnStore.withdraw`."""
    rows = yield "withdraw", {"n": seen.n, "fence": seen.fence, **_withdrawal(now)}
    if not rows:
        return EditResult(EditVerdict.NOTHING, seen.n)
    running = rows[0]["state"] == State.RUNNING
    return EditResult(EditVerdict.STOPPING if running else EditVerdict.WITHDRAWN, seen.n)


def release(claim: dict[str, Any], now: float) -> Operation[bool]:
    """See `TurnStore.release`; atomic. The turn is queued with the present words of its messages."""
    if not (yield "release", claim | {"step": step(now, "released")}):
        return False
    rows = yield "find", {"n": claim["n"]}
    turn = turn_of(rows[0])
    group = yield from _group(turn)
    present = replace(turn.payload, text=reworded(group), files=files_left(group))
    if turn.again_of is None and present != turn.payload and not emptied(group):
        payload = dump_payload(present)
        yield "edit_queued", {"n": turn.n, "fence": turn.fence, "payload": payload, "step": step(now, "edited")}
    return True


def current_question(n: int) -> Operation[tuple[Turn, str] | None]:
    """See `TurnStore.current_question`."""
    rows = yield "find", {"n": n}
    if not rows:
        return None
    group = yield from _group(turn_of(rows[0]))
    carrier = root = group[-1]
    for _ in range(_LONGEST_CHAIN):
        if root.again_of is None or not (rows := (yield "find", {"n": root.again_of})):
            break
        root = turn_of(rows[0])
    if root.n != carrier.n:
        group = yield from _group(root)
    return carrier, reworded(group) if group[-1].payload.text else carrier.payload.text


def withdraw_all(id_prefix: str, now: float) -> Operation[tuple[int, ...]]:
    """See `TurnStore.withdraw_all`."""
    prefix = clean(id_prefix)
    rows = yield "withdraw_all", {"conversation": f"{prefix}|", "threads": f"{prefix};", **_withdrawal(now)}
    return tuple(row["n"] for row in rows if row["state"] == State.RUNNING)


def _withdrawal(now: float) -> dict[str, Any]:
    return {"at": now, "closing": step(now, "closed:withdrawn"), "step": step(now, "stop")}


def _by_id(id_: str) -> Operation[Turn | None]:
    rows = yield "by_id", {"id": clean(id_)}
    return turn_of(rows[0]) if rows else None


def _group(own: Turn) -> Operation[list[Turn]]:
    """The turns whose texts are asked together with the text of `own`; the asking turn is the last."""
    asks = own
    if own.merged_into is not None:
        rows = yield "find", {"n": own.merged_into}
        asks = turn_of(rows[0]) if rows else own
    members = yield "members", {"n": asks.n}
    return [*(turn_of(row) for row in members), asks]


def _may_be_withdrawn(turn: Turn) -> bool:
    """Whether the turn was open for withdrawal when it was read (`<may be withdrawn>` in the statements)."""
    return turn.state is State.QUEUED or (turn.state is State.RUNNING and turn.kind is Kind.ASK and not turn.stop)


def _withdrawn_in_queue(turn: Turn) -> bool:
    """Whether the turn was withdrawn before its run."""
    return turn.outcome is Outcome.WITHDRAWN and not turn.stop


def _last_repetition(turn: Turn) -> Operation[Turn]:
    """The last repetition of the question by *Ask again*; `turn` if the question was asked once."""
    for _ in range(_LONGEST_CHAIN):
        rows = yield "asked_again", {"n": turn.n}
        if not rows:
            break
        turn = turn_of(rows[0])
    return turn
