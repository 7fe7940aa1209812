"""Decides which `**`, `*` and `~~` begin and end bold, italic and struck text beside scripts without spaces.

CommonMark reads the neighbours of a sign: behind punctuation a sign ends bold text only before a blank or further
punctuation. Chinese, Japanese, Thai and Korean particles put a letter there (`**重要：**请`), and the asterisks stay
visible. The amended rule is that of https://github.com/tats-u/markdown-cjk-friendly: beside a letter or a punctuation
mark of such a script, punctuation hinders no sign. Teams does not know the amended rule, so `visible_signs` puts a
space of no width between the punctuation and the sign: then CommonMark's own rule takes the sign.
"""

from __future__ import annotations

import re
import unicodedata

# Written by `inline` around signs which are markup: before a sign that begins, behind a sign that ends bold text.
# Answers have no control characters.
BEGINS, ENDS = "\x01", "\x02"
_HIDDEN = re.compile("[\0\x01\x02]")  # characters of the renderer's own, not shown

_NO_WIDTH = "\u200b"
# Scripts without spaces that are not wide by Unicode's table, and the Hangul letters in parts (`east_asian_width` N).
_NARROW = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1160-\u11ff\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f"
    "\ua980-\ua9ff\uaa00-\uaadf\ud7b0-\ud7ff]"
)
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # follow a character and choose its form
_EMOJI = re.compile("[\u2300-\u2bff\U0001f000-\U0001faff]")  # wide, but of no script
_SIGN = re.compile(r"(?<=[^\s*])\*++(?=\S)|(?<=[^\s~])~~++(?=\S)")
_RUN = re.compile(rf"((?:{BEGINS}?\*{ENDS}?)+|(?:{BEGINS}?~{ENDS}?)+)")


def sides(src: str, begin: int, end: int) -> tuple[bool, bool]:
    """Tell whether the sign `src[begin:end]` may begin and may end bold text by the amended rule alone."""
    before, after = _last(src, begin), src[end : end + 1]
    amended = _is_joined(before) or _is_joined(after)
    return amended and not _is_blank(after), amended and not _is_blank(before)


def needs_parser(text: str) -> bool:
    """Tell whether `text` has a sign which the amended rule reads otherwise than CommonMark."""
    if text.isascii() or ("*" not in text and "~~" not in text):
        return False
    for found in _SIGN.finditer(text):
        before, after = _last(text, found.start()), text[found.end()]
        if _is_punctuation(before) != _is_punctuation(after) and (_is_joined(before) or _is_joined(after)):
            return True
    return False


def visible_signs(text: str) -> str:
    """Return rendered `text` without BEGINS and ENDS, each marked sign such that Teams takes the sign as markup."""
    if BEGINS not in text and ENDS not in text:
        return text
    pieces = _RUN.split(text)  # words, run of signs, words, …
    for at in range(1, len(pieces), 2):
        if BEGINS in pieces[at] and not _begins(_before(pieces, at), _after(pieces, at)):
            pieces[at] += _NO_WIDTH
    for at in range(len(pieces) - 2, 0, -2):
        if ENDS in pieces[at] and not _begins(_after(pieces, at), _before(pieces, at)):
            pieces[at] = _NO_WIDTH + pieces[at]
    return "".join(pieces).replace(BEGINS, "").replace(ENDS, "")


def _begins(outside: str, inside: str) -> bool:
    """Tell whether CommonMark takes a sign between these two characters; ends are judged in the mirror."""
    return not _is_punctuation(inside) or _is_blank(outside) or _is_punctuation(outside)


def _before(pieces: list[str], at: int) -> str:
    """Return the character shown before piece number `at`, "" at the beginning."""
    while at and not (shown := _HIDDEN.sub("", pieces[at - 1][-8:])):
        at -= 1
    return shown[-1] if at else ""


def _after(pieces: list[str], at: int) -> str:
    """Return the character shown behind piece number `at`, "" at the end."""
    while at + 1 < len(pieces) and not (shown := _HIDDEN.sub("", pieces[at + 1][:8])):
        at += 1
    return shown[0] if at + 1 < len(pieces) else ""


def _last(src: str, end: int) -> str:
    """Return the character before `end`, without the selectors that choose the character's form."""
    while end > 1 and re.match(f"[{_SELECTORS}]", src[end - 1]):
        end -= 1
    return src[end - 1 : end]


def _is_blank(character: str) -> bool:
    return not character or character.isspace()


def _is_punctuation(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "PS"


def _is_joined(character: str) -> bool:
    """Tell whether the character belongs to a script written without spaces, as a letter or as punctuation."""
    if not character or character.isascii() or _EMOJI.match(character):
        return False
    return unicodedata.east_asian_width(character) in "WFH" or bool(_NARROW.match(character))
