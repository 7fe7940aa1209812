"""Operations for what people do to a message after they have sent it: edit it, delete it, remove the bot.

Like those of `operations`; not atomic, each may be begun again after any of its statements.
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


def change(change: MessageEdit, now: float) -> Operation[EditResult]:
    """See ports.TurnStore.change."""
    for _ in range(_TRIES):
        own = yield from _by_id(change.message)
        if own is None and change.keep:
            kept = {"id": clean(change.message), "text": clean(change.edit.text), "stamp": change.edit.stamp}
            yield "keep_edit", kept
            own = yield from _by_id(change.message)  # it may have come meanwhile: write, commit, then look
            if own is None:
                return EditResult(EditVerdict.KEPT)
        if own is None or not _counts(own, change):
            return EditResult(EditVerdict.NOTHING)
        changed = yield from _change(own, change, now)
        if changed is not None:
            return changed
    return EditResult(EditVerdict.NOTHING)


def _counts(own: Turn, change: MessageEdit) -> bool:
    if own.kind is Kind.NEW:
        return change.person is None
    asker = own.payload.person.aad_id.lower()
    allowed = own.kind is Kind.ASK and (change.person is None or change.person.lower() == asker)
    if not allowed or (own.edit is not None and own.edit.stamp > change.edit.stamp):
        return False
    # Teams reports an edit also where nobody changed a word, as when it adds a preview of a link; and what had no words
    # may have had files
    news = change.person is None or own.words != change.edit.text or own.outcome is Outcome.WITHDRAWN
    return news or own.edit == change.edit


def _change(own: Turn, change: MessageEdit, now: float) -> Operation[EditResult | None]:
    """What becomes of it; None where its turn has just gone on, so that it must be looked at again."""
    # write, commit, then look: of two messages that are deleted at once, one sees that nothing is left
    rows = yield "set_edit", {"n": own.n, "edit": dump_edit(change.edit)}
    if not rows:
        return None
    group = yield from _group(turn_of(rows[0]))
    standing = yield from _standing(group[-1])
    if _unasked(standing):
        return EditResult(EditVerdict.UNASKED, standing.n)
    if emptied(group):
        gone = yield from withdraw(standing, now)
        return None if gone.verdict is EditVerdict.NOTHING and _can_go(standing) else gone
    text = reworded(group)
    if standing.state is not State.QUEUED:
        if (rows := (yield "find", {"n": standing.n})) and turn_of(rows[0]).state is State.QUEUED:
            return None  # it was put back meanwhile
        # told once more, a change may find its own words asked already
        return EditResult(EditVerdict.NOTHING if standing.payload.text == text else EditVerdict.LATE, standing.n)
    payload = replace(standing.payload, text=text, files=files_left(group))
    queued = {"n": standing.n, "fence": standing.fence, "payload": dump_payload(payload), "step": step(now, "edited")}
    return EditResult(EditVerdict.USED, standing.n) if (yield "edit_queued", queued) else None


def withdraw(seen: Turn, now: float) -> Operation[EditResult]:
    """See ports.TurnStore.withdraw."""
    rows = yield "withdraw", {"n": seen.n, "fence": seen.fence, **_withdrawn(now)}
    if not rows:
        return EditResult(EditVerdict.NOTHING, seen.n)
    running = rows[0]["state"] == State.RUNNING
    return EditResult(EditVerdict.STOPPING if running else EditVerdict.WITHDRAWN, seen.n)


def release(held: dict[str, Any], now: float) -> Operation[bool]:
    """See ports.TurnStore.release; atomic. What is put back is asked as its messages say by now."""
    if not (yield "release", held | {"step": step(now, "released")}):
        return False
    rows = yield "find", {"n": held["n"]}
    turn = turn_of(rows[0])
    group = yield from _group(turn)
    now_asked = replace(turn.payload, text=reworded(group), files=files_left(group))
    if turn.again_of is None and now_asked != turn.payload and not emptied(group):
        payload = dump_payload(now_asked)
        yield "edit_queued", {"n": turn.n, "fence": turn.fence, "payload": payload, "step": step(now, "edited")}
    return True


def current_question(n: int) -> Operation[tuple[Turn, str] | None]:
    """See ports.TurnStore.restated."""
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


def withdraw_all(place: str, now: float) -> Operation[tuple[int, ...]]:
    """See ports.TurnStore.abandon."""
    rows = yield "withdraw_all", {"there": f"{clean(place)}|", "threads": f"{clean(place)};", **_withdrawn(now)}
    return tuple(row["n"] for row in rows if row["state"] == State.RUNNING)


def _withdrawn(now: float) -> dict[str, Any]:
    return {"at": now, "closing": step(now, "closed:withdrawn"), "step": step(now, "stop")}


def _by_id(id_: str) -> Operation[Turn | None]:
    rows = yield "by_id", {"id": clean(id_)}
    return turn_of(rows[0]) if rows else None


def _group(own: Turn) -> Operation[list[Turn]]:
    """The turns whose texts are asked together with this one's, the one that asks them last."""
    asks = own
    if own.merged_into is not None:
        rows = yield "find", {"n": own.merged_into}
        asks = turn_of(rows[0]) if rows else own
    members = yield "members", {"n": asks.n}
    return [*(turn_of(row) for row in members), asks]


def _can_go(turn: Turn) -> bool:
    """Whether it would have been withdrawn, had it not gone on since it was read."""
    return turn.state is State.QUEUED or (turn.state is State.RUNNING and turn.kind is Kind.ASK and not turn.stop)


def _unasked(turn: Turn) -> bool:
    """Whether it was withdrawn while it waited."""
    return turn.outcome is Outcome.WITHDRAWN and not turn.stop


def _standing(turn: Turn) -> Operation[Turn]:
    """The turn itself or, where it was asked again, the last that was."""
    for _ in range(_LONGEST_CHAIN):
        rows = yield "asked_again", {"n": turn.n}
        if not rows:
            break
        turn = turn_of(rows[0])
    return turn
