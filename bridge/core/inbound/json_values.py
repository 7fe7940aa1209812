"""Values of JSON whose shape nobody guarantees: what is not of the right kind counts as missing."""

from __future__ import annotations

from typing import Any


def mapping(value: Any) -> dict[str, Any]:
    """The object, {} for anything else."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """The string, "" for anything else."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, [] for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
