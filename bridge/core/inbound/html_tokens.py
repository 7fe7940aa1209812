"""HTML read as a row of words, starts and ends, whatever its state.

Not `html.parser`: that takes quadratic time on malformed input (40 s for 48 KB of "<a " on Python 3.11.7)
and reads comments and scripts differently from one Python version to the next. `_TAG` is linear: two
attempts at a tag that overlap are in different quotes, so at most three overlap anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG = re.compile(r"<(/?)([A-Za-z][^\s/<>\"']*+)((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>")
_ATTRIBUTE = re.compile(r"(/|[^\s=/\"'>]++)\s*+(?:=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++)))?+")
_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])
_HUGE_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{8,}+;?")  # `int` refuses thousands of digits
_SURROGATES = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Start:
    """A start tag; names are in lower case, an attribute without value is "", "/" is the slash of `<x/>`."""

    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class End:
    """An end tag."""

    name: str


def events(source: str) -> Iterator[str | Start | End]:
    """Words (decoded, without control characters) and tags, in order. A "<" that opens no tag is a word."""
    source = _without_comments(source.translate(_CONTROLS))
    at = 0
    for tag in _TAG.finditer(source):
        if tag.start() > at:
            yield decode(source[at : tag.start()])
        at = tag.end()
        closing, name, attributes = tag.groups()
        yield End(name.lower()) if closing else Start(name.lower(), _attributes(attributes))
    yield decode(source[at:])


def decode(text: str) -> str:
    """Character references as characters; the space that must not break is a space like others."""
    if "&" in text:
        text = unescape(_HUGE_NUMBER.sub("\ufffd", text)).translate(_CONTROLS)
    return _SURROGATES.sub("\ufffd", text).replace("\xa0", " ")


def _without_comments(source: str) -> str:
    first, *others = source.split("<!--")
    return first + "".join(other.partition("-->")[2] if "-->" in other else "<!--" + other for other in others)


def _attributes(source: str) -> dict[str, str]:
    return {name.lower(): decode(double or single or bare) for name, double, single, bare in _ATTRIBUTE.findall(source)}
