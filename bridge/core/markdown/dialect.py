"""Translates the agent's Markdown (CommonMark, GFM tables, task lists, strikethrough) into Teams' Markdown.

Bold, italic, strike, code, quotes, links and lists stay as written. Elements unknown to Teams (headings, rules, images,
tables, task boxes, formulas, single line breaks; docs/reference/teams.md, "What Teams shows of Markdown") become
readable text; harmful elements (HTML, mentions, widgets, local links) become plain text. No word is dropped.

markdown-it parses (`parser`); text is written back as its source, so plain signs do not become markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from textwrap import dedent

from markdown_it.common.utils import normalizeReference, unescapeAll
from markdown_it.token import Token

from bridge.core.markdown.inline import BREAK, inline, literal, plain, target, without_mentions
from bridge.core.markdown.parser import Definitions, parse

_RULE = "———"
_TASKS = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}
_PHONE_COLUMNS = 40  # monospaced characters in a row on a phone held upright
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")


def to_teams(markdown: str, definitions: Definitions | None = None) -> str:
    """Render a block of `markdown` (no control characters, no lone surrogates) in Teams' dialect.

    Code blocks of the result have closed fences of backticks. Blank if the block has no words.
    """
    return _blocks(iter(parse(markdown, definitions)), markdown.split("\n"))


def link_targets(markdown: str) -> frozenset[str]:
    """Return the targets of the links and pictures in `markdown`, as normalized by the parser; code has none."""
    return frozenset(
        str(token.attrGet("href") or token.attrGet("src"))
        for block in parse(markdown, None)
        for token in block.children or ()
        if token.type in ("link_open", "image")
    )


def _blocks(tokens: Iterator[Token], source: Sequence[str], end: str = "") -> str:
    """Render the blocks up to the token of type `end`, with the line breaks needed by Teams between blocks."""
    text, before = "", ""
    for token in tokens:
        if token.type == end:
            break
        block = _block(token, tokens, source)
        if not block:
            continue
        # A list directly below the words of an item keeps the outer list tight.
        tight = (
            end == "list_item_close"
            and before == "paragraph_open"
            and block.startswith(("- ", "* ", "+ ", "1. ", "1) "))
        )
        text += ("\n" if tight and token.type.endswith("list_open") else "\n\n") + block if text else block
        before = token.type
    return text


def _block(token: Token, tokens: Iterator[Token], source: Sequence[str]) -> str:
    block = ""
    match token.type:
        case "paragraph_open":
            block = inline(_children(tokens))
        case "heading_open":
            words = inline(_children(tokens), in_bold=True)
            block = f"**{words}**" if words else ""
        case "fence":
            block = _fence(token.content.removesuffix("\n"), token.info)
        case "code_block":  # agents indent code in list items more than needed
            block = _fence(dedent(token.content).removesuffix("\n"))
        case "blockquote_open":
            quoted = _blocks(tokens, source, "blockquote_close")
            block = "\n".join(f"> {line}" if line else ">" for line in quoted.split("\n"))
        case "bullet_list_open" | "ordered_list_open":
            block = _list(tokens, source, token.type.replace("open", "close"))
        case "table_open":
            block = _table(token, tokens, source)
        case "hr":
            block = _RULE
        case "definitions":
            block = BREAK.join(filter(None, (_source(line, token.meta["used"]) for line in token.meta["lines"])))
    return block


def _source(line: re.Match[str], used: Collection[str]) -> str:
    """Render a link definition as an entry in the list of sources, "" if the text already links to the definition."""
    if not line["label"].isdecimal() and normalizeReference(line["label"]) in used:
        return ""
    href = target(line["href"])
    title = re.sub(r"([\[\]])", r"\\\1", literal(line["title"] or "")).strip()
    return f"[{literal(line['label'])}] " + (f"[{title}]({href})" if title else href)


def _children(tokens: Iterator[Token]) -> list[Token]:
    """Return the inline tokens of the paragraph, heading or cell just opened, and read the closing token."""
    words = next(tokens)
    next(tokens)
    return words.children or []


def _list(tokens: Iterator[Token], source: Sequence[str], end: str) -> str:
    items: list[str] = []
    for token in tokens:
        if token.type == end:
            break
        marker = f"{token.info}{token.markup} "  # "- " or "3. "
        item = _blocks(tokens, source, "list_item_close")
        for box, sign in _TASKS.items():
            if item.startswith(box):
                item = sign + item.removeprefix(box)
        items.append((marker + re.sub(r"\n(?!\n)", "\n" + " " * len(marker), item)).rstrip(" "))
    # A blank line follows an item with a blank line inside: later items must not change earlier ones (`partial`).
    return "".join(item + ("\n\n" if "\n\n" in item else "\n") for item in items).rstrip("\n")


def _fence(code: str, info: str = "") -> str:
    """Return a fenced block with the language of `info`; further words of `info` stand before the block.

    The language "html-widget" is removed: Teams could run the code as an interactive widget
    (docs/reference/teams.md, "What Teams shows of Markdown").
    """
    info = unescapeAll(info.strip())
    language, _, words = info.partition(" ")
    if not _LANGUAGE.fullmatch(language):
        language, words = "", info
    if language.casefold().startswith("html-widget"):
        language = ""
    code = re.sub("`{20}(?=`)", "\\g<0>\u200b", without_mentions(code))
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    ticks = "`" * max(3, longest + 1)
    caption = f"{literal(words)}\n\n" if words.strip() else ""
    return f"{caption}{ticks}{language}\n{code}\n{ticks}"


def _table(opening: Token, tokens: Iterator[Token], source: Sequence[str]) -> str:
    """Render a table: aligned code if narrow, labelled rows if wide or with links, the source if ill-formed."""
    rows: list[list[list[Token]]] = []
    right: list[bool] = []
    overflow = False
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
            overflow = overflow or 0 < len(rows[0]) < _pipes(source, token)
        elif token.type in ("th_open", "td_open"):
            if len(rows) == 1:
                right.append("right" in str(token.attrGet("style")))
            rows[-1].append(_children(tokens))
    if overflow and opening.map:  # markdown-it drops cells beyond the last column
        return _fence("\n".join(line.lstrip(" >") for line in source[slice(*opening.map)]))
    return _aligned(rows, right) or _labelled(rows)


def _pipes(source: Sequence[str], row: Token) -> int:
    """Return the number of cells in the source line of a row."""
    line = source[row.map[0]].strip().lstrip(" >") if row.map else ""
    return len(re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|")))


def _aligned(rows: Sequence[Sequence[list[Token]]], right: Sequence[bool]) -> str:
    """Return the table as aligned code, "" if too wide for a phone or with links; `right`: columns aligned right."""
    if any(token.type in ("link_open", "image") for row in rows for cell in row for token in cell):
        return ""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in zip(*cells, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > _PHONE_COLUMNS:
        return ""
    lines = [
        "  ".join(
            " " * (width - _columns(cell)) + cell if to_right else cell + " " * (width - _columns(cell))
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("─" * max(width, 1) for width in widths))
    return _fence("\n".join(lines))


def _labelled(rows: Sequence[Sequence[list[Token]]]) -> str:
    """Return each row as lines of "**Column:** cell"."""
    labels = [inline(cell, in_bold=True) for cell in rows[0]]
    if len(rows) == 1:
        return " · ".join(f"**{label}**" for label in labels if label)
    return "\n\n".join(
        BREAK.join(
            f"**{label}:** {cell or '–'}" if label else cell
            for label, cell in zip(labels, map(inline, row), strict=True)
            if label or cell
        )
        for row in rows[1:]
    )


def _columns(text: str) -> int:
    """Return the width of `text` in monospaced columns."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
