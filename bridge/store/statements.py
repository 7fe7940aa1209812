"""Loads the named SQL statements and the migrations from `sql/`.

`tests/unit/test_statements.py` checks that all names exist and are used, and fit the schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

# All columns of a row without the texts, for reading many rows.
_PLAIN = (
    "n, id, kind, lane, session, state, outcome, owner, fence, stop, '' AS stopped_by, attempts, again_of, "
    "NULL AS payload, NULL AS reply, NULL AS delivery, NULL AS edit, merged_into, error, history, live, accepted, "
    "closed"
)

# Withdraws queued and running turns in a single statement, since a running turn may be released at any moment.
_WITHDRAWN = """
  state = CASE WHEN state = 'queued' THEN 'closed' ELSE state END,
  outcome = CASE WHEN state = 'queued' THEN 'withdrawn' END,
  closed = CASE WHEN state = 'queued' THEN :at END,
  stop = CASE WHEN state = 'queued' THEN 0 ELSE 2 END,
  history = history || CASE WHEN state = 'queued' THEN :closing ELSE :step END"""
# Stops waiting and claimed turns in a single statement, for the same reason; a withdrawn run stays withdrawn.
_STOPPED = """
  state = CASE WHEN state = 'queued' THEN 'closed' ELSE state END,
  outcome = CASE WHEN state = 'queued' THEN 'stopped' END,
  closed = CASE WHEN state = 'queued' THEN :at END,
  stop = CASE WHEN state = 'queued' THEN 0 WHEN stop = 0 THEN 1 ELSE stop END,
  stopped_by = CASE WHEN state = 'queued' THEN '' ELSE :by END,
  history = history || CASE WHEN state = 'queued' THEN :closing ELSE :step END"""
_SHARED = {
    "<plain columns>": _PLAIN,
    "<withdrawn>": _WITHDRAWN,
    "<stopped>": _STOPPED,
    "<may be withdrawn>": "(state = 'queued' OR state = 'running' AND kind = 'ask' AND stop = 0)",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences between the databases: the folder of migrations, and the SQL for the time in epoch seconds."""

    folder: str
    now: str


def load_statements(dialect: Dialect) -> dict[str, str]:
    """The statements of `statements.sql` by name; parameters are written `:name`."""
    statements: dict[str, list[str]] = {}
    current: list[str] = []
    source = _read("statements.sql")
    for name, text in {**_SHARED, "<now>": dialect.now}.items():
        source = source.replace(name, text)
    for line in source.splitlines():
        if line.startswith("-- name: "):
            current = statements.setdefault(line.removeprefix("-- name: ").strip(), [])
        elif line and not line.startswith("--"):
            current.append(line)
    return {name: "\n".join(lines).strip().removesuffix(";") for name, lines in statements.items()}


def with_percent_names(statement: str) -> str:
    """The statement with `%(name)s`, as psycopg needs, for each `:name`; the `::` of a cast stays."""
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", statement)


def load_migrations(dialect: Dialect) -> list[str]:
    """The migrations in order; migration k brings the schema from version k-1 to k."""
    folder = files("bridge.store") / "sql" / dialect.folder
    names = sorted(entry.name for entry in folder.iterdir() if entry.name[:4].isdecimal())
    return [_read(f"{dialect.folder}/{name}") for name in names]


def _read(name: str) -> str:
    return (files("bridge.store") / "sql" / name).read_text(encoding="utf-8")
