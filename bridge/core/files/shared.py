"""A file that a person's message brings: its kind and what Teams says of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FileKind(StrEnum):
    """How a file can be had: by its own link, from the connector, or not at all (groups and channels)."""

    DOWNLOAD = "download"
    PICTURE = "picture"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of a message. `url` is Teams' word, not checked; `type` is what is declared, which proves nothing."""

    name: str
    url: str
    kind: FileKind
    type: str = ""
