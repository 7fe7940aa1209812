"""Renders markdown-it's inline tokens (the words of a paragraph, heading or cell) in Teams' dialect.

Text is written back as its source, so plain signs do not become markup; the rules are in `dialect`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.token import Token

from bridge.core.markdown.flanking import BEGINS, ENDS, visible_signs

BREAK = "  \n"  # Teams joins lines at a single line break
_PICTURE = "🖼"
_LINK_SCHEMES = ("https://", "http://", "mailto:")
_BR = re.compile(r"<br\s{0,9}/?>", re.IGNORECASE)
_AT = re.compile(r"<(?=/?at\b)", re.IGNORECASE)
_HARMFUL = re.compile(r"<|`{3,}|~{3,}")
_KEEP = "\0"  # follows each "]" of a link written here; the input has no control characters


def inline(tokens: Sequence[Token], *, in_bold: bool = False) -> str:
    """Render the inline tokens of a paragraph. `in_bold`: the result will stand between `**` on a single line."""
    out: list[str] = []
    link_at = 0
    href = title = ""
    for token in tokens:
        match token.type:
            case "text":
                out.append(_text(token.content, " " if in_bold else BREAK, in_bold=in_bold))
            case "text_special":
                out.append(_special(token))
            case "softbreak" | "hardbreak":
                out.append(" " if in_bold else BREAK)
            case "code_inline":
                out.append(_code(token.content))
            case "link_open":
                link_at, href, title = len(out), str(token.attrGet("href")), str(token.attrGet("title") or "")
            case "link_close":
                out[link_at:] = [_link("".join(out[link_at:]), href, title)]
                href = ""
            case "image":
                alt = _text(plain(token.children or []))
                out.append(alt if href else _image(alt, str(token.attrGet("src"))))
            case _:
                out.append(_sign(token, in_bold=in_bold))
    return visible_signs(_without_chance_links("".join(out))).strip(" ")


def _sign(token: Token, *, in_bold: bool) -> str:
    """Return a sign of bold, italic or struck text, marked for `flanking.visible_signs`."""
    if token.type == "unpaired":
        return _text(token.content, in_bold=True) if in_bold else BEGINS + token.content
    if in_bold and token.tag == "strong":
        return ""
    return BEGINS + token.markup if token.nesting > 0 else token.markup + ENDS


def _without_chance_links(text: str) -> str:
    """Escape each "](" and "]:" not written by `_link` or `_image`; dropped signs can bring them together."""
    return re.sub(r"\](?=[(:])", r"\\]", text).replace(_KEEP, "")


def literal(content: str) -> str:
    """Return text which was never parsed, made harmless for Teams."""
    return _without_chance_links(_text(content))


def _text(content: str, line_break: str = BREAK, *, in_bold: bool = False) -> str:
    """Return text from between the markup with HTML, mentions and fences made harmless."""
    if "<" in content:
        content = _BR.sub(line_break, content)
    if in_bold:
        content = content.replace("*", "\\*")
    return _HARMFUL.sub(_harmless, content)


def _harmless(found: re.Match[str]) -> str:
    return "&lt;" if found[0] == "<" else "".join("\\" + char for char in found[0])


def _special(token: Token) -> str:
    """Return an escape or entity: the source if the character could be markup, else the character."""
    if token.content in ("<", "&"):
        return "&lt;" if token.content == "<" else "&amp;"
    harmless = token.content.isprintable() and not token.content.isascii()
    return token.content if harmless else token.markup + _KEEP


def _code(content: str) -> str:
    content = without_mentions(content).replace("]", "]" + _KEEP)
    runs = set(map(len, re.findall("`+", content)))
    if {1, 2} <= runs:  # three backticks as delimiter would look like a fence at the start of a line
        content = re.sub("`(?=`)", "`\u200b", content)
        runs = {1}
    ticks = "``" if 1 in runs else "`"
    edges = content[0] + content[-1]
    air = " " if "`" in edges or (edges == "  " and content.strip()) else ""
    return f"{ticks}{air}{content}{air}{ticks}"


def target(href: str) -> str:
    """Return a link target with the signs escaped which would end the link in Teams."""
    href = href.replace("(", "%28").replace(")", "%29").replace("<", "%3C")
    return re.sub(r"&(?=#?\w+;)", "&amp;", href)


def _link(label: str, href: str, title: str) -> str:
    """Return a link to the web or a mailbox; the label alone for other schemes (`sandbox:`, files, scripts)."""
    if not href.casefold().startswith(_LINK_SCHEMES):
        return label
    quoted = f' "{_text(title, " ").replace(chr(34), "&quot;")}"' if title else ""
    return f"[{label or _text(href)}]{_KEEP}({target(href)}{quoted})"


def _image(alt: str, src: str) -> str:
    label = alt or _PICTURE
    return f"[{label}]{_KEEP}({target(src)})" if src.casefold().startswith("https://") else label


def plain(tokens: Sequence[Token]) -> str:
    """Return the words without markup on a single line, for code and for the alternative text of pictures."""
    words = (
        " "
        if token.type in ("softbreak", "hardbreak")
        else plain(token.children or [])
        if token.type == "image"
        else token.content
        for token in tokens
    )
    return _BR.sub(" ", "".join(words))


def without_mentions(code: str) -> str:
    """Return code with `<at>` broken by a space of no width, because entities do not work in code."""
    return _AT.sub("<\u200b", code)
