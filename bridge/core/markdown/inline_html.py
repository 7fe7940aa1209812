"""Translates the HTML formatting tags in an agent's Markdown: `<b>`, `<kbd>`, `<sup>`, `<p>`.

Teams would show the tags. A pair of tags around plain words becomes Markdown, a tag for layout is left out. All other
tags stay text, which `inline` makes harmless. So does a tag beside a sign of Markdown: signs on both sides of a removed
tag could become markup together.
"""

from __future__ import annotations

import re

from markdown_it.rules_inline import StateInline

from bridge.core.markdown.tex import readable

_MARKUP = {
    **dict.fromkeys(("b", "strong", "summary", "h1", "h2", "h3", "h4", "h5", "h6"), ("strong", "**")),
    **dict.fromkeys(("i", "em", "cite", "var"), ("em", "*")),
    **dict.fromkeys(("s", "del", "strike"), ("s", "~~")),
}
_CODE = {"code", "kbd", "samp", "tt"}
_SCRIPTS = {"sup": "^", "sub": "_"}
_WRAPPERS = "p|div|span|details|center|section|article|u|ins|mark|small|big|font|figure|figcaption"

_APART = r"(?<![`~*_\[\]<!\\$&])"
_ATTRIBUTES = r"(?:\s[^<>\n]{0,100})?"
_PAIR = re.compile(
    rf"{_APART}<(?P<tag>{'|'.join((*_MARKUP, *_CODE, *_SCRIPTS))}){_ATTRIBUTES}>"
    r"(?P<words>[^\s<>`\[\]\\$|~*_&!](?:[^<>`\[\]\\$|~*_&!\n]{0,500}[^\s<>`\[\]\\$|~*_&!])?)"
    r"</(?P=tag)>(?![`~*_\[\]])",
    re.IGNORECASE,
)
_WRAPPER = re.compile(rf"{_APART}</?(?:{_WRAPPERS}){_ATTRIBUTES}>(?=[^\W\d_]|[\s<]|\Z)", re.IGNORECASE)


def html(state: StateInline, silent: bool) -> bool:
    """Inline rule for markdown-it: read a wrapper or a pair of tags at the current position."""
    if state.src[state.pos] != "<":
        return False
    wrapper = _WRAPPER.match(state.src, state.pos, state.posMax)
    pair = None if wrapper else _PAIR.match(state.src, state.pos, state.posMax)
    found = wrapper or pair
    if not found:
        return False
    if pair and not silent:
        _push(state, pair["tag"].casefold(), pair["words"])
    state.pos = found.end()
    return True


def _push(state: StateInline, tag: str, words: str) -> None:
    if tag in _CODE:
        state.push("code_inline", "code", 0).content = words
    elif tag in _SCRIPTS:
        state.push("text", "", 0).content = readable(f"{_SCRIPTS[tag]}{{{words}}}")
    else:
        name, sign = _MARKUP[tag]
        state.push(f"{name}_open", name, 1).markup = sign
        state.push("text", "", 0).content = words
        state.push(f"{name}_close", name, -1).markup = sign
