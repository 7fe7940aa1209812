"""Splits a text too long for a single Teams message into parts, at natural borders.

Borders, best first: a blank line, a line break, a space, between two unrelated characters. A fenced code block across
a cut is closed at the end of the part and reopened, with the language, at the start of the next part.
"""

from __future__ import annotations

import re
import unicodedata

from bridge.core.teams_limits import PART_UNITS

NUMBER_UNITS = 20  # "\n\n(123/456)" and a reserve
_LONGEST_CLUSTER = 64  # characters; a family emoji has 11, a hostile pile of accents may be torn

_FENCE = re.compile(
    r"^(?P<prefix>(?:[ >]|[-*+][ ]|\d{1,9}[.)][ ]){0,200}+)(?P<ticks>`{3,}+)(?P<info>[^`\n]{0,40}+)$", re.MULTILINE
)
_QUOTED = re.compile(r"[ ]*+>[ >]{0,120}+")  # bounded: an endless prefix would be repeated in part after part
_NOT_SPACES = re.compile(r"[^ \n>]")


def units(text: str) -> int:
    """Return the length of `text` in UTF-16 code units, the measure of Teams' limits."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def beginning(text: str, limit: int) -> str:
    """Return the longest beginning of `text` with at most `limit` UTF-16 units."""
    return text[:limit].encode("utf-16-le", "surrogatepass")[: limit * 2].decode("utf-16-le", "ignore")


def cut(text: str, limit: int = PART_UNITS) -> tuple[str, ...]:
    """Cut `text` into parts of at most `limit` UTF-16 units, numbered "(1/3)"; a text which fits stays unchanged.

    The fences of `text` must be closed and made of backticks, as written by `dialect.to_teams`.
    """
    if len(text) * 2 <= limit or units(text) <= limit:
        return (text,)
    parts = pieces(text, limit)
    return tuple(f"{part}\n\n({number}/{len(parts)})" for number, part in enumerate(parts, 1))


def pieces(text: str, limit: int) -> list[str]:
    """Cut `text` like `cut`, without numbers; each piece leaves room for a number."""
    longest_fence = max((len(match[0]) for match in _FENCE.finditer(text)), default=0)
    room = limit - NUMBER_UNITS - longest_fence - 1
    parts: list[str] = []
    while len(text) > room or units(text) > room:
        head, text = _split(text, room)
        parts.append(head)
    if text.strip():
        parts.append(text.rstrip("\n"))
    return parts


def _split(text: str, room: int) -> tuple[str, str]:
    """Return the first part of `text`, at most `room` units and a closing fence long, and the rest."""
    end = _border(text, len(beginning(text, room // 2)), len(beginning(text, room)))
    head, rest = text[:end], text[end:]
    mid_line = not head.endswith("\n") and not rest.startswith("\n")
    fence = _open_fence(head)
    if fence is None:
        head, rest = head.rstrip(), rest.lstrip("\n")
        if not mid_line:
            return head, _outdent(rest, _indent(rest))
        line = head[head.rfind("\n") + 1 :]
        quoted = _QUOTED.match(line)
        return head, (quoted[0].lstrip(" ") if quoted else "") + rest.lstrip(" ")
    prefix, ticks, info = _NOT_SPACES.sub(" ", fence["prefix"]), fence["ticks"], fence["info"]
    head += ("" if head.endswith("\n") else "\n") + prefix + ticks
    rest = prefix + rest if mid_line else rest.removeprefix("\n")
    closing, _, after = rest.partition("\n")
    indent = len(prefix) - len(prefix.lstrip(" "))
    if closing == prefix + ticks:
        return head, _outdent(after.lstrip("\n"), indent)
    return head, _outdent(f"{prefix}{ticks}{info}\n{rest}", indent)


def _border(text: str, half: int, end: int) -> int:
    """Return the index of the best cut between `half` and `end`: a good border, else between two characters."""
    for border in ("\n\n", "\n"):
        found = text.rfind(border, half, end)
        if found > 0:
            return found
    space = text.rfind(" ", half, end)
    while space > 0:
        # Inline code of three backticks would become a fence at the start of a line.
        if not text.startswith(("```", "~~~"), space + 1):
            return space
        space = text.rfind(" ", half, space)
    for index in range(end, max(end - _LONGEST_CLUSTER, 1), -1):
        if not _belong_together(text[index - 1], text[index]):
            return index
    return end


def _belong_together(left: str, right: str) -> bool:
    """Tell whether a cut between two characters would show: accents, emoji sequences, flags, escapes, backticks."""
    return (
        unicodedata.category(right).startswith("M")  # accents and variation selectors
        or "\u200d" in (left, right)  # zero width joiner
        or "\U0001f3fb" <= right <= "\U0001f3ff"  # skin tones
        or ("\U0001f1e6" <= left <= "\U0001f1ff" and "\U0001f1e6" <= right <= "\U0001f1ff")  # flags
        or left == "\\"
        or left == right == "`"
    )


def _open_fence(head: str) -> re.Match[str] | None:
    """Return the fence which `head` opens and does not close, None if there is none."""
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(head):
        if opened is None:
            opened = match
        elif match["ticks"] == opened["ticks"] and not match["info"]:
            opened = None
    return opened


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _outdent(text: str, width: int) -> str:
    """Take `width` spaces from the lines of a continued list item: a message with indented lines would show code."""
    if not width:
        return text
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line and not line.startswith(" " * width):
            break
        lines[number] = line[width:]
    return "\n".join(lines)
