"""The operations of the turn table, the same for every database.

An operation is a generator: it yields the name of a statement with parameters, receives the rows, and returns its
result. The database (`sqlite`, `postgres`) executes the statements and chooses the transactions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import orjson

from bridge.core.feedback import After, KeptRating, Rating, Reaction
from bridge.core.merging import MOST_TURNS, mergeable_count, merged, own_text
from bridge.core.outbound.answers_and_notes import stopped_early
from bridge.core.ports.heartbeat import Heartbeat, Orphans, Stalled
from bridge.core.ports.store import TurnFilter
from bridge.core.turn import (
    Accepted,
    DropVerdict,
    Edit,
    Kind,
    Lane,
    LaneStatus,
    NewTurn,
    State,
    Stopped,
    StopVerdict,
    Ticket,
    Turn,
    turn_name,
)
from bridge.store.codec import Row, clean, dump_edit, dump_payload, new_row, step, turn_of
from bridge.store.database import Operation

T = TypeVar("T")

_NO_LIMIT = {"unlimited": True, "room": 0}
# Conditions of `accept` for a note: queued, without a limit, whatever edits are kept.
ALWAYS = {"hold": True, "anyway": True, **_NO_LIMIT}
_LAST = 2**62
NAMED_WAITING = 5
_CLOCKS_APART = 60.0  # seconds; the clocks of replicas differ by less, so later times are from before a clock's setback


def accept(new: NewTurn, owner: str, *, claim: bool, room: int | None, now: float) -> Operation[Accepted]:
    """See `TurnStore.accept`. Not atomic: each statement is complete in itself."""
    row = new_row(new, owner, now) | {
        "hold": not claim,
        "unlimited": room is None,
        "room": room or 0,
        "anyway": new.kind is not Kind.ASK,
    }
    edit: Edit | None = None
    rows = yield "accept", row
    if not rows and not row["anyway"]:
        edit = yield from _early_edit(new)
        row["anyway"] = True
        if edit is not None:
            # queued, not claimed: the caller would run the turn with the old words
            row |= {"hold": True, "payload": dump_payload(replace(new.payload, text=edit.text))}
        rows = yield "accept" if edit is None or edit.text else "accept_withdrawn", row
    if not rows:
        known = yield "known", {"id": row["id"], "again_of": new.again_of}
        if known:
            return Accepted(known[0]["n"], duplicate=True)
        # the lane is full, or a process claimed in the lane at the same time: then the new turn waits behind
        rows = yield "accept", row | {"hold": True}
        if not rows:
            return Accepted(0, full=True)
    n = rows[0]["n"]
    if edit is not None:
        yield "set_edit", {"n": n, "edit": dump_edit(edit)}
    return Accepted(n, claimed=Ticket(n, owner, 1) if rows[0]["state"] == State.RUNNING else None)


def _early_edit(new: NewTurn) -> Operation[Edit | None]:
    """The edit of a message that arrived before the message itself."""
    kept = yield "kept_edit", {"id": clean(new.id)}
    return Edit(kept[0]["text"], kept[0]["stamp"]) if kept else None


def claim(lane: Lane, owner: str, now: float) -> Operation[Turn | None]:
    """Claim the head of the lane, without the turns to be merged with the head (see `merge`)."""
    rows = yield "claim", {"lane": clean(lane), "owner": owner, "step": step(now, "running", owner)}
    return turn_of(rows[0]) if rows else None


def merge(claimed: Turn, now: float) -> Operation[Turn]:
    """Merge a claimed head with the queued turns that belong together (`core.merging`); atomic.

    Returns the claimed turn: the last of the merged turns, or the head alone. Raises: Interfered.
    """
    rows = yield "queued_behind", {"lane": clean(claimed.lane), "n": claimed.n, "limit": MOST_TURNS}
    turns = [claimed, *(turn_of(row) for row in rows)]
    count = mergeable_count(turns)
    if count < 2:
        return claimed
    last, owner = turns[count - 1], claimed.owner
    for turn in turns[: count - 1]:
        into = {"n": turn.n, "into": last.n}
        if not (yield "merge_away", into | {"fence": turn.fence, "at": now, "step": step(now, "closed:merged")}):
            raise Interfered
        yield "merge_members", into
    taken = yield (
        "claim_merged",
        {
            "n": last.n,
            "fence": last.fence,
            "owner": owner,
            "payload": dump_payload(merged(turns[:count])),
            "edit": dump_edit(own_text(last)),
            # the live message of an earlier run of a merged turn
            "live": next((turn.live for turn in turns[:count] if turn.live), ""),
            "step": step(now, "running", owner),
        },
    )
    if not taken:
        raise Interfered
    return turn_of(taken[0])


class Interfered(Exception):
    """A row was changed meanwhile by another process; the operation must be undone."""


def stop(lane: Lane, note: NewTurn, by: str, owner: str, at: float, *, only: int) -> Operation[Stopped]:
    """See `TurnStore.stop`; atomic."""
    row = new_row(note, owner, at)
    if (yield "known", {"id": row["id"], "again_of": None}):
        return Stopped(StopVerdict.DUPLICATE)
    parameters = {
        "lane": clean(lane),
        "by": clean(by),
        "asker": row["asker"],
        "only": only,
        "at": at,
        "step": step(at, "stop"),
        "closing": step(at, "closed:stopped"),
    }
    own = () if only else (yield "stop_own", parameters)
    waiting = sorted((turn_of(row) for row in own if row["state"] == State.CLOSED), key=lambda turn: turn.n)
    claimed = next((row["n"] for row in own if row["state"] != State.CLOSED), 0)
    for name in () if own else ("stop_running", "stop_answered"):
        rows = yield name, parameters
        claimed = claimed or (rows[0]["n"] if rows else 0)
    if waiting:
        yield "accept", new_row(stopped_early(note, waiting), owner, at) | ALWAYS
    elif claimed:
        yield "remember_command", {"id": row["id"], "lane": parameters["lane"], "at": at}
    else:
        return Stopped(StopVerdict.NOTHING)
    verdict = StopVerdict.STOPPING if claimed else StopVerdict.WITHDRAWN
    return Stopped(verdict, claimed, tuple(turn.n for turn in waiting))


def drop(n: int, note: NewTurn, owner: str, at: float) -> Operation[DropVerdict]:
    """See `TurnStore.drop`; atomic."""
    if (yield "drop", {"n": n, "at": at, "closing": step(at, "closed:dropped")}):
        yield "accept", new_row(note, owner, at) | ALWAYS
        return DropVerdict.DROPPED
    if (yield "stop_this", {"n": n, "step": step(at, "stop")}):
        return DropVerdict.STOPPING
    return DropVerdict.NOTHING


def heartbeat(owner: str, running: int, *, counted: bool) -> Operation[Heartbeat]:
    """See `TurnStore.heartbeat`. `counted`: the heartbeat is written; a store of a single process need not write."""
    if counted and not (yield "count_heartbeat", {"owner": owner, "running": running}):
        return Heartbeat(alive=False)
    owners = yield "owners", {}
    (table,) = yield "overview", {}
    stops = yield "stops", {"owner": owner}
    return Heartbeat(
        counters={row["owner"]: row["beats"] for row in owners},
        orphans=bool(table["orphans"]),
        running=sum(row["running"] for row in owners) if counted else running,
        waiting=table["waiting"],
        paused=bool(table["paused"]),
        stops=tuple(row["n"] for row in stops),
    )


def take_over(owner: str, expired: frozenset[str], now: float) -> Operation[Orphans]:
    """See `TurnStore.take_over`; atomic, since no replica would run rows taken over without the caller's knowledge."""
    yield "serialise_takeovers", {}
    for expired_owner in sorted(expired):
        yield "remove_owner", {"owner": expired_owner}
    claimed = yield "take_over_claimed", {"owner": owner, "step": step(now, "adopted", owner)}
    queued = yield "take_over_queued", {"owner": owner}
    return Orphans(tuple(turn_of(row) for row in claimed), tuple({Lane(row["lane"]): None for row in queued}))


