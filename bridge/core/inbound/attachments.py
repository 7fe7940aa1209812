"""The files that a message of Teams brings, as far as it says so. Pure; fetching is the edge's.

Shapes: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bots-filesv4#receive-files-in-personal-chat
and https://learn.microsoft.com/microsoftteams/platform/bots/how-to/agents-inline-images (docs/reference/teams.md, "Inbound activities").
"""

from __future__ import annotations

import re
from typing import Any, Final

from bridge.core.files.content_type import clean_name
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.inbound.html_tokens import Start, events

DOWNLOAD_TYPE: Final = "application/vnd.microsoft.teams.file.download.info"
MOST_FILES = 10
_LONGEST_URL = 8000
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


def shared_files(attachments: Any, html: str) -> tuple[SharedFile, ...]:
    """The files of a message, at most ten. `html`: its rich text, which is no file, but names those held back."""
    files = [
        file
        for attachment in (attachments if isinstance(attachments, list) else ())
        if isinstance(attachment, dict) and (file := _file(attachment)) is not None
    ]
    # in groups and channels a file leaves nothing but this mark in the text; a quoted message has another id
    downloads = sum(file.kind is FileKind.DOWNLOAD for file in files)
    withheld = max(0, len(_marks(html)) - downloads)
    files += [SharedFile("file", "", FileKind.WITHHELD)] * withheld
    return tuple(files[:MOST_FILES])


def _file(attachment: dict[str, Any]) -> SharedFile | None:
    declared = _str(attachment.get("contentType"))
    name = _str(attachment.get("name"))
    if declared == DOWNLOAD_TYPE:
        content = attachment.get("content")
        content = content if isinstance(content, dict) else {}
        url = _url(content.get("downloadUrl"))
        # without a link there is only Graph, which this app asks no rights for
        kind = FileKind.DOWNLOAD if url else FileKind.WITHHELD
        return SharedFile(clean_name(name), url, kind, _str(content.get("fileType")))
    if declared.startswith("image/"):
        return SharedFile(clean_name(name or "picture"), _url(attachment.get("contentUrl")), FileKind.PICTURE, declared)
    return None


def _marks(html: str) -> set[str]:
    if "<attachment" not in html:
        return set()
    starts = (event for event in events(html) if isinstance(event, Start) and event.name == "attachment")
    return {ident.lower() for start in starts if _GUID.fullmatch(ident := start.attributes.get("id", ""))}


def _url(value: Any) -> str:
    url = _str(value)
    return url if len(url) <= _LONGEST_URL else ""


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""
