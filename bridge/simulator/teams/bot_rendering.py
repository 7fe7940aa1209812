"""Renders an activity of the bot as Teams shows the message. Pure."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, fields
from typing import Any

from bridge.simulator.teams import markdown, rules
from bridge.simulator.teams.messages import File, Quote

# media types shown by Teams: docs/reference/teams.md, "Pictures and cards"
_PICTURES = ("image/png", "image/jpeg", "image/gif")
# the lasting address of a file in the simulated OneDrive (onedrive.py); the page reads files at /api/files
_DOCUMENT = re.compile(r"/onedrive/Documents/([0-9a-f-]{36}/[^/?#]{1,500})$")


@dataclass(frozen=True, slots=True)
class Rendering:
    """The visible content of a bot's message: `html` is sanitised, `card` an Adaptive Card as sent by the bot.

    `feedback`: Teams' own feedback buttons stand below the text. `consent`: the name and contexts to return to the bot
    when a person answers the bot's offer of a file. `quoted` is filled in by `bot_messages.rendering_of`.
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
        """The rendering as fields of a `Message`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def render_activity(activity: dict[str, Any]) -> Rendering:
    """Render an activity accepted by `rules.check`."""
    text = activity.get("text") or ""
    if (quoted := rules.quoted_id(activity)) is not None:
        text = text.replace(f'<quoted messageId="{quoted}"/>', "").lstrip("\n")
    cards = [
        part["content"]
        for part in rules.attachments(activity)
        if part.get("contentType") == rules.ADAPTIVE_CARD and isinstance(part.get("content"), dict)
    ]
    rendered = markdown.render(text, activity.get("textFormat"), _mentioned(activity)) if text else ""
    return Rendering(
        text,
        rendered + _attachment_lines(activity),
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
    """The attachment as a file; None for cards and for media types unknown to the page."""
    kind, name, content = str(part.get("contentType")), str(part.get("name") or "file")[:255], part.get("content")
    url = part.get("contentUrl")
    if kind == rules.FILE_CONSENT:
        stated = content.get("sizeInBytes") if isinstance(content, dict) else None
        size = stated if isinstance(stated, int) and stated >= 0 else 0
        return File(name, size, "application/octet-stream", None, "offered")
    if kind == rules.FILE_INFO:
        found = _DOCUMENT.search(url) if isinstance(url, str) else None
        return File(name, 0, "application/octet-stream", f"/api/files/{found[1]}" if found else None, "sent")
    if kind in _PICTURES:
        # a picture on a foreign host is not loaded: reading a message must not be reported to the host
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


def _attachment_lines(activity: dict[str, Any]) -> str:
    """HTML: a line for each attachment of a type unknown to the page."""
    parts = rules.attachments(activity)
    unknown = (part for part in parts if part.get("contentType") != rules.ADAPTIVE_CARD and _file(part) is None)
    return "".join(f"<p><em>attachment: {html.escape(str(part.get('contentType')))}</em></p>" for part in unknown)