def stalled(owner: str, claimed_before: float, queued_before: float) -> Operation[Stalled]:
    """See `TurnStore.stalled`."""
    ahead = max(claimed_before, queued_before) + _CLOCKS_APART
    claimed = yield "own_before", {"owner": owner, "before": claimed_before, "ahead": ahead}
    lanes = yield "waiting_lanes", {"owner": owner, "before": queued_before, "ahead": ahead}
    return Stalled(tuple((row["n"], Lane(row["lane"])) for row in claimed), tuple(Lane(row["lane"]) for row in lanes))


def turns(wanted: TurnFilter, limit: int) -> Operation[tuple[Turn, ...]]:
    """See `TurnStore.turns`."""
    rows = yield (
        "list",
        {
            "before": _LAST if wanted.before is None else wanted.before,
            "state": wanted.state or "",
            "outcome": wanted.outcome or "",
            "kind": wanted.kind or "",
            "user": wanted.user or "",
            "limit": limit,
        },
    )
    return tuple(turn_of(row) for row in rows)


def lane_status(lane: Lane) -> Operation[LaneStatus]:
    """See `TurnStore.lane_status`."""
    rows = yield "lane_open", {"lane": clean(lane)}
    last = yield "lane_last", {"lane": clean(lane)}
    head = rows[0] if rows and rows[0]["state"] != State.QUEUED else None
    waiting = [row["n"] for row in rows[1 if head else 0 :]]
    return LaneStatus(
        running=turn_name(head["n"]) if head else None,
        since=head["accepted"] if head else 0.0,
        waiting=len(waiting),
        queued=tuple(turn_name(n) for n in waiting[:NAMED_WAITING]),
        last=turn_name(last[0]["n"]) if last and last[0]["n"] else None,
    )


