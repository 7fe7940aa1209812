"""Splits HTML, however malformed, into words, start tags and end tags.

Messages are hostile input on the event loop, so the time must be linear. Neither `html.parser` nor selectolax is
(docs/decisions.md, "HTML of messages"). `_TAG` is linear: two attempts to match a tag overlap only if their starts lie
in different quotes, so at most three attempts overlap at any character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

_TAG = re.compile(r"<(/?)([A-Za-z][^\s/<>\"']*+)((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>")
_ATTRIBUTE = re.compile(r"(/|[^\s=/\"'>]++)\s*+(?:=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++)))?+")
_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])
_HUGE_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{8,}+;?")  # `int` refuses thousands of digits
_SURROGATES = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Start:
    """A start tag. Names are in lower case, an attribute without value is "", the slash of `<x/>` the attribute "/"."""

    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class End:
    """An end tag; the name is in lower case."""

    name: str


def events(source: str) -> Iterator[str | Start | End]:
    """Yield words (decoded, without control characters) and tags, in order. A "<" which opens no tag is a word."""
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
    """Return `text` with character references as characters and no-break spaces as ordinary spaces."""
    if "&" in text:
        text = unescape(_HUGE_NUMBER.sub("\ufffd", text)).translate(_CONTROLS)
    return _SURROGATES.sub("\ufffd", text).replace("\xa0", " ")


def _without_comments(source: str) -> str:
    before, *comments = source.split("<!--")
    return before + "".join(part.partition("-->")[2] if "-->" in part else "<!--" + part for part in comments)


def _attributes(source: str) -> dict[str, str]:
    return {name.lower(): decode(double or single or bare) for name, double, single, bare in _ATTRIBUTE.findall(source)}
