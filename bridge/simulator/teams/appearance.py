"""How an activity of the bot looks in Teams. Pure."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from bridge.simulator.teams import markdown, rules


@dataclass(frozen=True, slots=True)
class Appearance:
    """What the chat shows: `html` is sanitised, `card` an Adaptive Card as it was sent."""

    text: str
    html: str
    ai: bool
    card: dict[str, Any] | None


def appearance(activity: dict[str, Any]) -> Appearance:
    """The looks of an activity that `rules.check` has let pass."""
    text = activity.get("text") or ""
    cards = [
        part["content"]
        for part in rules.attachments(activity)
        if part.get("contentType") == rules.ADAPTIVE_CARD and isinstance(part.get("content"), dict)
    ]
    shown = markdown.render(text, activity.get("textFormat"), _mentioned(activity)) if text else ""
    return Appearance(text, shown + _others(activity), _is_ai(activity), cards[0] if cards else None)


def _mentioned(activity: dict[str, Any]) -> set[str]:
    accounts = (e.get("mentioned") for e in rules.entities(activity) if e.get("type") == "mention")
    return {str(account.get("name")) for account in accounts if isinstance(account, dict)}


def _is_ai(activity: dict[str, Any]) -> bool:
    types = (root.get("additionalType") for root in rules.roots(activity))
    return any(isinstance(listed, list) and "AIGeneratedContent" in listed for listed in types)


def _others(activity: dict[str, Any]) -> str:
    """A line for each attachment that the page cannot show."""
    kinds = (str(part.get("contentType")) for part in rules.attachments(activity))
    unknown = (kind for kind in kinds if kind != rules.ADAPTIVE_CARD)
    return "".join(f"<p><em>attachment: {html.escape(kind)}</em></p>" for kind in unknown)
