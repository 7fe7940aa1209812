"""What Teams shows of a message's text, as sanitised HTML for the chat page.

Source: learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages (reference:
docs/reference/teams.md, "Message format" "textFormat"). Headers, rules, images and tables are no part of Teams' Markdown: their
source text is shown.
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
# no pictures: the page loads nothing from other hosts, so that looking at a message tells nobody
_INLINE_TAGS = {"b", "strong", "i", "em", "u", "s", "del", "strike", "a", "span", "code", "br"}
_BLOCK_TAGS = {"p", "ul", "ol", "li", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr"}


def render(text: str, text_format: str | None, mentioned: Collection[str] = ()) -> str:
    """Sanitised HTML of a message's `text`.

    `text_format` is the activity's `textFormat`: `markdown` (also when None), `plain` or `xml`; any other is
    shown as plain text, as older Teams clients do. `mentioned` holds the names of the mention entities: only
    `<at>` tags of these become mentions, others are plain names.
    """
    match text_format:
        case None | "markdown":
            shown = _teams_markdown().render(text, {"mentioned": mentioned})
        case "xml":
            shown = _AT.sub(lambda found: _mention(found[1], mentioned), text)
        case _:
            shown = f"<p>{plain(text, mentioned)}</p>"
    return _sanitised(shown)


def plain(text: str, mentioned: Collection[str] = ()) -> str:
    """Text as it is, with its line breaks, as HTML."""
    parts = _AT.split(text)  # text, name, text, name, ..., text
    shown = [_mention(part, mentioned) if i % 2 else html.escape(part) for i, part in enumerate(parts)]
    return "".join(shown).replace("\n", "<br>")


def _mention(name: str, mentioned: Collection[str]) -> str:
    shown = html.escape(html.unescape(name))
    return f'<span class="mention">{shown}</span>' if html.unescape(name) in mentioned else shown


def _sanitised(shown: str) -> str:
    return nh3.clean(
        shown,
        tags=_INLINE_TAGS | _BLOCK_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}, "code": {"class"}},
        attribute_filter=_only_languages,
        allowed_classes={"span": {"mention"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _only_languages(tag: str, attribute: str, value: str) -> str | None:
    """A code block's class tells its language and nothing else."""
    if (tag, attribute) == ("code", "class") and not _LANGUAGE.fullmatch(value):
        return None
    return value


def _at_tag(state: StateInline, silent: bool) -> bool:
    """Inline rule: `<at>Name</at>`."""
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
