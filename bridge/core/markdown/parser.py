"""How the agent's Markdown is read: markdown-it's CommonMark with GFM tables and strikethrough, and rules of our own.

Pure. What a line is never depends on a later line, unless it is short (`blocks.HEAD_COLUMNS`): so an
answer can be shown while it grows (`unfinished`). Hence only short lines are underlined headings, and no link has its
address elsewhere, unless it is written `[words][label]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference

from bridge.core.markdown.blocks import HEAD_COLUMNS, UNDERLINE
from bridge.core.markdown.inline_html import html
from bridge.core.markdown.tex import readable

if TYPE_CHECKING:
    from collections.abc import Callable

    from markdown_it.ruler import RuleFuncTv, Ruler
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

_MAX_BRACKETS = 50  # in one paragraph; the time markdown-it takes grows with the square
_MOST_READ = 400_000  # characters of a paragraph that are read for the addresses of links, at most this often each:
_LEAST_READ = 4_000  # what no address exceeds but a picture's own bytes
_MAX_NESTING = 30  # deeper blocks are shown as written; markdown-it would drop them without a word
# Only web addresses can be defined: "[Note]: see" is prose.
_DEFINITION = re.compile(
    r"^ {0,3}\[(?P<label>[^\[\]\\\n]{1,200})\]:[ \t]*<?(?P<href>(?:https?://|mailto:)[^\s<>]{1,2000})>?"
    r"(?:[ \t]+(?:\"(?P<title>[^\"\n]*)\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)


_PRODUCT = re.compile(r"(?<=\d)\*(?=\d)")
_FOOTNOTE = re.compile(r"\[\^(?P<label>[\w-]{1,30})\](?![(\[]):?")
# Neither closed soon, nor the start of a link that is.
_SOON = r"[^\s()<>\[\]\\]"
_ADDRESS = rf"\({_SOON}{{0,2000}}+(?:\({_SOON}{{0,200}}+\){_SOON}{{0,200}}+)?(?: \"[^\"\\\n]{{0,300}}+\")?\)"
_BRACKET = re.compile(rf"(\\*+)\[(?![^\[\]\\`<\n]{{0,200}}\](?:(?!\()|{_ADDRESS}))")
_DISPLAY = {"$$": re.compile(r"\$\$[ \t]*$", re.MULTILINE), "\\[": re.compile(r"\\\][ \t]*$", re.MULTILINE)}
_BLANK = re.compile(r"\n[ \t>]*\n")
_LONGEST_FORMULA = 2_000  # what has not ended by then is no formula; this keeps the search short
_FORMULA = re.compile(
    r"(?<![\w$])\$(?![\s$])(?P<dollar>[^$`\n]{1,300})(?<![\s\\])\$(?![\w$])"
    r"|\$\$(?P<double>[^$`\n]{1,300})\$\$|\\\((?P<round>[^`\n]{1,300}?)\\\)|\\\[(?P<square>[^`\n]{1,300}?)\\\]"
)
_MATH = {  # by what stands around it: "$5" is money, "\\[1\\]" a source, and nobody writes "\\(" but for math
    "dollar": re.compile(r"[\\^_{}=<>+*]|^[A-Za-z]{1,3}$|^-?\d+(?:\.\d+)?$"),
    "double": re.compile(r"\S"),
    "round": re.compile(r"\S"),
    "square": re.compile(r"[\\^_{}=<>+*]"),
}


class Definitions(dict[str, dict[str, str]]):
    """What `[label]: https://…` lines of an answer define, by label; knows which labels were looked for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.missed: set[str] = set()
        self.used: set[str] = set()
        if "][" in text:
            for found in _DEFINITION.finditer(text):
                link = {"href": _parser().normalizeLink(found["href"]), "title": found["title"] or ""}
                self.setdefault(normalizeReference(found["label"]), link)

    def get(self, label: str, _default: Any = None) -> Any:
        (self.used if label in self else self.missed).add(label)
        return super().get(label)


def parse(markdown: str, definitions: Definitions | None) -> list[Token]:
    return _parser().parse(markdown, {"definitions": definitions})


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802 - markdown-it's hook; `_link` decides instead
        return True


