"""How an activity of the bot looks in Teams. Pure."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, fields
from typing import Any

from bridge.simulator.teams import markdown, rules
from bridge.simulator.teams.messages import File, Quote

# what Teams shows in messages: format-your-bot-messages, "Picture messages" (docs/reference/teams.md, "Message format")
_PICTURES = ("image/png", "image/jpeg", "image/gif")
# the lasting address of a file in the simulated OneDrive (onedrive.py); the page has one of its own for it
_DOCUMENT = re.compile(r"/onedrive/Documents/([0-9a-f-]{36}/[^/?#]{1,500})$")


@dataclass(frozen=True, slots=True)
class Appearance:
    """What the chat shows: `html` is sanitised, `card` an Adaptive Card as it was sent.

    `feedback` tells whether Teams' own feedback buttons are below the text, `consent` what goes back to the bot when
    its offer of a file is answered. Who knows the chat adds what is `quoted`.
    """

    text: str
    html: str
    ai: bool
    card: dict[str, Any] | None
    feedback: bool
    files: tuple[File, ...]
    consent: dict[str, Any] | None
    quoted: Quote | None = None

    def changes(self) -> dict[str, Any]:
        """The fields of a message that show it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def appearance(activity: dict[str, Any]) -> Appearance:
    """The looks of an activity that `rules.check` has let pass."""
    text = activity.get("text") or ""
    if (quoted := rules.quoted_id(activity)) is not None:
        text = text.replace(f'<quoted messageId="{quoted}"/>', "").lstrip("\n")
    cards = [
        part["content"]
        for part in rules.attachments(activity)
        if part.get("contentType") == rules.ADAPTIVE_CARD and isinstance(part.get("content"), dict)
    ]
    shown = markdown.render(text, activity.get("textFormat"), _mentioned(activity)) if text else ""
    return Appearance(
        text,
        shown + _others(activity),
        _is_ai(activity),
        cards[0] if cards else None,
        rules.asks_feedback(activity),
        tuple(file for part in rules.attachments(activity) if (file := _file(part)) is not None),
        _consent(activity),
    )


def _mentioned(activity: dict[str, Any]) -> set[str]:
    accounts = (e.get("mentioned") for e in rules.entities(activity) if e.get("type") == "mention")
    return {str(account.get("name")) for account in accounts if isinstance(account, dict)}


def _is_ai(activity: dict[str, Any]) -> bool:
    types = (root.get("additionalType") for root in rules.roots(activity))
    return any(isinstance(listed, list) and "AIGeneratedContent" in listed for listed in types)


def _file(part: dict[str, Any]) -> File | None:
    """The file that an attachment is; None for a card and for what the page cannot show."""
    kind, name, content = str(part.get("contentType")), str(part.get("name") or "file")[:255], part.get("content")
    url = part.get("contentUrl")
    if kind == rules.FILE_CONSENT:
        told = content.get("sizeInBytes") if isinstance(content, dict) else None
        size = told if isinstance(told, int) and told >= 0 else 0
        return File(name, size, "application/octet-stream", None, "offered")
    if kind == rules.FILE_INFO:
        found = _DOCUMENT.search(url) if isinstance(url, str) else None
        return File(name, 0, "application/octet-stream", f"/api/files/{found[1]}" if found else None, "sent")
    if kind in _PICTURES:
        # a picture from elsewhere is not loaded: looking at a message must tell nobody
        inside = url if isinstance(url, str) and url.startswith(f"data:{kind};base64,") else None
        return File(name, len(inside or "") * 3 // 4, kind, inside, "sent")
    return None


def _consent(activity: dict[str, Any]) -> dict[str, Any] | None:
    for part in rules.attachments(activity):
        content = part.get("content")
        if part.get("contentType") == rules.FILE_CONSENT and isinstance(content, dict):
            contexts = {name: content.get(name) for name in ("acceptContext", "declineContext")}
            return {"name": str(part.get("name") or "file"), **contexts}
    return None


def _others(activity: dict[str, Any]) -> str:
    """A line for each attachment that the page cannot show."""
    parts = rules.attachments(activity)
    unknown = (part for part in parts if part.get("contentType") != rules.ADAPTIVE_CARD and _file(part) is None)
    return "".join(f"<p><em>attachment: {html.escape(str(part.get('contentType')))}</em></p>" for part in unknown)
