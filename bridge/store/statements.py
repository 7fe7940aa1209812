"""Named SQL, loaded once from `sql/`; a test proves that every name is used and exists."""

from __future__ import annotations

from importlib.resources import files


def load_statements() -> dict[str, str]:
    """Name to SQL text, from `statements.sql`."""
    statements: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _read("statements.sql").splitlines():
        if line.startswith("-- name: "):
            current = statements.setdefault(line.removeprefix("-- name: ").strip(), [])
        elif line and not line.startswith("--"):
            current.append(line)
    return {name: "\n".join(lines).strip().removesuffix(";") for name, lines in statements.items()}


def load_migrations() -> list[str]:
    """The schema's steps in order; step k brings version k-1 to k."""
    folder = files("bridge.store") / "sql"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name[:4].isdecimal())
    return [_read(name) for name in names]


def _read(name: str) -> str:
    return (files("bridge.store") / "sql" / name).read_text(encoding="utf-8")