def spend(budget: str, interval: float, burst: int) -> Operation[float]:
    """See `TurnStore.spend`."""
    parameters = {"name": budget, "interval": interval, "most": burst * interval}
    if (yield "spend", parameters):
        return 0.0
    wait = yield "budget_wait", parameters
    if not wait:
        yield "open_budget", {"name": budget}
        return 0.001
    # at most the seconds in which the bucket fills, even if the clock was set back
    return float(min(max(wait[0]["seconds"], 0.001), burst * interval))


def forget_old(blank_before: float, delete_before: float, now: float) -> Operation[int]:
    """See `TurnStore.forget_old`."""
    blanked = yield "blank", {"before": blank_before}
    deleted = yield "delete", {"before": delete_before}
    files = yield "forget_files", {"before": blank_before, "now": now}
    yield "forget_ratings", {"before": delete_before}
    yield "forget_edits", {}
    return len(blanked) + len(deleted) + len(files)


def first_row(name: str, parameters: dict[str, Any]) -> Operation[Row | None]:
    """The first row of a single statement, None without rows."""
    rows = yield name, parameters
    return rows[0] if rows else None


_RECENT = 50


def rate(rating: Rating) -> Operation[int]:
    """See `TurnStore.rate`."""
    rows = yield "recently_closed", {"lane": clean(rating.lane), "limit": _RECENT}
    rated = (row["n"] for row in rows if row["delivery"] and rating.message in orjson.loads(row["delivery"]))
    n: int = next(rated, 0)
    voice = {"turn": n, "person": clean(rating.person), "reaction": rating.reaction.value}
    if n and rating.taken_back:
        return n if (yield "unrate", voice) else 0
    if n:
        yield "rate", voice | {"words": clean(rating.words), "at": rating.at}
    return n


def ratings(after: After, limit: int) -> Operation[tuple[KeptRating, ...]]:
    """See `TurnStore.ratings`."""
    behind = {"at": after.at, "turn": after.turn, "person": clean(after.person), "limit": limit}
    rows = yield "ratings", behind
    return tuple(
        KeptRating(
            turn=row["turn"],
            person=row["person"],
            reaction=Reaction(row["reaction"]),
            words=row["words"],
            at=row["at"],
            outcome=row["outcome"],
            session=row["session"],
        )
        for row in rows
    )
