"""Named SQL, loaded once from `sql/`; tests prove that every name is used, exists, and fits both databases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

# Everything of a row but the texts: for looking at many rows.
_PLAIN = (
    "n, id, kind, lane, session, state, outcome, owner, fence, stop, '' AS stopped_by, attempts, again_of, "
    "NULL AS payload, NULL AS reply, NULL AS delivery, NULL AS edit, merged_into, error, history, live, accepted, "
    "closed"
)

# Queued or running, in one statement: what runs may be put back at any moment.
_WITHDRAWN = """
  state = CASE WHEN state = 'queued' THEN 'closed' ELSE state END,
  outcome = CASE WHEN state = 'queued' THEN 'withdrawn' END,
  closed = CASE WHEN state = 'queued' THEN :at END,
  stop = CASE WHEN state = 'queued' THEN 0 ELSE 2 END,
  history = history || CASE WHEN state = 'queued' THEN :closing ELSE :step END"""
_SHARED = {
    "<plain columns>": _PLAIN,
    "<withdrawn>": _WITHDRAWN,
    "<may be withdrawn>": "(state = 'queued' OR state = 'running' AND kind = 'ask' AND stop = 0)",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the databases differ: the folder of the migrations, and how to say the time in epoch seconds."""

    folder: str
    now: str


def load_statements(dialect: Dialect) -> dict[str, str]:
    """Name to SQL text with `:name` parameters, from `statements.sql`."""
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
    """The statement with psycopg's `%(name)s` for each `:name`; a cast's `::` stays."""
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", statement)


def load_migrations(dialect: Dialect) -> list[str]:
    """The schema's steps in order; step k brings version k-1 to k."""
    folder = files("bridge.store") / "sql" / dialect.folder
    names = sorted(entry.name for entry in folder.iterdir() if entry.name[:4].isdecimal())
    return [_read(f"{dialect.folder}/{name}") for name in names]


def _read(name: str) -> str:
    return (files("bridge.store") / "sql" / name).read_text(encoding="utf-8")
