"""Renders a message's text as Teams does, into sanitised HTML for the chat page.

Source: docs/reference/teams.md, "What Teams shows of Markdown". Headers, rules, images and tables are no part of Teams'
Markdown: the source text is shown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_LANGUAGE = re.compile(r"language-[\w+#.-]{1,30}")
_AT = re.compile(r"<at[^>]{0,200}>(.{1,200}?)</at>", re.DOTALL)
# no pictures: the page loads no file of a foreign host, so reading a message is reported to no host
_INLINE_TAGS = {"b", "strong", "i", "em", "u", "s", "del", "strike", "a", "span", "code", "br"}
_BLOCK_TAGS = {"p", "ul", "ol", "li", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr"}


def render(text: str, text_format: str | None, mentioned: Collection[str] = ()) -> str:
    """Sanitised HTML of a message's `text`.

    `text_format` is the activity's `textFormat`: `markdown` (also when None), `plain` or `xml`; an unknown format is
    shown as plain text, as older Teams clients do. `mentioned` holds the names of the mention entities: an `<at>` tag
    with such a name becomes a mention, all remaining tags become plain names.
    """
    match text_format:
        case None | "markdown":
            rendered = _teams_markdown().render(text, {"mentioned": mentioned})
        case "xml":
            rendered = _AT.sub(lambda found: _mention(found[1], mentioned), text)
        case _:
            rendered = f"<p>{plain(text, mentioned)}</p>"
    return _sanitised(rendered)


def plain(text: str, mentioned: Collection[str] = ()) -> str:
    """Unformatted text as HTML, with line breaks and mentions."""
    parts = _AT.split(text)  # text, name, text, name, ..., text
    pieces = [_mention(part, mentioned) if i % 2 else html.escape(part) for i, part in enumerate(parts)]
    return "".join(pieces).replace("\n", "<br>")


def _mention(name: str, mentioned: Collection[str]) -> str:
    escaped = html.escape(html.unescape(name))
    return f'<span class="mention">{escaped}</span>' if html.unescape(name) in mentioned else escaped


def _sanitised(rendered: str) -> str:
    return nh3.clean(
        rendered,
        tags=_INLINE_TAGS | _BLOCK_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}, "code": {"class"}},
        attribute_filter=_only_languages,
        allowed_classes={"span": {"mention"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _only_languages(tag: str, attribute: str, value: str) -> str | None:
    """Keep the class of a code block if the class names a language; drop all different classes."""
    if (tag, attribute) == ("code", "class") and not _LANGUAGE.fullmatch(value):
        return None
    return value


def _at_tag(state: StateInline, silent: bool) -> bool:
    """markdown-it's inline rule for `<at>Name</at>`."""
    found = _AT.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("mention", "", 0).content = found[1]
    state.pos = found.end()
    return True


def _show_mention(_renderer: RendererProtocol, tokens: Sequence[Token], at: int, _options: Any, env: Any) -> str:
    return _mention(tokens[at].content, env["mentioned"])


def _show_image_source(_renderer: RendererProtocol, tokens: Sequence[Token], at: int, _options: Any, _env: Any) -> str:
    return html.escape(f"![{tokens[at].content}]({tokens[at].attrGet('src')})")


@cache
def _teams_markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")
    markdown.disable(["heading", "lheading", "hr", "reference", "html_block", "html_inline"])
    markdown.inline.ruler.before("autolink", "mention", _at_tag)
    markdown.add_render_rule("mention", _show_mention)
    markdown.add_render_rule("image", _show_image_source)
    return markdown
