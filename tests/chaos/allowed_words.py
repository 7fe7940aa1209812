"""The texts that people may read: sentences of the bridge, answers of the simulated agent, and progress. Pure.

Any different text comes from elsewhere: a provider's error, a log line, a piece of JSON.
"""

from __future__ import annotations

import re
import string
from functools import cache

from bridge.core.live_message import ENDED
from bridge.core.texts import ENGLISH
from chaos.records import LINE

MORE = ("It goes on.", "And on.", "Piece by piece.", "And ends.")
"""The paragraphs of a slow answer, after the first (runs.py)."""
# Fields of sentences with several lines; all remaining fields are a few words.
_LONG_FIELDS = frozenset({"commands", "files", "questions", "now"})
# A shortened text ends with this sign in reports and in histories written by hand.
_SHORTENED = " …"
_QUOTE = re.compile(r'^<quoted messageId="\w+"/>')
_MENTION = re.compile(r"^<at>[^<]*</at> ")
_TURN = re.compile(r"(\n\n)?\*?T-\d+\*?$")
_LAST_SENTENCE = re.compile(
    r"\n\n\*(" + "|".join(re.escape(ENGLISH[key]) for key in ("go_on_group", "go_on_thread")) + r")\*$"
)
# An answer's first paragraph, or the beginning of such a paragraph.
_ANSWER = re.compile(r"r?e?(?: \[t\d+\])*(?: \[?t?\d*)?(?: ?\(?(?:run)? ?\d*\)?)?")
# The line below the agent's words, or alone in a message: "*Searching …*", "✓ Searching · 3 s".
_PROGRESS = re.compile(r"\*?(?:✓ )?[^*\n]{0,200}(?: …| · \d+ (?:s|min)[^*\n]{0,20}|✓ \d+ (?:s|min))\*?$")


def undecorated(text: str) -> str:
    """A text without the quote, the mention and the last sentence that the bridge adds to an answer in groups."""
    return _LAST_SENTENCE.sub("", _MENTION.sub("", _QUOTE.sub("", text)))


def is_allowed(text: str) -> bool:
    """Whether each piece of a shown text is a sentence of the bridge, words of the agent, or progress."""
    return all(_is_sentence(piece) or _is_answer(piece) for piece in undecorated(text).split(LINE))


def _is_answer(piece: str) -> bool:
    return all(_is_paragraph(paragraph) for paragraph in piece.split("\n\n"))


def _is_paragraph(paragraph: str) -> bool:
    return (
        paragraph in {*MORE, ENDED}
        or _ANSWER.fullmatch(paragraph) is not None
        or _PROGRESS.fullmatch(paragraph) is not None
    )


def _is_sentence(piece: str) -> bool:
    words = _TURN.sub("", piece)
    if words.endswith(_SHORTENED):
        return any(sentence.startswith(words.removesuffix(_SHORTENED)) for sentence in ENGLISH.values())
    return not words or any(pattern.fullmatch(words) for pattern in _patterns())


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    return tuple(_pattern(sentence) for sentence in ENGLISH.values())


def _pattern(sentence: str) -> re.Pattern[str]:
    """A sentence with any values in its fields."""
    made = ""
    for literal, name, _, _ in string.Formatter().parse(sentence):
        made += re.escape(literal)
        if name is not None:
            made += r"(?:.|\n)*" if name in _LONG_FIELDS else r"[^\n]{0,80}"
    return re.compile(made)
