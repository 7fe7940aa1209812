"""Finds the files of a Teams message in the message's attachments; `bridge.teams` fetches the files.

Shapes: docs/reference/teams.md, "Files and pictures that people send".
"""

from __future__ import annotations

import re
from typing import Any, Final

from bridge.core.files.content_type import clean_name
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.inbound.html_tokens import Start, events
from bridge.core.inbound.json_values import mapping, objects, text

DOWNLOAD_TYPE: Final = "application/vnd.microsoft.teams.file.download.info"
MOST_FILES = 10
_LONGEST_URL = 8000
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


def shared_files(attachments: Any, html: str) -> tuple[SharedFile, ...]:
    """Return the files of a message, at most `MOST_FILES`, withheld ones included.

    `attachments` is the activity's JSON, of any shape; `html` is the message's rich text, which names withheld files.
    """
    files = [file for attachment in objects(attachments) if (file := _file(attachment)) is not None]
    # In groups and channels Teams sends `<attachment id="GUID">` in the text and no file. A quoted message has the
    # same tag, but no GUID.
    downloads = sum(file.kind is FileKind.DOWNLOAD for file in files)
    withheld = max(0, len(_named_files(html)) - downloads)
    files += [SharedFile("file", "", FileKind.WITHHELD)] * withheld
    return tuple(files[:MOST_FILES])


def _file(attachment: dict[str, Any]) -> SharedFile | None:
    declared = text(attachment.get("contentType"))
    name = text(attachment.get("name"))
    if declared == DOWNLOAD_TYPE:
        content = mapping(attachment.get("content"))
        url = _url(content.get("downloadUrl"))
        # Without a link the file could be had from Microsoft Graph only; the bridge's app has no rights for Graph.
        kind = FileKind.DOWNLOAD if url else FileKind.WITHHELD
        return SharedFile(clean_name(name), url, kind, text(content.get("fileType")))
    if declared.startswith("image/"):
        return SharedFile(clean_name(name or "picture"), _url(attachment.get("contentUrl")), FileKind.PICTURE, declared)
    return None


def _named_files(html: str) -> set[str]:
    """Return the GUIDs of the files named in a message's HTML."""
    if "<attachment" not in html:
        return set()
    starts = (event for event in events(html) if isinstance(event, Start) and event.name == "attachment")
    return {ident.lower() for start in starts if _GUID.fullmatch(ident := start.attributes.get("id", ""))}


def _url(value: Any) -> str:
    url = text(value)
    return url if len(url) <= _LONGEST_URL else ""
