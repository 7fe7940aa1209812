"""What a person's message holds beside its text - a quotation, pictures, files - in the forms that Teams sends. Pure.

Sources: learn.microsoft.com/microsoftteams/platform/bots/how-to/bots-filesv4; a quotation has the HTML of Teams' own
clients and the entity of the Teams SDK (reference: docs/reference/teams.md, "Inbound activities" "Files and pictures inbound", docs/reference/teams.md, "Typing, reactions, quotes").
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
    """The message that a reply quotes. `sender` is a Teams id; its own id tells the time, too."""

    id: str
    sender: str
    name: str
    preview: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An inline picture: its address at the Connector, which asks for the bot's bearer."""

    url: str

    def html(self) -> str:
        return f'<p><img alt="" src="{html.escape(self.url)}" itemtype="http://schema.skype.com/AMSImage"></p>'

    def attachments(self) -> list[dict[str, Any]]:
        return [{"contentType": "image/*", "contentUrl": self.url}]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in the person's OneDrive. `download_url` is None where Teams gives a bot none: outside personal chats."""

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
class Written:
    """What a person writes: `text` as typed, in which each `@Name` of `mentions` becomes a mention."""

    text: str
    mentions: Sequence[Mention] = ()
    quoted: Quoted | None = None
    files: Sequence[Picture | Upload] = ()


def content_of(written: Written) -> dict[str, Any]:
    """The fields of a message activity that hold what was written; the entities are not all yet."""
    sent = sent_form(written.text, written.mentions)
    text, shown, entities = sent.text, sent.html if written.text else "", list(sent.entities)
    if (quoted := written.quoted) is not None:
        text = f'<quoted messageId="{quoted.id}"/>{text}'
        shown = _blockquote(quoted) + shown
        entities.append({"type": "quotedReply", "quotedReply": _reply(quoted)})
    shown += "".join(file.html() for file in written.files)
    return {
        "text": text,
        "textFormat": "plain",
        "attachments": [
            {"contentType": "text/html", "content": shown},
            *(part for file in written.files for part in file.attachments()),
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
    """The form of the Teams SDK's QuotedReplyData (reference: docs/reference/teams.md, "Typing, reactions, quotes")."""
    return {
        "messageId": quoted.id,
        "senderId": quoted.sender,
        "senderName": quoted.name,
        "preview": quoted.preview,
        "time": quoted.id,
    }
