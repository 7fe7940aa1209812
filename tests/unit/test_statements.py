"""The named SQL: each statement is used, each use exists, no statement reads the whole table; the schema is built."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge.store.sqlite
from bridge.store.sqlite import SQLITE
from bridge.store.statements import load_migrations, load_statements

STATEMENTS = load_statements(SQLITE)
# Reads at most 500 rows, by a LIMIT.
BOUNDED = {"delete"}


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for step in load_migrations(SQLITE):
            connection.executescript(step)
        yield connection


def _parameters(sql: str) -> dict[str, int]:
    return dict.fromkeys(re.findall(r":(\w+)", sql), 1)


def test_every_statement_is_used_and_every_use_exists() -> None:
    folder = Path(bridge.store.sqlite.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    words = set(re.findall(r'"([a-z_]+)"', source))
    fetched = set(re.findall(r'(?:yield|yield \(\n\s*|first_row\(|_write\()\s*"([a-z_]+)"', source))
    assert set(STATEMENTS) <= words
    assert fetched <= set(STATEMENTS)
    assert len(fetched) > 10


def test_every_statement_fits_the_schema(database: sqlite3.Connection) -> None:
    for sql in STATEMENTS.values():
        database.execute(f"EXPLAIN {sql}", _parameters(sql))


@pytest.mark.parametrize("name", sorted(set(STATEMENTS) - BOUNDED))
def test_no_statement_reads_the_whole_table(database: sqlite3.Connection, name: str) -> None:
    """The table keeps the ids of a week; a scan in the writer's thread would hold up all traffic."""
    sql = STATEMENTS[name]
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", _parameters(sql))]
    assert [step for step in plan if re.fullmatch(r"(SCAN|SEARCH)( TABLE)? turns", step)] == []


def test_each_statement_is_one_statement_without_comments() -> None:
    for name, sql in STATEMENTS.items():
        assert sqlite3.complete_statement(f"{sql};"), name
        assert ";" not in sql, name
        assert "--" not in sql, name


def test_every_write_of_a_claimed_row_names_number_owner_and_fence() -> None:
    for name in ("release", "record_answer", "replace_payload", "record_delivered", "count_attempt", "close_turn"):
        assert "WHERE n = :n AND owner = :owner AND fence = :fence" in STATEMENTS[name], name


def test_the_read_of_each_heartbeat_takes_two_columns_only(database: sqlite3.Connection) -> None:
    cursor = database.execute(STATEMENTS["own_before"], _parameters(STATEMENTS["own_before"]))
    assert [column[0] for column in cursor.description] == ["n", "lane"]


SECONDS = st.floats(0.01, 3600.0)


@given(offset=st.floats(-1e8, 1e8) | st.floats(-10.0, 10.0), interval=SECONDS, burst=st.integers(1, 20))
def test_a_budget_left_by_any_clock_holds_no_question_for_longer_than_the_bucket_takes_to_fill(
    offset: float, interval: float, burst: int
) -> None:
    """The row's time lies `offset` seconds ahead of now: more than the bucket allows after a clock was set back."""
    most = burst * interval
    parameters = {"name": "b", "interval": interval, "most": most}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE budgets (name TEXT PRIMARY KEY, tat REAL NOT NULL)")
        connection.execute(STATEMENTS["exhaust"], {"name": "b", "most": offset})
        spent = [bool(connection.execute(STATEMENTS["spend"], parameters).fetchall()) for _ in range(burst + 1)]
        wait = connection.execute(STATEMENTS["budget_wait"], parameters).fetchone()[0]
    assert wait <= most + 5.01
    if offset > most + 5.1 or offset < 0:
        assert spent[:burst] == [True] * burst
    elif interval > 1.0:
        assert sum(spent) <= burst


def test_the_schema_grows_from_nothing_step_by_step() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        bridge.store.sqlite._migrate(connection, create=True)  # noqa: SLF001  the step of `open`, without a file
        assert connection.execute("PRAGMA user_version").fetchone() == (len(load_migrations(SQLITE)),)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1").fetchall()
        assert ("turns",) in tables
        bridge.store.sqlite._migrate(connection, create=True)  # noqa: SLF001  a second start changes nothing


def test_the_database_refuses_a_second_claimed_row_of_a_lane(database: sqlite3.Connection) -> None:
    insert = "INSERT INTO turns (id, kind, lane, session, state, accepted) VALUES (?, 'ask', 'lane', '', ?, 0)"
    database.execute(insert, ("a", "running"))
    database.execute(insert, ("b", "queued"))
    with pytest.raises(sqlite3.IntegrityError):
        database.execute(insert, ("c", "answered"))
