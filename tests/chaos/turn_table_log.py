"""Reads from the turn table the facts no outsider sees: merged messages, early stops, times of claims."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from bridge.core.history import steps


class Row(NamedTuple):
    """A question's row of the turn table."""

    n: int
    id: str
    outcome: str
    history: str
    again_of: int | None
    merged_into: int | None


@dataclass
class TableFacts:
    """The fields of `records.History` with the same names; times in epoch seconds."""

    merged: dict[str, str] = field(default_factory=dict)
    stopped_early: dict[str, float] = field(default_factory=dict)
    stopped_runs: set[str] = field(default_factory=set)
    claims: dict[str, list[float]] = field(default_factory=dict)


def rows(store: str, schema: str) -> list[Row]:
    """All questions in the order of acceptance; call after all processes on the store have ended."""
    query = "SELECT n, id, outcome, history, again_of, merged_into FROM {}turns WHERE kind = 'ask' ORDER BY n"
    if schema:
        with psycopg.connect(store) as connection:
            return [Row(*row) for row in connection.execute(query.format(f"{schema}.").encode()).fetchall()]
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return [Row(*row) for row in connection.execute(query.format("")).fetchall()]


def facts_of(table: list[Row]) -> TableFacts:
    """The facts by message id. An *Ask again* row counts for the message of the question asked first."""
    by_n = {row.n: row for row in table}
    again = {row.again_of: row for row in table if row.again_of is not None}
    facts, claims = TableFacts(), defaultdict[str, list[float]](list)
    for row in table:
        if row.again_of is not None:
            continue
        message = _activity(row.id)
        last = row
        if row.merged_into is not None:
            facts.merged[message] = _activity(_root(by_n[row.merged_into], by_n).id)
            claims[message] += _claimed(row)
            last = by_n[row.merged_into]
        claims[message] += _claimed(last)
        while last.n in again:
            last = again[last.n]
            claims[message] += _claimed(last)
        # A turn stopped before its run has no reply; the note of the stop replies to the `/stop`.
        stopped = [step.at for step in steps(last.history) if step.what == "closed:stopped"]
        if stopped and "answered" not in last.history:
            facts.stopped_early[message] = stopped[0]
        elif stopped:
            facts.stopped_runs.add(message)
    facts.claims = dict(claims)
    return facts


def _claimed(row: Row) -> list[float]:
    return [step.at for step in steps(row.history) if step.what == "running"]


def _root(row: Row, by_n: dict[int, Row]) -> Row:
    while row.again_of is not None:
        row = by_n[row.again_of]
    return row


def _activity(id_: str) -> str:
    """The activity's id, the last part of a turn's id (channel, conversation, type, activity)."""
    return id_.rpartition("|")[2]
