"""Finds the gateway's files in the links of an answer, and replaces these links.

The gateway signs the links of an answer with a ticket (`?ft=…`) and leaves them relative, so only the bridge can open
them (docs/reference/goclaw.md, "Files"). Links to other hosts are left to the renderer and never fetched.
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
"""A link target of which the renderer keeps only the label, for a file shown beside the answer or not at all."""

_FILE_PATHS = ("/v1/files/", "/v1/media/")
_PATH = r"/v1/(?:files|media)/[^\s()<>\[\]\"'`?#]+"
_TICKET = re.compile(r"[A-Za-z0-9_-]{16,128}\.[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AgentFile:
    """A file from the agent: path at the gateway with ticket (`?ft=`), name for people, media type ("": unknown)."""

    path: str
    name: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """A link's target as written in the answer, and the linked file."""

    target: str
    file: AgentFile


@dataclass(frozen=True, slots=True)
class Replacement:
    """The new target of a link, and words to add behind the link."""

    href: str
    words: str = ""


def linked_files(markdown: str, base: str) -> tuple[Linked, ...]:
    """Return the gateway's files among the answer's links and pictures, in order; `base` is the gateway's URL."""
    if not any(path in markdown for path in _FILE_PATHS):
        return ()
    # The parser knows real links from code; the pattern knows how a target was written.
    parsed = {unquote(target) for target in link_targets(markdown)}
    found = {match["target"]: None for match in _links(base).finditer(markdown)}
    return tuple(
        Linked(target, AgentFile(target.removeprefix(base.rstrip("/")), name_of(target)))
        for target in found
        if unquote(target) in parsed
    )


def relinked(markdown: str, base: str, replacement: Mapping[str, Replacement]) -> str:
    """Return the answer with links replaced; `replacement` is by link target, `base` the gateway's URL."""

    def replaced(match: re.Match[str]) -> str:
        new = replacement.get(match["target"])
        if new is None:
            return match[0]
        return f"]({new.href})" + (f" {new.words}" if new.words else "")

    return _links(base).sub(replaced, markdown) if replacement else markdown


def name_of(target: str) -> str:
    """Return the name of a file, fit for people and disks, from the last part of the file's path."""
    return clean_name(unquote(target.partition("?")[0]))


def fetchable(path: str) -> tuple[str, str] | None:
    """Split `path` into path and ticket ("": none); None if the path could lead to more than files."""
    file, _, query = path.partition("?")
    steps = unquote(file).split("/")
    plain = file.startswith(_FILE_PATHS) and not {".", "..", ""} & set(steps[1:]) and "\\" not in unquote(file)
    ticket = parse_qs(query).get("ft", [""])[0]
    return (file, ticket) if plain and (not ticket or _TICKET.fullmatch(ticket)) else None


@lru_cache(maxsize=4)
def _links(base: str) -> re.Pattern[str]:
    """Return the pattern for Markdown links to files of the gateway at `base`."""
    own = re.escape(base.rstrip("/"))
    title = r"(?:\s{1,9}(?:\"[^\"\n]{0,500}\"|'[^'\n]{0,500}'))?"
    return re.compile(rf"\]\(\s{{0,9}}<?(?P<target>(?:{own})?{_PATH}(?:\?[\w=.&-]*)?)>?{title}\s{{0,9}}\)")
