"""JSON as Go's ``encoding/json`` writes and refuses it: the escapes of an answer and the words of a refusal.

Pure. The refusal sentences are those of Go's scanner, since clients see them in ``invalid request: …``
(docs/reference/goclaw.md, "Errors"); the reader accepts what a Go ``Decoder`` accepts, which is one value and anything behind it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

# Go escapes these so that JSON may stand inside HTML: https://pkg.go.dev/encoding/json#Marshal
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"},
)
_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: dict[str, tuple[str, object]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_MAX_DEPTH = 200  # Go allows 10,000; nothing honest comes near, and Python's own stack is smaller


class GoJsonError(ValueError):
    """A body that Go would not decode; the message is Go's sentence, for example ``unexpected EOF``."""


def encode(value: object) -> bytes:
    """The value as compact JSON with Go's HTML escapes; key order is kept, no line end is added."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)
    return text.encode("utf-8", "replace")


def decode(body: bytes) -> Any:
    """The first JSON value of the body.

    Raises:
        GoJsonError: the body is empty, cut, or not JSON; its text is what Go would say.
    """
    reader = _Reader(body.decode("utf-8", "replace"))
    if reader.at_end():
        raise GoJsonError("EOF")
    return reader.value("looking for beginning of value", 0)


def kind(value: object) -> str:
    """What Go calls the JSON type of a decoded value in ``cannot unmarshal <kind> into …``."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


@dataclass(slots=True)
class _Reader:
    """A cursor over the text; each method reads one construct or raises in Go's words."""

    text: str
    at: int = 0

    def at_end(self) -> bool:
        blank = _BLANK.match(self.text, self.at)
        self.at = blank.end() if blank else self.at
        return self.at >= len(self.text)

    def peek(self) -> str:
        if self.at_end():
            raise GoJsonError("unexpected EOF")
        return self.text[self.at]

    def refuse(self, where: str) -> GoJsonError:
        if self.at >= len(self.text):
            return GoJsonError("unexpected EOF")
        char = self.text[self.at]
        shown = {"'": "\\'", '"': '"'}.get(char) or json.dumps(char, ensure_ascii=False)[1:-1]
        shown = shown.replace("\\u00", "\\x")  # as Go quotes control characters
        return GoJsonError(f"invalid character '{shown}' {where}")

    def value(self, where: str, depth: int) -> Any:
        char = self.peek()
        if depth > _MAX_DEPTH:
            raise GoJsonError("exceeded max depth")
        if char == "{":
            return self.object(depth)
        if char == "[":
            return self.array(depth)
        if char == '"':
            return self.string()
        if char in _WORDS:
            return self.word(*_WORDS[char])
        if char == "-" or (char.isascii() and char.isdigit()):
            return self.number()
        raise self.refuse(where)

    def word(self, word: str, meaning: object) -> object:
        for index, letter in enumerate(word):
            if self.text[self.at : self.at + 1] != letter:
                raise self.refuse(f"in literal {word} (expecting '{letter}')") if index else AssertionError(word)
            self.at += 1
        return meaning

    def number(self) -> int | float:
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            self.at += 1
            raise self.refuse("in numeric literal")
        self.at = found.end()
        digits = found[0]
        return int(digits) if digits.lstrip("-").isdigit() and len(digits) < 300 else float(digits)

    def string(self) -> str:
        try:
            text, end = json.JSONDecoder().raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            if error.msg.startswith("Unterminated") or error.pos >= len(self.text) - 1:
                raise GoJsonError("unexpected EOF") from error
            self.at = error.pos
            raise self.refuse("in string escape code" if "scape" in error.msg else "in string literal") from error
        self.at = end
        return str(text)

    def array(self, depth: int) -> list[Any]:
        self.at += 1
        items: list[Any] = []
        if self.peek() == "]":
            self.at += 1
            return items
        while True:
            items.append(self.value("looking for beginning of value", depth + 1))
            if self.after("]", "after array element"):
                return items

    def object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        members: dict[str, Any] = {}
        if self.peek() == "}":
            self.at += 1
            return members
        while True:
            if self.peek() != '"':
                raise self.refuse("looking for beginning of object key string")
            key = self.string()
            if self.peek() != ":":
                raise self.refuse("after object key")
            self.at += 1
            members[key] = self.value("looking for beginning of value", depth + 1)
            if self.after("}", "after object key:value pair"):
                return members

    def after(self, end: str, where: str) -> bool:
        """Steps over the separator; True when it was the end of the array or object."""
        char = self.peek()
        if char not in {",", end}:
            raise self.refuse(where)
        self.at += 1
        return char == end
