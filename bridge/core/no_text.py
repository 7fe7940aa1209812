"""The kinds of content that are no text, and the sentence that a person gets for each.

A closed table: content of an unknown kind is `OTHER`. Readable words (the text of a card, the preview of a forward,
the name of a sticker) belong to the text of the message, which `core.inbound` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from bridge.core.texts import say


class NoText(StrEnum):
    """A kind of content without words; the value names the kind to the agent."""

    VOICE = "voice message"
    AUDIO = "audio recording"
    VIDEO = "video"
    LOOP = "Loop component"
    CARD = "card"
    CODE = "code snippet"
    POLL = "poll"
    LOCATION = "location"
    FORWARD = "forwarded message"
    STICKER = "sticker"
    GIF = "GIF"
    OTHER = "attachment of an unknown kind"


SENTENCES: Final = {
    NoText.VOICE: "no_text_voice",
    NoText.AUDIO: "no_text_audio",
    NoText.VIDEO: "no_text_video",
    NoText.LOOP: "no_text_loop",
    NoText.CARD: "no_text_card",
    NoText.CODE: "no_text_code",
    NoText.POLL: "no_text_poll",
    NoText.LOCATION: "no_text_location",
    NoText.FORWARD: "no_text_forward",
    NoText.STICKER: "no_text_sticker",
    NoText.GIF: "no_text_gif",
    NoText.OTHER: "no_text_other",
}
"""The text key of each kind's sentence."""


def told_to_person(kinds: Sequence[NoText], locale: str, *, asked: bool) -> str:
    """The note about content without words; `asked`: the message had words as well, which go to the agent."""
    lines = "\n".join(f"- {say(SENTENCES[kind], locale)}" for kind in kinds)
    return say("files_missed" if asked else "files_only", locale, files=lines)


def told_to_agent(text: str, kinds: Sequence[NoText]) -> str:
    """The question `text` with a last sentence that names the content which the agent does not get."""
    return f"{text}\n\n{say('no_text_dropped', things=', '.join(kinds))}" if kinds else text
