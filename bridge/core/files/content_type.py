"""Finds the media type of a file from its bytes alone, and cleans file names."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Final

from bridge.core.teams_limits import PICTURE_BYTES, PICTURE_SIDE

TEXT: Final = "text/plain"
UNKNOWN: Final = "application/octet-stream"
_PNG, _JPEG, _GIF = "image/png", "image/jpeg", "image/gif"

# First bytes: https://www.w3.org/TR/png-3/#5PNG-file-signature, JPEG ITU-T T.81 B.1.1.3, GIF89a section 17,
# PDF ISO 32000-1 7.5.2, zip APPNOTE 4.3.7 (Office documents are zip archives)
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", _PNG),
    (b"\xff\xd8\xff", _JPEG),
    (b"GIF87a", _GIF),
    (b"GIF89a", _GIF),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
)
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"", "utf-8"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_LONGEST_NAME = 100
_LONGEST_ENDING = 12
# Signs of markup, paths or wildcards in some system; Windows has the longest list:
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions
_UNSAFE = dict.fromkeys(map(ord, '<>:"|?*[]()`~#%{}'), "_")

# The header of a frame: GIF89a section 23. Teams does not show animated pictures.
_GIF_FRAME = b"\x21\xf9\x04"
# Markers of a start of frame; three markers in the same range begin tables: ITU-T T.81 table B.1.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def type_of(content: bytes) -> str:
    """Return the media type of `content`: by first bytes for pictures, PDF and zip, else `TEXT` or `UNKNOWN`.

    HTML, SVG and scripts are `TEXT`, so no browser runs a file served with the returned type.
    """
    signed = _signed(content)
    return signed or (UNKNOWN if text_of(content) is None else TEXT)


def text_of(content: bytes) -> str | None:
    """Return the text of a text file (UTF-8, or UTF-16 with byte order mark, no control characters), else None."""
    if _signed(content):
        return None  # some PDF files are ASCII from end to end
    mark, encoding = next(entry for entry in _ENCODINGS if content.startswith(entry[0]))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text


def is_showable(content: bytes) -> bool:
    """Tell whether Teams shows `content` as a picture beside a message."""
    if len(content) > PICTURE_BYTES:
        return False
    match type_of(content):
        case "image/png":
            size = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
        case "image/gif" if content.count(_GIF_FRAME) <= 1:
            size = int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little")
        case "image/jpeg":
            size = _jpeg_size(content)
        case _:
            return False
    return all(0 < side <= PICTURE_SIDE for side in size)


def clean_name(name: str) -> str:
    """Return `name` fit for people, Markdown, headers and disks: no path, markup or invisible characters, not long.

    At most 100 characters; "file" if no character remains.
    """
    last = re.split(r"[/\\]", name)[-1]
    # Category C: controls, and the marks which turn the direction of reading and so hide an ending.
    visible = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    flat = " ".join(visible.split()).translate(_UNSAFE).strip(" .")
    if len(flat) > _LONGEST_NAME:
        stem, dot, ending = flat.rpartition(".")
        ending = dot + ending if stem and len(ending) <= _LONGEST_ENDING else ""
        flat = flat[: _LONGEST_NAME - len(ending)] + ending
    return flat or "file"


def _signed(content: bytes) -> str:
    """Return the type by first bytes, "" for none."""
    return next((kind for signature, kind in _SIGNATURES if content.startswith(signature)), "")


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Return width and height in pixels, (0, 0) if no frame is found."""
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _JPEG_FRAMES:
            return int.from_bytes(content[at + 7 : at + 9]), int.from_bytes(content[at + 5 : at + 7])
        else:
            at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4]))
    return 0, 0
