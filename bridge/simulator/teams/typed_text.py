"""What becomes of a text that a person types in Teams. Pure.

The client turns a code fence into a code block and `@Name` into a mention. Every other character stays as it
was typed, Markdown's too. A message goes to the bot twice: as text and as HTML (reference: docs/reference/teams.md, "Inbound activities" "Fields").
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)(?:\n```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mention:
    """Somebody whose `@Name` in a typed text is a mention. `id` is a Teams id, `29:…` or `28:…`."""

    id: str
    name: str

    def entity(self) -> dict[str, Any]:
        return {
            "type": "mention",
            "text": f"<at>{self.name}</at>",
            "mentioned": {"id": self.id, "name": self.name},
        }


@dataclass(frozen=True, slots=True)
class Code:
    """A fenced block without its fences."""

    language: str
    code: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A typed text as the bot gets it: `text`, the `html` of its attachment, the mention entities."""

    text: str
    html: str
    entities: tuple[dict[str, Any], ...]


Paragraphs = tuple[str | Mention, ...]


def _blocks(text: str, mentions: Sequence[Mention]) -> Iterator[Code | Paragraphs]:
    """Code blocks and the paragraphs between them."""
    end = 0
    for fence in _FENCE.finditer(text):
        if between := text[end : fence.start()].strip("\n"):
            yield _split_mentions(between, mentions)
        yield Code(fence[1].strip(), fence[2])
        end = fence.end()
    if rest := text[end:].strip("\n") if end else text:
        yield _split_mentions(rest, mentions)


def _split_mentions(text: str, mentions: Sequence[Mention]) -> Paragraphs:
    """The text with each `@Name` of a known name taken out as a mention; longer names first."""
    by_token = {f"@{mention.name}": mention for mention in mentions}
    if not by_token:
        return (text,)
    tokens = sorted(by_token, key=len, reverse=True)
    pattern = re.compile(f"({'|'.join(re.escape(token) for token in tokens)})")
    return tuple(by_token.get(piece, piece) for piece in pattern.split(text) if piece)


def _lines(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>")


def sent_form(text: str, mentions: Sequence[Mention]) -> Sent:
    """The text as Teams sends it to the bot; each `@Name` of `mentions` in it becomes a mention."""
    texts: list[str] = []
    shown: list[str] = []
    mentioned: list[Mention] = []
    for block in _blocks(text, mentions):
        if isinstance(block, Code):
            texts.append(block.code)
            # the form of Graph's chatMessage body: learn.microsoft.com/graph/api/resources/chatmessage
            language = html.escape(block.language)
            shown.append(f'<codeblock class="{language}"><code>{_lines(block.code)}</code></codeblock>')
            continue
        texts.append("".join(part if isinstance(part, str) else f"<at>{part.name}</at>" for part in block))
        marked = ""
        for part in block:
            if isinstance(part, str):
                marked += _lines(part)
                continue
            marked += (
                '<span itemscope="" itemtype="http://schema.skype.com/Mention"'
                f' itemid="{len(mentioned)}">{html.escape(part.name)}</span>'
            )
            mentioned.append(part)
        shown.extend(f"<p>{paragraph or '&nbsp;'}</p>" for paragraph in marked.split("<br><br>"))
    return Sent("\n".join(texts), "\n".join(shown), tuple(mention.entity() for mention in mentioned))


def shown_form(text: str, mentions: Sequence[Mention]) -> str:
    """The text as the chat page shows it: HTML in which everything typed is escaped."""
    shown = ""
    for block in _blocks(text, mentions):
        if isinstance(block, Code):
            language = f' class="language-{html.escape(block.language)}"' if block.language else ""
            shown += f"<pre><code{language}>{html.escape(block.code)}</code></pre>"
            continue
        parts = (
            _lines(part) if isinstance(part, str) else f'<span class="mention">{html.escape(part.name)}</span>'
            for part in block
        )
        shown += f"<p>{''.join(parts)}</p>"
    return shown