@cache
def _parser() -> MarkdownIt:
    # Without `text_join` an escape or entity stays a token of its own and is written back as such.
    parser = _Parser("commonmark", {"html": False, "maxNesting": 2 * _MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable("text_join")
    parser.disable("reference")
    for name in ("link", "image"):
        parser.inline.ruler.at(name, partial(_link_rule, _known(parser.inline.ruler, name)))
    table = partial(_table_rule, _known(parser.block.ruler, "table"))
    parser.block.ruler.at("table", table, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.at("lheading", partial(_underlined_rule, _known(parser.block.ruler, "lheading")))
    parser.block.ruler.before("table", "too_deep", _too_deep)
    parser.block.ruler.before("hr", "double_rule", _double_rule, {"alt": ["paragraph", "blockquote", "list"]})
    parser.block.ruler.before("paragraph", "definitions", _definitions)
    parser.block.ruler.before("table", "display_math", _display_math, {"alt": ["paragraph", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "math", _math)
    parser.inline.ruler.before("link", "footnote", _footnote)
    parser.inline.ruler.before("emphasis", "product", _product)
    parser.inline.ruler.after("autolink", "html", html)
    parser.core.ruler.after("block", "too_many_brackets", _too_many_brackets)
    return parser


def _known(ruler: Ruler[RuleFuncTv], name: str) -> RuleFuncTv:
    return next(rule.fn for rule in ruler.__rules__ if rule.name == name)


def _link_rule(original: Callable[[StateInline, bool], bool], state: StateInline, silent: bool) -> bool:
    """Only `[text][label]` and `[text][]` refer to a definition.

    "[Note]" and "[1]" stay what they are: they are shown before anybody knows whether a definition follows.
    """
    start = state.pos + state.src.startswith("!", state.pos)
    if not state.src.startswith("[", start):
        return False
    brackets = _brackets(state)
    place = (start, state.pos, state.posMax)
    if place not in brackets.ends:
        brackets.ends[place] = state.md.helpers.parseLinkLabel(state, start, start == state.pos)
    end = brackets.ends[place]
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
    """What is found out once about a paragraph: to do so at each bracket would take the square of its length.

    `refer`: something in it may be a `[text][label]`; `read`: how far behind a label its link may reach; `ends`: of
    labels, by where each and its link begin and its surroundings end.
    """

    src: str
    refer: bool
    read: int
    ends: dict[tuple[int, int, int], int]


def _brackets(state: StateInline) -> _Brackets:
    known = state.env.get("brackets")
    if not isinstance(known, _Brackets) or known.src is not state.src:
        refer = state.env["definitions"] is not None and "][" in state.src
        read = max(_LEAST_READ, _MOST_READ // (1 + state.src.count("[")))
        known = state.env["brackets"] = _Brackets(state.src, refer, read, {})
    return known


def _table_rule(
    original: Callable[[StateBlock, int, int, bool], bool], state: StateBlock, start: int, end: int, silent: bool
) -> bool:
    pipe = state.src.find("|", state.bMarks[start] + state.tShift[start], state.eMarks[start])
    near = 0 <= pipe - state.bMarks[start] - state.tShift[start] < HEAD_COLUMNS
    return near and original(state, start, end, silent)


def _underlined_rule(
    original: Callable[[StateBlock, int, int, bool], bool], state: StateBlock, start: int, end: int, silent: bool
) -> bool:
    if state.level or start + 1 >= end or state.eMarks[start] - state.bMarks[start] >= HEAD_COLUMNS:
        return False
    underline = UNDERLINE.fullmatch(state.src, state.bMarks[start + 1], state.eMarks[start + 1])
    return bool(underline) and original(state, start, end, silent)


def _double_rule(state: StateBlock, start: int, _end: int, silent: bool) -> bool:
    """A line of "=" under something long is a rule: that it is a heading would be known too late."""
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].rstrip()
    if len(line) < 3 or line.strip("=") or state.is_code_block(start):
        return False
    if not silent:
        state.line = start + 1
        token = state.push("hr", "hr", 0)
        token.map = [start, start + 1]
    return True


def _math(state: StateInline, silent: bool) -> bool:
    r"""`$…$`, `$$…$$`, `\(…\)` and `\[…\]` within a line become code: no sign in a formula is markup."""
    if state.src[state.pos] not in "$\\":
        return False
    found = _FORMULA.match(state.src, state.pos, state.posMax)
    if not found or not found.lastgroup or not _MATH[found.lastgroup].search(found[found.lastgroup]):
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = readable(found[found.lastgroup]).replace("\n", " ")
    state.pos = found.end()
    return True


def _product(state: StateInline, silent: bool) -> bool:
    """In 2*3*4 the stars are no emphasis."""
    if not _PRODUCT.match(state.src, state.pos, state.posMax):
        return False
    if not silent:
        token = state.push("text_special", "", 0)
        token.content, token.markup = "*", r"\*"
    state.pos += 1
    return True


def _footnote(state: StateInline, silent: bool) -> bool:
    """`[^1]` is shown as "[1]", and so is `[^1]:` before the note's words."""
    found = _FOOTNOTE.match(state.src, state.pos, state.posMax)
    if not found or state.linkLevel:
        return False
    begins_line = state.pos == 0 or state.src[state.pos - 1] == "\n"
    if not silent:
        state.push("text", "", 0).content = f"[{found['label']}]"
    state.pos = found.end() if begins_line else found.end("label") + 1
    return True


def _display_math(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Lines from one that begins with `$$` to one that ends with it, or with brackets; no blank line between."""
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
    """Lines that define links are shown, as the list of sources that they mostly are.

    But for names to which words above refer: those are links by now.
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
    """What is closed at once costs little and stays: it may have been shown before the others came."""
    for token in state.tokens:
        if token.type == "inline" and token.content.count("[") > _MAX_BRACKETS:
            token.content = _BRACKET.sub(_escaped, token.content)


def _escaped(bracket: re.Match[str]) -> str:
    return bracket[0] if len(bracket[1]) % 2 else f"{bracket[1]}\\["


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
