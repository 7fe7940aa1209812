"""The content of outgoing activities: answers of the agent, notes of the bridge."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from bridge.core.identity import notice_lane
from bridge.core.markdown.agent_cards import CARD_TYPE, AgentCard
from bridge.core.markdown.plain_words import plain_words
from bridge.core.markdown.render import render_answer, render_with_cards
from bridge.core.markdown.split import PART_UNITS, units
from bridge.core.texts import say
from bridge.core.turn import Activity, Kind, NewTurn, Payload, Reference, Scope

# Exactly one root Message entity an activity; the label is for what a model wrote, not for the bridge's own notes.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content
AI_LABEL: Activity = {
    "type": "https://schema.org/Message",
    "@type": "Message",
    "@context": "https://schema.org",
    "@id": "",
    "additionalType": ["AIGeneratedContent"],
}


LONGEST_ANSWER = 400_000
_MARKS = re.compile(r'<quoted messageId="\w+"/>|</?at>')
_CARD_FRAME = 100  # what is around a card's content in an activity
_LONGEST_SUMMARY = 200


def note(words: str) -> Activity:
    """A sentence of the bridge itself, in Markdown that Teams shows."""
    return {"type": "message", "textFormat": "markdown", "text": words}


def note_turn(id_: str, about: Payload, activity: Activity, accepted: float) -> NewTurn:
    """A turn that shows one message of the bridge in the conversation of `about`, beside its lane.

    Whose session the note is about stays on the row, for operators; questions, files and consents do not.
    """
    payload = Payload(about.reference, about.person, about.agent, about.user, activities=(activity,))
    return NewTurn(id_, Kind.NOTE, notice_lane(about.reference), payload, accepted)


# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content#feedback-buttons
FEEDBACK: Activity = {"channelData": {"feedbackLoop": {"type": "default"}}}


def answer(markdown: str, locale: str = "", *, cards: bool = False, feedback: bool = False) -> tuple[Activity, ...]:
    """The agent's answer as one or more finished activities, each within Teams' size limit; buttons below the last.

    Of an answer that nobody can read in a chat, LONGEST_ANSWER characters are shown, and said so. `cards`: harmless
    Adaptive Cards in it are shown as such; one that does not fit beside its words follows them.
    """
    if len(markdown) > LONGEST_ANSWER:
        markdown = f"{markdown[:LONGEST_ANSWER]}\n\n{say('answer_cut', locale)}"
    parts = _with_cards(markdown) if cards else [_said(part) for part in render_answer(markdown)]
    if feedback and parts:
        parts[-1] |= FEEDBACK
    return tuple(parts)


def _with_cards(markdown: str) -> list[Activity]:
    activities: list[Activity] = []
    for text, attached in render_with_cards(markdown):
        room = PART_UNITS - units(text)
        beside: list[AgentCard] = []
        following: list[AgentCard] = []
        for card in attached:
            room -= units(orjson.dumps(card.content).decode()) + _CARD_FRAME
            (beside if room > 0 and not following else following).append(card)
        if text or beside:
            activities.append(_said(text, beside))
        activities += [_said("", [card]) for card in following]
    return activities


def _said(text: str, cards: Sequence[AgentCard] = ()) -> Activity:
    said: Activity = {"type": "message", "entities": [AI_LABEL]}
    if text:
        said |= {"textFormat": "markdown", "text": text}
    if cards:
        said["summary"] = (text or cards[0].words)[:_LONGEST_SUMMARY]
        said["attachments"] = [{"contentType": CARD_TYPE, "content": card.content} for card in cards]
    return said


def stopped(reference: Reference, by: str) -> Activity:
    """The note of a stopped turn; elsewhere than in a personal chat it says who stopped it."""
    name = plain_words(by)
    if name and reference.scope is not Scope.PERSONAL:
        return note(say("stopped_by", reference.locale, name=name))
    return note(say("stopped", reference.locale))


def below_text(shown: str, activity: Activity) -> Activity:
    """A note below what the agent had said before."""
    words = activity.get("text")
    text = f"{shown}\n\n———\n\n{words}" if words else shown
    return activity | {"textFormat": "markdown", "text": text, "entities": [AI_LABEL]}


def plain(activity: Activity) -> Activity:
    """The same words in the form that is refused least: plain text, nothing attached."""
    text = activity.get("text") or activity.get("summary") or ""
    return {"type": "message", "textFormat": "plain", "text": _MARKS.sub("", text) or text}
