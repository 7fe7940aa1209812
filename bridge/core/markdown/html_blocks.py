"""Rewrites the lists and tables in HTML that an agent writes as Markdown: Teams would show the tags.

Only well-formed stretches are rewritten: with words outside of items and cells, or without end, the tags stay text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_OPENING = re.compile(r"<(?:ul|ol|dl|table)\b[^<>]{0,300}>", re.IGNORECASE)
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-z][a-z0-9]{0,15})\b(?P<attributes>[^<>]{0,300})>", re.IGNORECASE)
_CONTAINER = re.compile(r"<(/?)(?:ul|ol|dl|table)\b[^<>]{0,300}>", re.IGNORECASE)
_MARGIN = re.compile(rf" {{0,3}}{_OPENING.pattern}[ \t]*(?=<|$)", re.IGNORECASE)
_LINK = re.compile(
    r"<a\b[^<>]{0,200}\bhref\s*=\s*[\"']?(?P<href>https?://[^\s\"'<>()]{1,2000})[\"']?[^<>]{0,200}>"
    r"(?P<words>[^<>\[\]]{1,500})</a>",
    re.IGNORECASE,
)
# A block that is a quote or has code: tags in it are left alone.
_LEFT_ALONE = re.compile(r" {0,3}>| {4}|\t|.*^ *(?:`{3}|~{3})", re.DOTALL | re.MULTILINE)
_MARKERS = re.compile(r" *(?:(?:[-*+]|\d{1,9}[.)]) +)*")
_ITEM = re.compile(r"^(?:[-*+]|\d{1,9}[.)])(?:\s|$)", re.MULTILINE)
_COMMENT = re.compile(r"<!--[^<>]{0,500}-->")
_NUMBER = re.compile(r"\bstart\s*=\s*[\"']?(\d{1,8})", re.IGNORECASE)
_SPAN = re.compile(r"\bcolspan\s*=\s*[\"']?(\d{1,2})", re.IGNORECASE)

_LISTS = {"ul", "ol", "dl"}
_ITEMS = {"li": {"ul", "ol"}, "dt": {"dl"}, "dd": {"dl"}}
_CELLS = {"td", "th", "caption"}
_GROUPS = {"thead", "tbody", "tfoot", "colgroup", "col"}
_LAYOUT = {"p", "div"}
_DEEPEST = 8


def begins_html(line: str) -> bool:
    """Tell whether a line at the margin begins with a list or table in HTML."""
    return "<" in line and bool(_MARGIN.match(line))


def depth(line: str) -> int:
    """Return how many lists and tables the line opens, less those it closes."""
    return sum(-1 if tag[1] else 1 for tag in _CONTAINER.finditer(line))


def without_html_blocks(block: str) -> str:
    """Return a block of Markdown with lists and tables in HTML rewritten as Markdown."""
    if "<" not in block or not _OPENING.search(block) or _LEFT_ALONE.match(block):
        return block
    in_list = bool(_ITEM.match(block))
    out: list[str] = []
    at, indent = 0, ""
    while opening := _OPENING.search(block, at):
        line = max(block.rfind("\n", at, opening.start()) + 1, at)
        if in_list and (line > at or not at) and (markers := _MARKERS.match(block, line, opening.start())):
            indent = " " * len(markers[0])
        in_code = block.count("`", line, opening.start()) % 2
        read = None if in_code else _read(block, opening.start())
        if read is None or (in_list and _ITEM.search(block, opening.start(), read[1])):
            break
        markdown, end = read
        above = block[at : opening.start()].rstrip() if in_list else block[at : opening.start()].strip()
        tight = "\n" if in_list and not markdown.startswith("|") else "\n\n"
        out += (above, tight + indent + markdown.replace("\n", f"\n{indent}"))
        at = _behind(block, end, out, indent)
    return ("".join(out) + block[at:]).strip("\n") if out else block


def _behind(block: str, end: int, out: list[str], indent: str) -> int:
    """Add the border behind a rewritten stretch to `out`; returns where the next words begin."""
    at = end
    while block[at : at + 1] in (" ", "\t"):
        at += 1
    ends_line = block[at : at + 1] in ("", "\n")
    if indent and ends_line:
        return at  # the next line has its own indent
    while block[at : at + 1] in (" ", "\t", "\n"):
        at += 1
    out.append(f"\n\n{indent}" if at < len(block) else "")
    return at


@dataclass(slots=True)
class _Frame:
    """An open element: `words` of an item or cell, `blocks` nested in it, or `parts`: the items, rows or cells."""

    name: str
    attributes: str = ""
    words: str = ""
    blocks: list[str] = field(default_factory=list)
    parts: list[_Frame] = field(default_factory=list)


def _read(block: str, start: int) -> tuple[str, int] | None:
    """Return the Markdown for the list or table that begins at `start`, and the index behind; None: ill-formed."""
    stack: list[_Frame] = []
    at = start
    for tag in _TAG.finditer(block, start):
        if not _take_words(stack, block[at : tag.start()]):
            return None
        at = tag.end()
        name = tag["name"].casefold()
        if tag["end"]:
            result = _close(stack, name)
            if result is not None:
                return result, at
        elif not _open(stack, name, tag["attributes"]):
            return None
        if name not in _LISTS | _ITEMS.keys() | _CELLS | _GROUPS | _LAYOUT | {"table", "tr"}:
            if not _take_words(stack, tag[0]):
                return None
        elif name in _LAYOUT:
            _take_words(stack, " ")
    return None


def _take_words(stack: list[_Frame], words: str) -> bool:
    """Add words to the open item or cell; False: the words stand outside of items and cells."""
    top = stack[-1] if stack else None
    if top is not None and (top.name in _ITEMS or top.name in _CELLS):
        top.words += words
        return True
    return not words.strip() or not _COMMENT.sub("", words).strip()


def _open(stack: list[_Frame], name: str, attributes: str) -> bool:
    """Open an element; False: the element has no place here."""
    if name in _LISTS or name == "table":
        around = _ITEMS.keys() if name == "table" else _ITEMS.keys() | _CELLS
        if stack and (len(stack) >= 2 * _DEEPEST or stack[-1].name not in around):
            return False
    elif name in _ITEMS:
        while stack and stack[-1].name in _ITEMS:
            _leave(stack)
        if not stack or stack[-1].name not in _ITEMS[name]:
            return False
    elif name in _CELLS or name == "tr":
        while stack and (stack[-1].name in _CELLS or (stack[-1].name == "tr" and name == "tr")):
            _leave(stack)
        if name in ("td", "th") and stack and stack[-1].name == "table":
            stack.append(_Frame("tr"))
        if not stack or stack[-1].name != ("tr" if name in ("td", "th") else "table"):
            return False
    else:
        return True
    stack.append(_Frame(name, attributes))
    return True


def _close(stack: list[_Frame], name: str) -> str | None:
    """Close the innermost element of this name and all inside; returns the Markdown if nothing is open any more."""
    if name not in {frame.name for frame in stack}:
        return None
    while True:
        frame = stack[-1]
        done = frame.name == name
        if len(stack) == 1:
            return _table(frame) if frame.name == "table" else _list(frame)
        _leave(stack)
        if done:
            return None


def _leave(stack: list[_Frame]) -> None:
    frame = stack.pop()
    parent = stack[-1]
    if frame.name == "table":
        parent.blocks.append(_table(frame))
    elif frame.name not in _LISTS:
        parent.parts.append(frame)
    elif parent.name in _CELLS:
        parent.words += "".join(f"<br>• {_flat(item.words)}" for item in frame.parts)
    else:
        parent.blocks.append(_list(frame))


def _list(frame: _Frame) -> str:
    number = int(found[1]) if (found := _NUMBER.search(frame.attributes)) else 1
    items: list[str] = []
    for item in frame.parts:
        words = _flat(item.words)
        marker = f"{number}. " if frame.name == "ol" else "- "
        number += 1
        if item.name == "dt" and words:
            words = f"**{words}**"
        lines = [words, *("\n" * ("|" in block[:1]) + block for block in item.blocks)]
        indent = " " * len(marker)
        text = (marker + "\n".join(lines).replace("\n", f"\n{indent}")).rstrip()
        items.append("  " + text.replace("\n", "\n  ") if item.name == "dd" and items else text)
    return "\n".join(items)


def _table(frame: _Frame) -> str:
    rows: list[list[str]] = []
    captions = [_flat(part.words) for part in frame.parts if part.name == "caption"]
    for row in frame.parts:
        cells: list[str] = []
        for cell in row.parts if row.name == "tr" else ():
            span = int(found[1]) if (found := _SPAN.search(cell.attributes)) else 1
            cells += [re.sub(r"(?<!\\)\|", r"\\|", _flat(cell.words)), *[""] * (min(span, 50) - 1)]
        if cells:
            rows.append(cells)
    columns = max(map(len, rows), default=0)
    lines = ["| " + " | ".join(row + [""] * (columns - len(row))) + " |" for row in rows]
    if lines:
        lines.insert(1, "|" + "---|" * columns)
    return "\n\n".join(filter(None, [*captions, "\n".join(lines)]))


def _flat(words: str) -> str:
    """Return the words of an item or cell on one line, with links as Markdown."""
    words = " ".join(_COMMENT.sub("", words).split())
    return _LINK.sub(lambda link: f"[{link['words'].strip()}]({link['href']})", words)
