"""Takes hidden parts out of a model's text, and cuts long questions, as the gateway does. Pure.

Written apart from the bridge's own patterns on purpose. Knows only the parts that were seen hidden at work
(docs/reference/goclaw.md, "Reply" and "Where the stand-in differs").
"""

from __future__ import annotations

import re

SILENCE = "NO_REPLY"
NOTHING = "..."
_THOUGHT = re.compile(r"<(think|thinking)>.*?(?:</\1>|\Z)\s*", re.DOTALL | re.IGNORECASE)
_MEDIA_LINE = re.compile(r"^MEDIA:\S.*(?:\n|\Z)", re.MULTILINE)


def sanitise(text: str) -> str:
    """The text without hidden thoughts and MEDIA lines; ``...`` if no text is left."""
    visible = _MEDIA_LINE.sub("", _THOUGHT.sub("", text)).strip()
    return visible or NOTHING


def visible(sanitised: str) -> str:
    """The text for the client: "" if the agent chose silence."""
    return "" if sanitised.startswith(SILENCE) else sanitised


_KEPT_BYTES = 32_000  # of a user's message (docs/reference/goclaw.md, "Request")


def cut_for_model(text: str) -> str:
    """The message for the model: over 32,000 bytes the rest is cut, and the gateway's remark added."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= _KEPT_BYTES:
        return text
    return (
        raw[:_KEPT_BYTES].decode("utf-8", "ignore")
        + f"\n\n[System: Message was truncated from {len(raw)} to {_KEPT_BYTES} characters due to size limit."
        " Please ask the user to send shorter messages or use the read_file tool for large content.]"
    )
