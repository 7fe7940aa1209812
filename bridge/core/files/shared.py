"""A file in a person's message, as described by Teams."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FileKind(StrEnum):
    """How the bridge gets a file: by a download link, from the connector, or not at all (in groups and channels)."""

    DOWNLOAD = "download"
    PICTURE = "picture"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of a message. `url` comes from Teams unchecked; `type` is only declared, the bytes decide later."""

    name: str
    url: str
    kind: FileKind
    type: str = ""
