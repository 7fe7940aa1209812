"""The files that an answer links to: found, and their links replaced. Pure.

The gateway signs the links of an answer (`?ft=…`) and leaves them relative, so nothing but the bridge can open them
(docs/reference/goclaw.md, "Files"). A link to anywhere else is left to the renderer, and never fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, unquote

from bridge.core.files.content_type import clean_name
from bridge.core.markdown.dialect import link_targets

NOWHERE = "bridge:file"
"""A link's target of which the renderer leaves only the label: what it leads to is shown beside the answer."""

_PLACES = ("/v1/files/", "/v1/media/")
_PATH = r"/v1/(?:files|media)/[^\s()<>\[\]\"'`?#]+"
_TICKET = re.compile(r"[A-Za-z0-9_-]{16,128}\.[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AgentFile:
    """A file that the agent hands over: its path at the gateway with its own ticket (`?ft=`), its name, its type."""

    path: str
    name: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """A link's target as it stands in the answer, and the file it leads to."""

    target: str
    file: AgentFile


@dataclass(frozen=True, slots=True)
class Replacement:
    """What stands in place of a link: where it leads now, and words behind it."""

    href: str
    words: str = ""


def linked_files(markdown: str, base: str) -> tuple[Linked, ...]:
    """The gateway's files that the answer links to or shows, in order; `base` is the gateway's own address."""
    if not any(place in markdown for place in _PLACES):
        return ()
    real = {unquote(target) for target in link_targets(markdown)}
    found = {match["target"]: None for match in _links(base).finditer(markdown)}
    return tuple(
        Linked(target, AgentFile(target.removeprefix(base.rstrip("/")), name_of(target)))
        for target in found
        if unquote(target) in real
    )


def relinked(markdown: str, base: str, replacement: Mapping[str, Replacement]) -> str:
    """The answer, each of these targets replaced where it is a link's."""

    def replaced(match: re.Match[str]) -> str:
        new = replacement.get(match["target"])
        if new is None:
            return match[0]
        return f"]({new.href})" + (f" {new.words}" if new.words else "")

    return _links(base).sub(replaced, markdown) if replacement else markdown


def name_of(target: str) -> str:
    """The file's name in its path."""
    return clean_name(unquote(target.partition("?")[0]))


def fetchable(path: str) -> tuple[str, str] | None:
    """A file's path and its ticket ("": none), None where the path could lead to anything but a file."""
    place, _, query = path.partition("?")
    steps = unquote(place).split("/")
    plain = place.startswith(_PLACES) and not {".", "..", ""} & set(steps[1:]) and "\\" not in unquote(place)
    ticket = parse_qs(query).get("ft", [""])[0]
    return (place, ticket) if plain and (not ticket or _TICKET.fullmatch(ticket)) else None


@lru_cache(maxsize=4)
def _links(base: str) -> re.Pattern[str]:
    own = re.escape(base.rstrip("/"))
    title = r"(?:\s{1,9}(?:\"[^\"\n]{0,500}\"|'[^'\n]{0,500}'))?"
    return re.compile(rf"\]\(\s{{0,9}}<?(?P<target>(?:{own})?{_PATH}(?:\?[\w=.&-]*)?)>?{title}\s{{0,9}}\)")
