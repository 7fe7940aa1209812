"""Cuts a reply smaller after Teams refused a part: for its size, or for its content.

The steps for a refused part: attachments in messages of their own; texts of half the size, down to `SMALLEST_PART`;
plain text; a note that the part could not be shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.markdown.split import NUMBER_UNITS, pieces, units
from bridge.core.outbound.answers_and_notes import note, plain
from bridge.core.texts import say
from bridge.core.turn import Activity

SMALLEST_PART = 1_000
"""UTF-16 units; a text of this size that Teams does not take is not refused for its size."""

# The number at the end of a part; `tail`: a sentence of the bridge below.
_NUMBER = re.compile(r"\n\n\((?P<number>\d+)/(?P<of>\d+)\)(?P<tail>\n\n\*[^\n]*\*)?\Z")
_ATTACHED = ("attachments", "summary", "attachmentLayout")


@dataclass(frozen=True, slots=True)
class Smaller:
    """A reply after a refusal.

    `activities`: those delivered, then those to be sent. `size`: of the texts that were cut, in UTF-16 units, or 0.
    `given_up`: the note replaces all parts that were not delivered.
    """

    activities: tuple[Activity, ...]
    size: int = 0
    given_up: bool = False


def smaller(activities: Sequence[Activity], delivered: int, *, too_large: bool, locale: str) -> Smaller | None:
    """Return the reply with the refused activity, number `delivered`, in the next smaller form; None: is the note.

    `too_large`: the parts behind are cut to the same size.
    """
    refused, shown, behind = activities[delivered], activities[:delivered], activities[delivered + 1 :]
    size = units(str(refused.get("text") or ""))
    last_words = note(say("part_refused", locale))
    if refused == last_words:
        return None
    if refused.get("attachments"):
        if not size and delivered:
            return Smaller((*shown, *behind))  # a card or a file must not cost people the words
        whole = _without_number(refused) if delivered in _numbered(activities) else refused
        return Smaller(_renumbered(activities, delivered, _detached(whole), 1))
    if size > SMALLEST_PART:
        limit = max(SMALLEST_PART, size // 2)
        return Smaller(within(activities, delivered, limit, only_first=not too_large), limit)
    if refused.get("textFormat") != "plain":
        return Smaller((*shown, plain(refused), *behind))
    return Smaller((*shown, last_words), given_up=True)


def within(
    activities: Sequence[Activity], delivered: int, limit: int, *, only_first: bool = False
) -> tuple[Activity, ...]:
    """Return the activities, those not delivered yet with texts of at most `limit` UTF-16 units."""
    last = delivered + 1 if only_first else len(activities)
    if all(units(str(activity.get("text") or "")) <= limit for activity in activities[delivered:last]):
        return tuple(activities)
    numbered = _numbered(activities)
    cut = [piece for at in range(delivered, last) for piece in _cut(activities[at], limit, numbered=at in numbered)]
    return _renumbered(activities, delivered, cut, last - delivered)


def _numbered(activities: Sequence[Activity]) -> frozenset[int]:
    """Return the indexes of the texts that end with their own number "(2/3)"."""
    texts = [at for at, activity in enumerate(activities) if activity.get("text")]
    found = {at: _NUMBER.search(str(activities[at]["text"])) for at in texts}
    own = {at: f"{number}/{len(texts)}" for number, at in enumerate(texts, 1)}
    return frozenset(at for at, end in found.items() if end and f"{end['number']}/{end['of']}" == own[at])


def _renumbered(
    activities: Sequence[Activity], delivered: int, put: Sequence[Activity], instead_of: int
) -> tuple[Activity, ...]:
    """Return the activities with `put` instead of the next `instead_of`, and the texts not delivered numbered anew."""
    behind = activities[delivered + instead_of :]
    result = [*activities[:delivered], *put]
    numbered = {*_numbered(activities)}
    for at, activity in enumerate(behind, delivered + instead_of):
        result.append(_without_number(activity) if at in numbered else activity)
    texts = [at for at, activity in enumerate(result) if activity.get("text")]
    if len(texts) > 1:  # a single text needs no number
        for number, at in enumerate(texts, 1):
            if at >= delivered:
                result[at] = result[at] | {"text": f"{result[at]['text']}\n\n({number}/{len(texts)})"}
    return tuple(result)


def _without_number(activity: Activity) -> Activity:
    return activity | {"text": _NUMBER.sub(r"\g<tail>", activity["text"])}


def _cut(activity: Activity, limit: int, *, numbered: bool) -> list[Activity]:
    """Return the activity as activities with at most `limit` units of text, and without number."""
    if not activity.get("text"):
        return [activity]
    whole = _without_number(activity) if numbered else activity
    if units(activity["text"]) <= limit - NUMBER_UNITS:
        return [whole]
    words, *attached = _detached(whole)
    return [*_texts(words, limit), *attached]


def _texts(words: Activity, limit: int) -> list[Activity]:
    """Return texts of the size: the first with quote and mentions, the last with the buttons for feedback."""
    parts = pieces(words["text"], limit)
    label = [entity for entity in words.get("entities", ()) if str(entity.get("type")).startswith("https://")]
    cut: list[Activity] = []
    for number, part in enumerate(parts):
        one = {key: value for key, value in words.items() if key not in ("text", "entities", "channelData")}
        entities = words.get("entities", []) if number == 0 else label
        one |= {"text": part} | ({"entities": entities} if entities else {})
        if number == len(parts) - 1 and "channelData" in words:
            one["channelData"] = words["channelData"]
        cut.append(one)
    return cut


def _detached(activity: Activity) -> list[Activity]:
    """Return the activity's text without attachments, then each attachment alone; a card alone becomes its words."""
    words = {key: value for key, value in activity.items() if key not in _ATTACHED}
    if not activity.get("text"):
        return [plain(activity)]
    alone = {"type": "message"} | {key: activity[key] for key in ("summary",) if key in activity}
    label = [entity for entity in activity.get("entities", ()) if str(entity.get("type")).startswith("https://")]
    return [
        words,
        *(alone | {"entities": label, "attachments": [attachment]} for attachment in activity.get("attachments", ())),
    ]
