"""A question together with the text of the files that came with it, within what the gateway reads. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.files.content_type import text_of
from bridge.core.gateway_facts import QUESTION_BYTES
from bridge.core.texts import say

# A file of which less than this would be left says nothing.
_LEAST_BYTES = 200


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that is text: as much of its beginning as could ever be passed on, and its size in bytes of UTF-8."""

    name: str
    text: str
    size: int


@dataclass(frozen=True, slots=True)
class Inlined:
    """The question, and what became of the files: `cut` holds (name, bytes kept, bytes in all), `left_out` names.

    `blocks`: what was added for each file, "" where nothing was.
    """

    text: str
    cut: tuple[tuple[str, int, int], ...] = ()
    left_out: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()


def text_file(name: str, content: bytes) -> TextFile | None:
    """The file, if it is text by its content."""
    text = text_of(content)
    if text is None:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return TextFile(name, text[:QUESTION_BYTES], len(text.encode()))


def with_files(text: str, files: Sequence[TextFile], missing: Sequence[str], most: int = QUESTION_BYTES) -> Inlined:
    """The question with each file after it as a fenced block, one after the other as far as there is room.

    `missing`: files that could not be passed, which the agent is told of; so it is of those there is no room for.
    """
    room = most - _bytes(text) - _bytes(_told([*missing, *(file.name for file in files)]))
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
    told = _told([*missing, *left_out])
    whole = "".join([text, *blocks, told])
    # a question that leaves no room for a word about files is for the gateway's edge to judge, as it came
    fits = _bytes(whole) <= most
    return Inlined(whole if fits else text, tuple(cut), tuple(left_out), tuple(blocks) if fits else ("",) * len(files))


def _block(file: TextFile, room: int) -> tuple[str, int]:
    """The block, "" where there is no room for it; how many of the file's bytes are in it."""
    # longer than any run inside, so that the file cannot end its own block
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", file.text)), default=0))
    head, foot = f"\n\n[File: {file.name}]\n{fence}\n", f"\n{fence}"
    free = room - _bytes(head + foot)
    if file.size <= free:
        return f"{head}{file.text}{foot}", file.size
    free -= _bytes(_goes_on(file.size, file.size))
    if free < _LEAST_BYTES:
        return "", 0
    begin = file.text.encode()[:free].decode(errors="ignore")
    kept = _bytes(begin)
    return f"{head}{begin}{foot}{_goes_on(file.size - kept, file.size)}", kept


def _goes_on(left: int, size: int) -> str:
    return "\n" + say("file_goes_on", left=left, size=size)


def _told(names: Sequence[str]) -> str:
    return "\n\n" + say("files_dropped", count=len(names), names=", ".join(names)) if names else ""


def _bytes(text: str) -> int:
    # lone surrogates are sent as `?`
    return len(text.encode("utf-8", "replace"))
