"""Turns a text typed in Teams into the forms for the bot and for the chat page. Pure.

The client turns a code fence into a code block, `@Name` into a mention and an emoji into a picture. All remaining
characters stay as typed, Markdown included. The bot gets a message twice, as text and as HTML:
docs/reference/teams.md, "Fields of an activity"; an emoji only as HTML and attachment: "Content that is no text" there.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_EMOJI = re.compile(
    "(?:[\U0001f1e6-\U0001f1ff]{2}|[\U0001f300-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff]*"
    "(?:\u200d[\U0001f300-\U0001faff\u2600-\u27bf][\ufe0f\U0001f3fb-\U0001f3ff]*)*)"
)
_EMOJI_HOST = "https://statics.teams.cdn.office.net/evergreen-assets/personal-expressions/v2/assets/emoticons"
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)(?:\n```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mention:
    """An account whose `@Name` in a typed text is a mention. `id` is a Teams id, `29:…` or `28:…`."""

    id: str
    name: str

    def entity(self) -> dict[str, Any]:
        """The mention as an entity of an activity."""
        return {
            "type": "mention",
            "text": f"<at>{self.name}</at>",
            "mentioned": {"id": self.id, "name": self.name},
        }


@dataclass(frozen=True, slots=True)
class Code:
    """The content of a fenced code block."""

    language: str
    code: str


@dataclass(frozen=True, slots=True)
class SentText:
    """A typed text in the form for the bot: `text`, the `html` attachment, mention entities, attachments of emoji."""

    text: str
    html: str
    entities: tuple[dict[str, Any], ...]
    emoji: tuple[dict[str, Any], ...] = ()


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
    """The text, split at each `@Name` of a mention; longer names win over shorter names."""
    by_token = {f"@{mention.name}": mention for mention in mentions}
    if not by_token:
        return (text,)
    tokens = sorted(by_token, key=len, reverse=True)
    pattern = re.compile(f"({'|'.join(re.escape(token) for token in tokens)})")
    return tuple(by_token.get(piece, piece) for piece in pattern.split(text) if piece)


def _lines(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>")


def _emoji_address(emoji: str) -> str:
    return f"{_EMOJI_HOST}/{'-'.join(f'{ord(sign):x}' for sign in emoji)}/default/20_f.png"


def _with_pictures(escaped: str) -> str:
    """The HTML with a picture for each emoji."""
    return _EMOJI.sub(
        lambda emoji: (
            '<img itemscope="" itemtype="http://schema.skype.com/Emoji"'
            f' src="{_emoji_address(emoji[0])}" alt="{emoji[0]}" style="width:20px; height:20px">'
        ),
        escaped,
    )


def sent_form(text: str, mentions: Sequence[Mention]) -> SentText:
    """The text in the form for the bot; each `@Name` of `mentions` in the text becomes a mention."""
    texts: list[str] = []
    paragraphs: list[str] = []
    mentioned: list[Mention] = []
    emoji: list[dict[str, Any]] = []
    for block in _blocks(text, mentions):
        if isinstance(block, Code):
            texts.append(block.code)
            # the form of Graph's chatMessage body: https://learn.microsoft.com/graph/api/resources/chatmessage
            language = html.escape(block.language)
            paragraphs.append(f'<codeblock class="{language}"><code>{_lines(block.code)}</code></codeblock>')
            continue
        texts.append(
            "".join(_EMOJI.sub("", part) if isinstance(part, str) else f"<at>{part.name}</at>" for part in block)
        )
        marked = ""
        for part in block:
            if isinstance(part, str):
                marked += _with_pictures(_lines(part))
                emoji += ({"contentType": "image/*", "contentUrl": _emoji_address(e)} for e in _EMOJI.findall(part))
                continue
            marked += (
                '<span itemscope="" itemtype="http://schema.skype.com/Mention"'
                f' itemid="{len(mentioned)}">{html.escape(part.name)}</span>'
            )
            mentioned.append(part)
        paragraphs.extend(f"<p>{paragraph or '&nbsp;'}</p>" for paragraph in marked.split("<br><br>"))
    entities = tuple(mention.entity() for mention in mentioned)
    return SentText("\n".join(texts), "\n".join(paragraphs), entities, tuple(emoji))


def page_html(text: str, mentions: Sequence[Mention]) -> str:
    """The text in the form for the chat page: HTML with all typed characters escaped."""
    page = ""
    for block in _blocks(text, mentions):
        if isinstance(block, Code):
            language = f' class="language-{html.escape(block.language)}"' if block.language else ""
            page += f"<pre><code{language}>{html.escape(block.code)}</code></pre>"
            continue
        parts = (
            _lines(part) if isinstance(part, str) else f'<span class="mention">{html.escape(part.name)}</span>'
            for part in block
        )
        page += f"<p>{''.join(parts)}</p>"
    return page
