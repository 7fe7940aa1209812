"""Keeps foreign text from imitating `[From: …]`, the speaker's name before a message in groups and channels.

The agent believes the name in `[From: …]`, so neither people's words nor names nor files may hold a second one. What
counts is how a text reads: letters of further scripts that look alike, accents, blanks, invisible characters, Markdown,
tags and HTML entities between or instead of the letters change nothing. The time is linear in the length of the text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

# Code points that look like a letter of "from:", from confusables.txt 17.0.0 of Unicode's UTS 39
# (https://www.unicode.org/Public/17.0.0/security/confusables.txt); in that file "m" looks like "rn". Left out are code
# points which compatibility decomposition, case folding and dropped accents turn into the letter.
_CONFUSABLES = {
    "f": """
    17f 192 3dc 584 15b4 1d6e 1e9d 20bd 2cc0 2ce8 a4dd a799 ab35 101a0 10287 102a5 10525 118c2 1ccdb 1d213""",
    "r": """
    1a6 24d 27c 27d 433 493 13a1 13b1 13d2 1587 1d26 1d72 2c85 a4e3 ab47 ab48 104b4 16f35 1cce7 1d216""",
    "o": """
    30 f8 275 3b8 3bf 3c3 3db 3ed 43e 473 4e9 585 5e1 647 665 6be 6c1 6d5 6f5 6ff 7c0 966 9e6 a66 ae6 b20 b66 be6
    c02 c66 c82 ce6 d02 d20 d66 d82 e50 ed0 1010 101d 1040 10d7 10ff 12d0 13a4 13be 13eb 17e0 1d0f 1d11 2296 229d
    236c 2c8b 2c91 2c9f 2d31 2d41 2d54 3007 a4f3 a74b ab3d ab3e 10292 102ab 1042c 104ea 10516 114d0 118b5 118c8
    118d7 118e0 11de0 1cce4 1ccf0 1d21a 1f714""",
    "n": """
    14b 19d 19e 273 39d 3b7 572 578 57c 1260 144e 1d70 2229 22c2 2c9a a4e0 a4f5 1018e 10513 1cce3 1d245""",
    "rn": """
    6d 271 39c 3fa 41c 4cd 13b7 15f0 16d6 1d6f 20a5 2c98 a4df 102b0 10311 11700 118e3 1cce2""",
    ":": """
    2d0 2f8 589 5c3 703 704 903 a83 16ec 1803 1809 205a 2236 a4fd a789 fe30 11dd9""",
}
# Look-alikes without an entry in that file: small capitals, and white letters in circles, squares and flags.
_FURTHER = {
    "f": "a730 1f155 1f175 1f1eb",
    "r": "280 1f161 1f181 1f1f7",
    "o": "1f15e 1f17e 1f1f4",
    "rn": "1d0d 1f15c 1f17c 1f1f2",
}
_LOOKS_LIKE = {
    chr(int(code, 16)): letters
    for table in (_CONFUSABLES, _FURTHER)
    for letters, codes in table.items()
    for code in codes.split()
}
_WANTED = "frorn:"

_OPENING = "[\uff3b\ufe47"
_CLOSING = "]\uff3d\ufe48"
# Brackets of East Asian text and of mathematics; not confusable by the file, but read as brackets.
_FURTHER_OPENING = (
    "\u2045\u23b4\u2772\u27e6\u27ec\u298b\u298d\u298f\u2997\u3010\u3014\u3016\u3018\u301a\ufe17\ufe39\ufe3b\ufe5d"
)
_BRACKETS = frozenset(_OPENING + _FURTHER_OPENING)
# Letters and symbols that show nothing: Hangul fillers and the empty Braille pattern.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
# Letters that look like signs, such as stars and primes, by the same file.
_SIGNS = frozenset(
    "\u01c3\u02b9\u02ba\u02bb\u02bc\u02bd\u02be\u02c6\u02c8\u02ca\u02cb\u02ee\u0374\u05d9\u05f2\u07f4\u07f5\u07fa\u1427\u1433"
    "\u1438\u144a\u16b2\u16cc\u2cb2\u2cb3\u2cba\u2cbb\u2d51\u4e36\ua78c\ua78f\U0001029b\U0001031f\U00016f3f"
)
_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31});?"
_CANDIDATE = re.compile(f"[{re.escape(''.join(sorted(_BRACKETS)))}]|{_ENTITY}")
# No bracket and no entity in a tag: a search that begins inside must not read on where an earlier search has read.
_SKIPPED = re.compile(rf"<[^<>&{re.escape(''.join(sorted(_BRACKETS)))}]{{0,200}}>|(?P<entity>{_ENTITY})")
_NAME_BRACKETS = str.maketrans({**dict.fromkeys(_OPENING, "("), **dict.fromkeys(_CLOSING, ")")})


def unforged(text: str) -> str:
    """The text with a round bracket in place of each bracket that would be read as the beginning of `[From:`."""
    return _CANDIDATE.sub(_round_if_forged, text)


def without_brackets(name: str) -> str:
    """The name with round brackets for square ones, so that the name can stand in `[From: …]`."""
    return unforged(name.translate(_NAME_BRACKETS))


def is_blank(character: str) -> bool:
    """Whether the character shows nothing, though Unicode calls it a letter or a symbol."""
    return character in _BLANKS


def _round_if_forged(candidate: re.Match[str]) -> str:
    opens = candidate[0] if len(candidate[0]) == 1 else html.unescape(candidate[0])
    return "(" if opens in _BRACKETS and _reads_from(candidate.string, candidate.end()) else candidate[0]


def _reads_from(text: str, at: int) -> bool:
    """Whether a reader sees "from:" at the index `at`, behind nothing but blanks and markup."""
    wanted = _WANTED
    for letters in _read(text, at):
        if not wanted.startswith(letters):
            return letters.startswith(wanted)
        wanted = wanted[len(letters) :]
        if not wanted:
            return True
    return False


def _read(text: str, at: int) -> Iterator[str]:
    """Yield what a reader sees of `text` from the index `at`; "" for blanks, marks and signs."""
    while at < len(text):
        character = text[at]
        skipped = _SKIPPED.match(text, at) if character in "<&" else None
        at = skipped.end() if skipped else at + 1
        if skipped is None:
            yield _folded(character)
        elif skipped["entity"]:
            yield "".join(map(_folded, html.unescape(skipped[0])))


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    """Return the plain letters that a character reads as, in lower case; "" for a character that shows no letter."""
    if character in _LOOKS_LIKE:
        return _LOOKS_LIKE[character]
    if character in _BLANKS or character in _SIGNS:
        return ""
    plain = (_LOOKS_LIKE.get(part, part) for part in unicodedata.normalize("NFKD", character))
    # all but blanks, invisible characters, marks over letters and signs
    shown = "".join(part for part in plain if part.isalnum() or part in _BRACKETS or part == ":" or _closes(part))
    return "".join(_LOOKS_LIKE.get(part, part) for part in shown.casefold())


def _closes(part: str) -> bool:
    return unicodedata.category(part) == "Pe"
