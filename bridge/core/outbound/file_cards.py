"""Messages about an agent's file: a picture, an offer to save, the saved file.

Offers work in personal chats only: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bots-filesv4
Pictures go as data, in every scope and cloud: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/agents-inline-images
docs/reference/teams.md, "File exchange".
"""

from __future__ import annotations

import base64
from typing import Final

from bridge.core.files.kept import Consent
from bridge.core.texts import say
from bridge.core.turn import Activity

CONSENT_TYPE: Final = "application/vnd.microsoft.teams.card.file.consent"
INFO_TYPE: Final = "application/vnd.microsoft.teams.card.file.info"


def picture(name: str, kind: str, content: bytes) -> Activity:
    """A message with the picture as data; `kind`: the media type."""
    data = base64.b64encode(content).decode("ascii")
    return _message(name, {"contentType": kind, "contentUrl": f"data:{kind};base64,{data}", "name": name})


def offer(id_: str, name: str, size: int, locale: str) -> Activity:
    """The offer to save a file of `size` bytes in the person's OneDrive; accept and decline both return the id."""
    context = {"file": id_}
    content = {
        "description": say("file_offer", locale),
        "sizeInBytes": size,
        "acceptContext": context,
        "declineContext": context,
    }
    return _message(name, {"contentType": CONSENT_TYPE, "name": name, "content": content})


def saved(name: str, consent: Consent) -> Activity:
    """The card with which people open a saved file in Teams."""
    content = {"uniqueId": consent.unique_id, "fileType": consent.file_type}
    return _message(
        name, {"contentType": INFO_TYPE, "contentUrl": consent.content_url, "name": name, "content": content}
    )


def _message(summary: str, attachment: dict[str, object]) -> Activity:
    return {"type": "message", "summary": summary, "attachments": [attachment]}
