"""The parts of a person's message (text, quotation, pictures, files) in the form that Teams sends to a bot. Pure.

Sources: docs/reference/teams.md, "Files and pictures that people send"; docs/reference/teams.md, "Quotes". A quotation
has the HTML of Teams' own clients and the entity of the Teams SDK.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.simulator.teams.typed_text import Mention, sent_form

FILE_DOWNLOAD = "application/vnd.microsoft.teams.file.download.info"


@dataclass(frozen=True, slots=True)
class Quoted:
    """The message quoted by a reply. `sender` is a Teams id; `id` is the message's id and also the time."""

    id: str
    sender: str
    name: str
    preview: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An inline picture. `url` is an address at the connector and needs the bot's bearer."""

    url: str

    def html(self) -> str:
        return f'<p><img alt="" src="{html.escape(self.url)}" itemtype="http://schema.skype.com/AMSImage"></p>'

    def attachments(self) -> list[dict[str, Any]]:
        return [{"contentType": "image/*", "contentUrl": self.url}]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in the person's OneDrive. `download_url` is None outside personal chats, as in Teams."""

    unique_id: str
    name: str
    file_type: str
    content_url: str
    download_url: str | None

    def html(self) -> str:
        return f'<attachment id="{self.unique_id}"></attachment>'

    def attachments(self) -> list[dict[str, Any]]:
        if self.download_url is None:
            return []
        content = {"downloadUrl": self.download_url, "uniqueId": self.unique_id, "fileType": self.file_type}
        return [{"contentType": FILE_DOWNLOAD, "contentUrl": self.content_url, "name": self.name, "content": content}]


@dataclass(frozen=True, slots=True)
class TypedMessage:
    """A message as a person typed `text`; each `@Name` of `mentions` in the text becomes a mention."""

    text: str
    mentions: Sequence[Mention] = ()
    quoted: Quoted | None = None
    files: Sequence[Picture | Upload] = ()


def content_of(typed: TypedMessage) -> dict[str, Any]:
    """The content fields of a message activity. The caller appends the `clientInfo` entity."""
    sent = sent_form(typed.text, typed.mentions)
    text, body, entities = sent.text, sent.html if typed.text else "", list(sent.entities)
    if (quoted := typed.quoted) is not None:
        text = f'<quoted messageId="{quoted.id}"/>{text}'
        body = _blockquote(quoted) + body
        entities.append({"type": "quotedReply", "quotedReply": _reply(quoted)})
    body += "".join(file.html() for file in typed.files)
    return {
        "text": text,
        "textFormat": "plain",
        "attachments": [
            *sent.emoji,
            {"contentType": "text/html", "content": body},
            *(part for file in typed.files for part in file.attachments()),
        ],
        "entities": entities,
    }


def _blockquote(quoted: Quoted) -> str:
    name, preview = html.escape(quoted.name), html.escape(quoted.preview)
    return (
        f'<blockquote itemscope="" itemtype="http://schema.skype.com/Reply" itemid="{quoted.id}">'
        f'<strong itemprop="mri" itemid="{quoted.sender}">{name}</strong>'
        f'<span itemprop="time" itemid="{quoted.id}"></span><p itemprop="preview">{preview}</p></blockquote>'
    )


def _reply(quoted: Quoted) -> dict[str, str]:
    """The quotation in the form of the Teams SDK's QuotedReplyData."""
    return {
        "messageId": quoted.id,
        "senderId": quoted.sender,
        "senderName": quoted.name,
        "preview": quoted.preview,
        "time": quoted.id,
    }
