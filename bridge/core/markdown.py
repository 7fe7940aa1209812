"""The agent's Markdown (CommonMark, GFM tables, task lists, strikethrough) in the dialect that Teams shows.

Pure. Bold, italic, strike, code, quotes, links and lists stay as they were written. What Teams does not show
(headings, rules, images, tables, task boxes, single line breaks) becomes something that reads well, and what
could do harm (HTML, mentions, widgets, links to nowhere) becomes plain text. No word is dropped. What Teams
shows: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages
(teams-platform.md §3).

The parse is markdown-it's; text is written back as its source, so that what was no markup becomes none.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import unescapeAll

from bridge.core.inline import BREAK, inline, literal, plain, target, without_mentions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

_RULE = "———"
_TASKS = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}
_MAX_BRACKETS = 1000  # in one paragraph; the time markdown-it takes grows with the square
_MAX_NESTING = 30  # deeper blocks are shown as written; markdown-it would drop them without a word
_PHONE_COLUMNS = 40  # monospaced characters in a row on a phone held upright
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
_DEFINITION = re.compile(r" {0,3}\[[^\]]+\]:\s*<?(?:https?:|mailto:)", re.IGNORECASE)


def to_teams(markdown: str) -> str:
    """Render `markdown` (no control characters, no lone surrogates) as one text, which may be too long to
    send.

    Fenced code blocks of the result are made of backticks and closed. Blank only if `markdown` is.
    """
    parser = _parser()
    env: dict[str, Any] = {}
    markdown = re.sub(r"\r\n?", "\n", markdown)
    text = _blocks(iter(parser.parse(markdown, env)), markdown.split("\n"))
    defined = [(label, str(link["href"])) for label, link in env.get("references", {}).items()]
    defined += [(str(link["label"]), str(link["href"])) for link in env.get("duplicate_refs", [])]
    unused = [f"{literal(label)}: {href}" for label, href in defined if target(href) not in text]
    text = "\n\n".join(filter(None, [text, *unused]))
    return text if text.strip() else literal(markdown).strip()


def link_targets(markdown: str) -> frozenset[str]:
    """Where the links and pictures of `markdown` lead, as the parser writes it; code has none."""
    return frozenset(
        str(token.attrGet("href") or token.attrGet("src"))
        for block in _parser().parse(markdown)
        for token in block.children or ()
        if token.type in ("link_open", "image")
    )


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802 - markdown-it's hook; `_link` decides instead
        return True


@cache
def _parser() -> MarkdownIt:
    # Without `text_join` an escape or entity stays a token of its own and is written back as such.
    parser = _Parser("commonmark", {"html": False, "maxNesting": 2 * _MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable("text_join")
    define = next(rule.fn for rule in parser.block.ruler.__rules__ if rule.name == "reference")

    def reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        """Only web addresses can be defined: "[Note]: see" is prose, and a definition disappears."""
        line = state.src[state.bMarks[start] : state.eMarks[start]]
        return bool(_DEFINITION.match(line)) and bool(define(state, start, end, silent))

    parser.block.ruler.at("reference", reference)
    parser.block.ruler.before("table", "too_deep", _too_deep)
    parser.core.ruler.after("block", "too_many_brackets", _too_many_brackets)
    return parser


def _too_many_brackets(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and token.content.count("[") > _MAX_BRACKETS:
            token.content = token.content.replace("[", r"\[")


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if silent or state.level < _MAX_NESTING:
        return False
    state.push("paragraph_open", "p", 1)
    words = state.push("inline", "", 0)
    words.content = state.getLines(start, end, state.blkIndent, False).strip()
    words.map, words.children = [start, end], []
    state.push("paragraph_close", "p", -1)
    state.line = end
    return True


def _blocks(tokens: Iterator[Token], source: Sequence[str], end: str = "") -> str:
    """The blocks up to the token of type `end`, separated by what Teams needs between them."""
    text, before = "", ""
    for token in tokens:
        if token.type == end:
            break
        block = _block(token, tokens, source)
        if not block:
            continue
        # A list directly under its item's words keeps the outer list tight.
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
        case "fence" | "code_block":
            block = _fence(token.content.removesuffix("\n"), token.info)
        case "blockquote_open":
            quoted = _blocks(tokens, source, "blockquote_close")
            block = "\n".join(f"> {line}" if line else ">" for line in quoted.split("\n"))
        case "bullet_list_open" | "ordered_list_open":
            block = _list(tokens, source, token.type.replace("open", "close"))
        case "table_open":
            block = _table(token, tokens, source)
        case "hr":
            block = _RULE
    return block


def _children(tokens: Iterator[Token]) -> list[Token]:
    """The inline tokens of a paragraph, heading or cell whose opening was read; reads its closing too."""
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
    return ("\n\n" if any("\n\n" in item for item in items) else "\n").join(items)


def _fence(code: str, info: str = "") -> str:
    """A fenced block. Its info string names a language or nothing; further words of it stand before the block.

    "html-widget" would make the code an interactive widget (teams-platform.md §3, §10).
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
    """Narrow ones as aligned code, wide ones and those with links as labelled rows, ill-formed ones as is."""
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
    if overflow and opening.map:  # markdown-it drops the cells for which there is no column
        return _fence("\n".join(line.lstrip(" >") for line in source[slice(*opening.map)]))
    return _aligned(rows, right) or _labelled(rows)


def _pipes(source: Sequence[str], row: Token) -> int:
    """How many cells the row's line was written with."""
    line = source[row.map[0]].strip().lstrip(" >") if row.map else ""
    return len(re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|")))


def _aligned(rows: Sequence[Sequence[list[Token]]], right: Sequence[bool]) -> str:
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
    labels = [inline(cell, in_bold=True) for cell in rows[0]]
    if len(rows) == 1:
        return " · ".join(f"**{label}**" for label in labels if label)
    return "\n\n".join(
        BREAK.join(
            f"**{label}:** {cell}" if label else cell
            for label, cell in zip(labels, map(inline, row), strict=True)
            if label or cell
        )
        for row in rows[1:]
    )


def _columns(text: str) -> int:
    """Width of `text` in monospaced columns."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
