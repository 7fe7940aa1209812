"""Adds the text of a message's files to the question, within the gateway's limit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.files.content_type import text_of
from bridge.core.gateway_facts import QUESTION_BYTES
from bridge.core.texts import say

# A shorter beginning of a file would not help the agent; such a file is left out.
_LEAST_BYTES = 200


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file: the beginning, at most `QUESTION_BYTES` characters, and the size of the whole in bytes of UTF-8."""

    name: str
    text: str
    size: int


@dataclass(frozen=True, slots=True)
class Inlined:
    """A question with the text of its files: `text` is sent to the agent.

    `cut` has (name, bytes kept, bytes of the whole) of each file which was cut, `left_out` the names of files without
    room, `blocks` the text added for each file, "" for a file left out.
    """

    text: str
    cut: tuple[tuple[str, int, int], ...] = ()
    left_out: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()


def text_file(name: str, content: bytes) -> TextFile | None:
    """Return the file if `content` is text, else None."""
    text = text_of(content)
    if text is None:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return TextFile(name, text[:QUESTION_BYTES], len(text.encode()))


def with_files(text: str, files: Sequence[TextFile], missing: Sequence[str], most: int = QUESTION_BYTES) -> Inlined:
    """Return the question `text` with each file as a fenced block, in order, while there is room in `most` bytes.

    A last sentence tells the agent the names of the `missing` files, which could not be fetched or are no text, and of
    files without room.
    """
    room = most - _bytes(text) - _bytes(_dropped_note([*missing, *(file.name for file in files)]))
    blocks: list[str] = []
    cut: list[tuple[str, int, int]] = []
    left_out: list[str] = []
    for file in files:
        block, kept = _block(file, room)
        blocks.append(block)
        if block:
            room -= _bytes(block)
        else:
            left_out.append(file.name)
        if block and kept < file.size:
            cut.append((file.name, kept, file.size))
    whole = "".join([text, *blocks, _dropped_note([*missing, *left_out])])
    # A question without room even for the note stays as written; `bridge.gateway` refuses questions over the limit.
    fits = _bytes(whole) <= most
    return Inlined(whole if fits else text, tuple(cut), tuple(left_out), tuple(blocks) if fits else ("",) * len(files))


def _block(file: TextFile, room: int) -> tuple[str, int]:
    """Return the file's block ("": no room) and the number of the file's bytes in the block."""
    # The fence is longer than any run of backticks in the file, so the file cannot end the block.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", file.text)), default=0))
    head, foot = f"\n\n[File: {file.name}]\n{fence}\n", f"\n{fence}"
    free = room - _bytes(head + foot)
    if file.size <= free:
        return f"{head}{file.text}{foot}", file.size
    free -= _bytes(_cut_note(file.size, file.size))
    if free < _LEAST_BYTES:
        return "", 0
    begin = file.text.encode()[:free].decode(errors="ignore")
    kept = _bytes(begin)
    return f"{head}{begin}{foot}{_cut_note(file.size - kept, file.size)}", kept


def _cut_note(left: int, size: int) -> str:
    return "\n" + say("file_goes_on", left=left, size=size)


def _dropped_note(names: Sequence[str]) -> str:
    return "\n\n" + say("files_dropped", count=len(names), names=", ".join(names)) if names else ""


def _bytes(text: str) -> int:
    # "replace" counts lone surrogates as `?`, as they are sent.
    return len(text.encode("utf-8", "replace"))
