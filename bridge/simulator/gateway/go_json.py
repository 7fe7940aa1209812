"""JSON as Go's ``encoding/json`` writes it, and the verdict that a body is no JSON. Pure."""

from __future__ import annotations

import json
from typing import Any

# Go escapes the characters, so JSON may stand inside HTML: https://pkg.go.dev/encoding/json#Marshal
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"},
)
_BLANKS = " \t\r\n"
_LONGEST_INTEGER = 300  # digits; a longer number becomes a float, as `int` refuses to read thousands of digits


class NotJsonError(ValueError):
    """The body is empty, cut off, or no JSON."""


def encode(value: object) -> bytes:
    """The value as compact JSON with Go's HTML escapes; key order is kept, no line end is added."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)
    return text.encode("utf-8", "replace")


def decode(body: bytes) -> Any:
    """The first JSON value of the body; bytes behind the value are ignored, as by Go's ``Decoder``.

    Raises: NotJsonError.
    """
    text = body.decode("utf-8", "replace").lstrip(_BLANKS)
    try:
        return _DECODER.raw_decode(text)[0]
    except (ValueError, RecursionError):
        raise NotJsonError from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_INTEGER else float(digits)


def _no_json(word: str) -> Any:
    """For ``NaN`` and ``Infinity``, which Python reads and Go refuses."""
    raise ValueError(word)


_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_no_json)
