"""Parses the agent's Markdown: markdown-it's CommonMark with GFM tables and strikethrough, and the bridge's own rules.

The meaning of a line never depends on a later line, except for short lines (`blocks.HEAD_COLUMNS`), so an answer can be
shown while growing (`partial`). Hence only short lines can be underlined headings, and only links
`[words][label]` can have their address in a later line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference
from markdown_it.ruler import RuleFuncTv, Ruler
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from bridge.core.markdown.blocks import HEAD_COLUMNS, UNDERLINE
from bridge.core.markdown.inline_html import html
from bridge.core.markdown.inline_rules import footnote, math, product, sign_rule, unpaired
from bridge.core.markdown.tex import readable

_MAX_BRACKETS = 50  # in a paragraph; the time of markdown-it grows with the square
# Characters read behind labels for addresses of links: in all labels of a paragraph, and at least behind each label.
# Only a picture's own bytes (`data:`) are longer than the latter.
_MOST_READ = 400_000
_LEAST_READ = 4_000
# Cells that a table may lack in all rows together; the table ends there. markdown-it's own limit of 65,536 lets 3 KB of
# bare pipes take a second.
_MOST_MISSING_CELLS = 250
_MAX_NESTING = 30  # deeper blocks are shown as written; markdown-it would drop deeper blocks silently
# Definitions are for web addresses only: "[Note]: see" is prose.
_DEFINITION = re.compile(
    r"^ {0,3}\[(?P<label>[^\[\]\\\n]{1,200})\]:[ \t]*<?(?P<href>(?:https?://|mailto:)[^\s<>]{1,2000})>?"
    r"(?:[ \t]+(?:\"(?P<title>[^\"\n]*)\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)


# A bracket neither closed soon nor the start of a link closed soon.
_SOON = r"[^\s()<>\[\]\\]"
_ADDRESS = rf"\({_SOON}{{0,2000}}+(?:\({_SOON}{{0,200}}+\){_SOON}{{0,200}}+)?(?: \"[^\"\\\n]{{0,300}}+\")?\)"
_BRACKET = re.compile(rf"(?<!\\)(\\*+)\[(?![^\[\]\\`<\n]{{0,200}}\](?:(?!\()|{_ADDRESS}))")
_DISPLAY = {"$$": re.compile(r"\$\$[ \t]*$", re.MULTILINE), "\\[": re.compile(r"\\\][ \t]*$", re.MULTILINE)}
_BLANK = re.compile(r"\n[ \t>]*\n")
_LONGEST_FORMULA = 2_000  # characters, so the search for the end stays short


class Definitions(dict[str, dict[str, str]]):
    """The link definitions (`[label]: https://…`) of an answer, by label.

    `used` and `missed` are the labels which the parser has looked up, with and without success.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.missed: set[str] = set()
        self.used: set[str] = set()
        if "][" in text:
            for found in _DEFINITION.finditer(text):
                link = {"href": _parser().normalizeLink(found["href"]), "title": found["title"] or ""}
                self.setdefault(normalizeReference(found["label"]), link)

    def get(self, label: str, _default: Any = None) -> Any:
        """Return the definition of `label`, None if missing, and note the look-up."""
        (self.used if label in self else self.missed).add(label)
        return super().get(label)


def parse(markdown: str, definitions: Definitions | None) -> list[Token]:
    """Return markdown-it's tokens of `markdown`; `definitions` are the link definitions of the whole answer."""
    return _parser().parse(markdown, {"definitions": definitions})


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802  markdown-it's hook; `inline._link` decides
        return True


