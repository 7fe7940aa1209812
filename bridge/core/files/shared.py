"""A file in a person's message, as described by Teams."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_FILES: Final = 10
"""The files of one message that the bridge fetches; all further ones are `FileKind.SURPLUS`."""


class FileKind(StrEnum):
    """How the bridge gets a file: by a download link, from the connector, or not at all.

    Teams withholds files in groups and channels; surplus files are those beyond the limit of one message.
    """

    DOWNLOAD = "download"
    PICTURE = "picture"
    WITHHELD = "withheld"
    SURPLUS = "surplus"


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of a message. `url` comes from Teams unchecked; `type` is only declared, the bytes decide later."""

    name: str
    url: str
    kind: FileKind
    type: str = ""
