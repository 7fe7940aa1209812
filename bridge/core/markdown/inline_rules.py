"""The bridge's own rules for words within a line: formulas, products, footnotes, signs beside letters.

`parser` puts the rules in markdown-it's chain.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from markdown_it.rules_inline import StateInline

from bridge.core.markdown.flanking import sides
from bridge.core.markdown.tex import readable

_PRODUCT = re.compile(r"(?<=\d)\*(?=\d)")
_FOOTNOTE = re.compile(r"\[\^(?P<label>[\w-]{1,30})\](?![(\[]):?")
_FORMULA = re.compile(
    r"(?<![\w$])\$(?![\s$])(?P<dollar>[^$`\n]{1,300})(?<![\s\\])\$(?![\w$])"
    r"|\$\$(?P<double>[^$`\n]{1,300})\$\$|\\\((?P<round>[^`\n]{1,300}?)\\\)|\\\[(?P<square>[^`\n]{1,300}?)\\\]"
)
# Contents of formulas, by delimiter: "$5" is money and "\\[1\\]" a source, while "\\(" always begins a formula.
_MATH = {
    "dollar": re.compile(r"[\\^_{}=<>+*]|^[A-Za-z]{1,3}$|^-?\d+(?:\.\d+)?$"),
    "double": re.compile(r"\S"),
    "round": re.compile(r"\S"),
    "square": re.compile(r"[\\^_{}=<>+*]"),
}


def math(state: StateInline, silent: bool) -> bool:
    r"""Read `$…$`, `$$…$$`, `\(…\)` and `\[…\]` within a line as code: no sign in a formula is markup."""
    if state.src[state.pos] not in "$\\":
        return False
    found = _FORMULA.match(state.src, state.pos, state.posMax)
    if not found or not found.lastgroup or not _MATH[found.lastgroup].search(found[found.lastgroup]):
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = readable(found[found.lastgroup]).replace("\n", " ")
    state.pos = found.end()
    return True


def product(state: StateInline, silent: bool) -> bool:
    """Read the stars in 2*3*4 as text, not as emphasis."""
    if not _PRODUCT.match(state.src, state.pos, state.posMax):
        return False
    if not silent:
        token = state.push("text_special", "", 0)
        token.content, token.markup = "*", r"\*"
    state.pos += 1
    return True


def sign_rule(original: Callable[[StateInline, bool], bool], state: StateInline, silent: bool) -> bool:
    """Read `*`, `**` and `~~`; beside a script without spaces by the amended rule (`flanking`)."""
    start, known = state.pos, len(state.delimiters)
    if not original(state, silent):
        return False
    if state.src[start] != "_":
        begins, ends = sides(state.src, start, state.pos)
        for sign in state.delimiters[known:]:
            sign.open, sign.close = sign.open or begins, sign.close or ends
    return True


def unpaired(state: StateInline) -> None:
    """Keep signs that begin bold text without end apart from the words: a longer answer may bring the end."""
    for meta in ({"delimiters": state.delimiters}, *state.tokens_meta):
        for sign in meta["delimiters"] if meta else ():
            token = state.tokens[sign.token]
            around = state.tokens[max(sign.token - 1, 0) : sign.token + 2]
            fence = token.content == "~~" and sum(near.content.count("~") for near in around) > 2
            if sign.open and token.type == "text" and token.content in ("*", "~~") and not fence:
                token.type = "unpaired"


def footnote(state: StateInline, silent: bool) -> bool:
    """Read `[^1]`, and `[^1]:` before the words of a footnote, as the text "[1]"."""
    found = _FOOTNOTE.match(state.src, state.pos, state.posMax)
    if not found or state.linkLevel:
        return False
    begins_line = state.pos == 0 or state.src[state.pos - 1] == "\n"
    if not silent:
        state.push("text", "", 0).content = f"[{found['label']}]"
    state.pos = found.end() if begins_line else found.end("label") + 1
    return True
