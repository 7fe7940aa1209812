"""What the gateway takes out of a model's text before anybody sees it (docs/reference/goclaw.md, "Reply"). Pure."""

from __future__ import annotations

import re

SILENCE = "NO_REPLY"
NOTHING = "..."
_THOUGHT = re.compile(r"<(think|thinking)>.*?(?:</\1>|\Z)\s*", re.DOTALL | re.IGNORECASE)
_MEDIA_LINE = re.compile(r"^MEDIA:\S.*(?:\n|\Z)", re.MULTILINE)


def sanitise(text: str) -> str:
    """The text without hidden thoughts and MEDIA lines; ``...`` when nothing is left."""
    visible = _MEDIA_LINE.sub("", _THOUGHT.sub("", text)).strip()
    return visible or NOTHING


def visible(sanitised: str) -> str:
    """What the client gets: nothing at all when the agent chose silence."""
    return "" if sanitised.startswith(SILENCE) else sanitised


_KEPT_BYTES = 32_000  # of a user's message (docs/reference/goclaw.md, "Request")


def cut_for_model(text: str) -> str:
    """A message over 32,000 bytes as the model gets it: cut, with the gateway's remark behind it (docs/reference/goclaw.md, "Request")."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= _KEPT_BYTES:
        return text
    return (
        raw[:_KEPT_BYTES].decode("utf-8", "ignore")
        + f"\n\n[System: Message was truncated from {len(raw)} to {_KEPT_BYTES} characters due to size limit."
        " Please ask the user to send shorter messages or use the read_file tool for large content.]"
    )