@cache
def _parser() -> MarkdownIt:
    # Without `text_join` an escape or entity stays a separate token, to be written back as the source.
    vars(import_module("markdown_it.rules_block.table"))["MAX_AUTOCOMPLETED_CELLS"] = _MOST_MISSING_CELLS
    parser = _Parser("commonmark", {"html": False, "maxNesting": 2 * _MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable("text_join")
    parser.disable("reference")
    for name in ("link", "image"):
        parser.inline.ruler.at(name, partial(_link_rule, _rule(parser.inline.ruler, name)))
    table = partial(_table_rule, _rule(parser.block.ruler, "table"))
    parser.block.ruler.at("table", table, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.at("lheading", partial(_underlined_rule, _rule(parser.block.ruler, "lheading")))
    parser.block.ruler.before("table", "too_deep", _too_deep)
    parser.block.ruler.before("hr", "double_rule", _double_rule, {"alt": ["paragraph", "blockquote", "list"]})
    parser.block.ruler.before("paragraph", "definitions", _definitions)
    parser.block.ruler.before("table", "display_math", _display_math, {"alt": ["paragraph", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "math", math)
    parser.inline.ruler.before("link", "footnote", footnote)
    parser.inline.ruler.before("emphasis", "product", product)
    for name in ("strikethrough", "emphasis"):
        parser.inline.ruler.at(name, partial(sign_rule, _rule(parser.inline.ruler, name)))
    parser.inline.ruler2.before("fragments_join", "unpaired", unpaired)
    parser.inline.ruler.after("autolink", "html", html)
    parser.core.ruler.after("block", "too_many_brackets", _too_many_brackets)
    return parser


def _rule(ruler: Ruler[RuleFuncTv], name: str) -> RuleFuncTv:
    return next(rule.fn for rule in ruler.__rules__ if rule.name == name)


def _link_rule(original: Callable[[StateInline, bool], bool], state: StateInline, silent: bool) -> bool:
    """Let only `[text][label]` and `[text][]` refer to a definition.

    "[Note]" and "[1]" stay text, because the bridge shows such words before a definition can follow.
    """
    start = state.pos + state.src.startswith("!", state.pos)
    if not state.src.startswith("[", start):
        return False
    brackets = _brackets(state)
    bounds = (start, state.pos, state.posMax)
    if bounds not in brackets.ends:
        brackets.ends[bounds] = state.md.helpers.parseLinkLabel(state, start, start == state.pos)
    end = brackets.ends[bounds]
    if end < 0:
        return False
    outer, whole = state.env.pop("references", None), state.posMax
    if brackets.refer and state.src.startswith("[", end + 1) and not state.src[start + 1 : end].isdecimal():
        state.env["references"] = state.env["definitions"]
    state.posMax = min(whole, end + brackets.read)
    try:
        return original(state, silent)
    finally:
        state.posMax = whole
        state.env.pop("references", None)
        if outer is not None:
            state.env["references"] = outer


@dataclass(frozen=True, slots=True)
class _Brackets:
    """Facts about a paragraph, found once: finding them at each bracket would take quadratic time.

    `refer`: a `[text][label]` may occur; `read`: the number of characters behind a label in which the link must end;
    `ends`: where each label ends (-1: nowhere), by the start of label and link and the end of the surroundings.
    """

    src: str
    refer: bool
    read: int
    ends: dict[tuple[int, int, int], int]


def _brackets(state: StateInline) -> _Brackets:
    brackets = state.env.get("brackets")
    if not isinstance(brackets, _Brackets) or brackets.src is not state.src:
        refer = state.env["definitions"] is not None and "][" in state.src
        read = max(_LEAST_READ, _MOST_READ // (1 + state.src.count("[")))
        brackets = state.env["brackets"] = _Brackets(state.src, refer, read, {})
    return brackets


def _table_rule(
    original: Callable[[StateBlock, int, int, bool], bool], state: StateBlock, start: int, end: int, silent: bool
) -> bool:
    """Take a line for the head of a table only if the first pipe stands near the start of the line."""
    pipe = state.src.find("|", state.bMarks[start] + state.tShift[start], state.eMarks[start])
    near = 0 <= pipe - state.bMarks[start] - state.tShift[start] < HEAD_COLUMNS
    if not near:
        return False
    # silent: only a whole head is worth a search for the end of its rows
    is_head = original(state, start, end, True)
    if silent or not is_head:
        return is_head
    outer = pipe == state.bMarks[start] + state.tShift[start]
    rows = (number for number in range(start + 2, end) if not _is_row(state, number, outer=outer))
    return original(state, start, next(rows, end), silent)


def _is_row(state: StateBlock, number: int, *, outer: bool) -> bool:
    """Tell whether a line below a table is a row; GFM takes a sentence, too. `outer`: the head begins with "|"."""
    line = state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
    return line.startswith("|") if outer else "|" in line


def _underlined_rule(
    original: Callable[[StateBlock, int, int, bool], bool], state: StateBlock, start: int, end: int, silent: bool
) -> bool:
    """Take a line for a heading only if short, underlined and outside of lists and quotes."""
    if state.level or start + 1 >= end or state.eMarks[start] - state.bMarks[start] >= HEAD_COLUMNS:
        return False
    underline = UNDERLINE.fullmatch(state.src, state.bMarks[start + 1], state.eMarks[start + 1])
    return bool(underline) and original(state, start, end, silent)


def _double_rule(state: StateBlock, start: int, _end: int, silent: bool) -> bool:
    """Read a line of "=" below a long line as a rule, not as a heading: the long line may have been shown already."""
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].rstrip()
    if len(line) < 3 or line.strip("=") or state.is_code_block(start):
        return False
    if not silent:
        state.line = start + 1
        token = state.push("hr", "hr", 0)
        token.map = [start, start + 1]
    return True


def _display_math(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Read the lines from `$$` or `\[` to the closing sign as a formula; no blank line may lie between."""
    at = state.bMarks[start] + state.tShift[start]
    opening = state.src[at : at + 2]
    closing = _DISPLAY[opening].search(state.src, at + 2, at + _LONGEST_FORMULA) if opening in _DISPLAY else None
    if not closing or _BLANK.search(state.src, at, closing.start()):
        return False
    numbers = range(start, start + state.src.count("\n", at, closing.start()) + 1)
    if numbers.stop > end or any(state.sCount[number] < state.blkIndent for number in numbers):
        return False
    lines = [
        state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip() for number in numbers
    ]
    tex = "\n".join(lines)[2:-2]
    if state.is_code_block(start) or not tex.strip() or opening in tex or closing[0].rstrip() in tex:
        return False  # "$$a$$ and $$b$$" is prose
    if not silent:
        state.line = start + len(lines)
        token = state.push("fence", "code", 0)
        token.content = "\n".join(line.rstrip() for line in readable(tex).split("\n") if line.strip())
        token.map = [start, state.line]
    return True


def _definitions(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read lines with link definitions as a list of sources, to be shown.

    `dialect` leaves out definitions that links in the text have used.
    """
    lines = []
    for number in range(start, end):
        found = _DEFINITION.fullmatch(state.src, state.bMarks[number] + state.tShift[number], state.eMarks[number])
        if not found or state.sCount[number] < state.blkIndent or state.is_code_block(number):
            break
        lines.append(found)
    if lines and not silent:
        state.line = start + len(lines)
        token = state.push("definitions", "", 0)
        token.map = [start, state.line]
        token.meta = {"lines": lines, "used": state.env["definitions"].used if state.env["definitions"] else ()}
    return bool(lines)


def _too_many_brackets(state: StateCore) -> None:
    """Escape brackets in a paragraph with too many, except for brackets closed soon.

    The latter cost little time, and may have been shown already.
    """
    for token in state.tokens:
        if token.type == "inline" and token.content.count("[") > _MAX_BRACKETS:
            token.content = _BRACKET.sub(_escaped, token.content)


def _escaped(bracket: re.Match[str]) -> str:
    return bracket[0] if len(bracket[1]) % 2 else f"{bracket[1]}\\["


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read blocks beyond the deepest level as a paragraph of plain words."""
    if silent or state.level < _MAX_NESTING:
        return False
    state.push("paragraph_open", "p", 1)
    words = state.push("inline", "", 0)
    words.content = state.getLines(start, end, state.blkIndent, False).strip()
    words.map, words.children = [start, end], []
    state.push("paragraph_close", "p", -1)
    state.line = end
    return True
