"""Named SQL, loaded once from `sql/`; tests prove that every name is used, exists, and fits both databases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

# Everything of a row but the texts: for looking at many rows.
_PLAIN = (
    "n, id, kind, lane, session, state, outcome, owner, fence, stop, '' AS stopped_by, attempts, again_of, "
    "NULL AS payload, NULL AS reply, NULL AS delivery, error, history, live, accepted, closed"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the databases differ: the folder of the migrations, and how to say the time in epoch seconds."""

    folder: str
    now: str


def load_statements(dialect: Dialect) -> dict[str, str]:
    """Name to SQL text with `:name` parameters, from `statements.sql`."""
    statements: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _read("statements.sql").splitlines():
        if line.startswith("-- name: "):
            current = statements.setdefault(line.removeprefix("-- name: ").strip(), [])
        elif line and not line.startswith("--"):
            current.append(line.replace("<now>", dialect.now).replace("<plain columns>", _PLAIN))
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
