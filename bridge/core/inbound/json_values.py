"""Reads values from JSON of unknown shape: a value of the wrong type counts as missing."""

from __future__ import annotations

from typing import Any


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object, {} for a value of another type."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """Return a string, "" for a value of another type."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the JSON objects in a list, [] for a value of another type."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
