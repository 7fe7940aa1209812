"""Wall-clock times in Go's form."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339() -> str:
    """Now, in UTC, as RFC 3339 with microseconds: ``2026-03-01T09:30:00.123456Z``."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
