"""What only the turn table knows: which messages were asked together or taken back, and when they were claimed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from bridge.core.history import steps


class Row(NamedTuple):
    """A question's row."""

    n: int
    id: str
    outcome: str
    history: str
    again_of: int | None
    merged_into: int | None


@dataclass
class Told:
    """See records.History."""

    merged: dict[str, str] = field(default_factory=dict)
    withdrawn: dict[str, float] = field(default_factory=dict)
    claims: dict[str, list[float]] = field(default_factory=dict)


def rows(store: str, schema: str) -> list[Row]:
    """All questions, in order; the processes on the store must have ended."""
    query = "SELECT n, id, outcome, history, again_of, merged_into FROM {}turns WHERE kind = 'ask' ORDER BY n"
    if schema:
        with psycopg.connect(store) as connection:
            return [Row(*row) for row in connection.execute(query.format(f"{schema}.").encode()).fetchall()]
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return [Row(*row) for row in connection.execute(query.format("")).fetchall()]


def told_by(table: list[Row]) -> Told:
    """What the rows say about messages. An *Ask again* is the message's of the question that it repeats."""
    by_n = {row.n: row for row in table}
    again = {row.again_of: row for row in table if row.again_of is not None}
    told, claims = Told(), defaultdict[str, list[float]](list)
    for row in table:
        if row.again_of is not None:
            continue
        message = _activity(row.id)
        last = row
        if row.merged_into is not None:
            told.merged[message] = _activity(_root(by_n[row.merged_into], by_n).id)
            claims[message] += _claimed(row)
            last = by_n[row.merged_into]
        claims[message] += _claimed(last)
        while last.n in again:
            last = again[last.n]
            claims[message] += _claimed(last)
        # stopped without a reply of its own: the note that says so replies to the command
        stopped = [step.at for step in steps(last.history) if step.what == "closed:stopped"]
        if stopped and "answered" not in last.history:
            told.withdrawn[message] = stopped[0]
    told.claims = dict(claims)
    return told


def _claimed(row: Row) -> list[float]:
    return [step.at for step in steps(row.history) if step.what == "running"]


def _root(row: Row, by_n: dict[int, Row]) -> Row:
    while row.again_of is not None:
        row = by_n[row.again_of]
    return row


def _activity(id_: str) -> str:
    """The activity's own id out of a turn's (channel, conversation, type, activity)."""
    return id_.rpartition("|")[2]
