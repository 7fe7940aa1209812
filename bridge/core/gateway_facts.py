"""Facts of the GoClaw gateway on which both `core` and `bridge.gateway` rely (docs/reference/goclaw.md). Pure."""

from __future__ import annotations

import re

QUESTION_BYTES = 32_000
"""Longest question in bytes of UTF-8: the gateway cuts the end of a longer question and answers with status 200
(docs/reference/goclaw.md, "Request"). So the bridge refuses longer questions itself."""

MERGED_BYTES = 30_000
"""Longest question, in bytes, that the bridge makes by merging queued messages. A limit of the bridge's own below
QUESTION_BYTES: messages that fit alone must not become too long by being merged."""

SILENCE = "NO_REPLY"
"""An answer that begins so means that the agent chose silence (docs/reference/goclaw.md, "Reply")."""

# All tags that any gateway was seen or read to hide (docs/reference/goclaw.md, "Hidden parts of a text").
HIDDEN_TAGS = ("think", "thinking", "thought", "antThinking", "redacted_thinking")

_NAMES = "|".join(HIDDEN_TAGS)
# Attributes end at the next tag at the latest, so that hostile text is searched in linear time.
_OPENING = rf"<({_NAMES})(?:\s[^<>]*)?>"
_CLOSING = r"</\1\s*>"

HIDDEN_THOUGHT = re.compile(rf"{_OPENING}.*?{_CLOSING}\s*", re.DOTALL | re.IGNORECASE)
"""A hidden thought from its opening to its closing tag, with the blanks behind."""

HIDDEN_TO_THE_END = re.compile(rf"{_OPENING}.*?(?:{_CLOSING}|\Z)\s*", re.DOTALL | re.IGNORECASE)
"""As HIDDEN_THOUGHT; without a closing tag a thought takes the rest of the text."""

HIDDEN_BEGINS = re.compile(rf"(?i:</?(?:{_NAMES}))|MEDIA:")
"""The first characters of text that may be hidden: a tag of HIDDEN_TAGS, cut anywhere behind its name, or the mark of
a line that names a file (docs/reference/goclaw.md, "Hidden parts of a text")."""
