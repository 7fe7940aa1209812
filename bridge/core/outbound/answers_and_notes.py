"""The content of outgoing messages: the agent's answers and the bridge's notes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import orjson

from bridge.core.identity import display_name, notice_lane, typed_text
from bridge.core.markdown.agent_cards import CARD_TYPE, AgentCard
from bridge.core.markdown.plain_words import plain_words
from bridge.core.markdown.render import render_answer, render_with_cards
from bridge.core.markdown.split import units
from bridge.core.teams_limits import PART_UNITS
from bridge.core.texts import say
from bridge.core.turn import Activity, Kind, NewTurn, Payload, Scope, Turn

# The AI label is for the agent's words, not for notes; at most one such entity in an activity.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content
AI_LABEL: Activity = {
    "type": "https://schema.org/Message",
    "@type": "Message",
    "@context": "https://schema.org",
    "@id": "",
    "additionalType": ["AIGeneratedContent"],
}


LONGEST_ANSWER = 400_000  # characters; a longer answer is cut
_QUOTES_AND_MENTIONS = re.compile(r'<quoted messageId="\w+"/>|</?at>')
_CARD_FRAME = 100  # units of an attachment around the card's content
_LONGEST_SUMMARY = 200
# Questions named in the note of an early stop, and characters of each.
_NAMED = 5
_LONGEST_NAME = 60


def note(words: str) -> Activity:
    """A sentence of the bridge itself, in Teams' Markdown."""
    return {"type": "message", "textFormat": "markdown", "text": words}


def note_turn(id_: str, about: Payload, activity: Activity, accepted: float) -> NewTurn:
    """A note turn: shows one message of the bridge in the conversation of `about`, in the lane for notes.

    Agent and user of `about` stay on the row for operators; question, files and consent do not. `accepted`: epoch
    seconds.
    """
    payload = Payload(about.reference, about.person, about.agent, about.user, activities=(activity,))
    return NewTurn(id_, Kind.NOTE, notice_lane(about.reference), payload, accepted)


# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content#feedback-buttons
FEEDBACK: Activity = {"channelData": {"feedbackLoop": {"type": "default"}}}


def answer(markdown: str, locale: str = "", *, cards: bool = False, feedback: bool = False) -> tuple[Activity, ...]:
    """The agent's answer as finished activities, each within Teams' size limit; none for an empty answer.

    An answer above `LONGEST_ANSWER` is cut, with a note. `cards`: harmless Adaptive Cards are shown as cards; a card
    without room beside the words follows in a separate message. `feedback`: buttons below the last part.
    """
    if len(markdown) > LONGEST_ANSWER:
        markdown = f"{markdown[:LONGEST_ANSWER]}\n\n{say('answer_cut', locale)}"
    parts = _with_cards(markdown) if cards else [_labelled(part) for part in render_answer(markdown)]
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
            activities.append(_labelled(text, beside))
        activities += [_labelled("", [card]) for card in following]
    return activities


def _labelled(text: str, cards: Sequence[AgentCard] = ()) -> Activity:
    message: Activity = {"type": "message", "entities": [AI_LABEL]}
    if text:
        message |= {"textFormat": "markdown", "text": text}
    if cards:
        message["summary"] = (text or cards[0].words)[:_LONGEST_SUMMARY]
        message["attachments"] = [{"contentType": CARD_TYPE, "content": card.content} for card in cards]
    return message


def stopped(asked: Payload, by: str) -> Activity:
    """The note of a stopped question; in groups and channels with the name of the person who stopped the run.

    A further name is the asker's, if a different person stopped the run.
    """
    reference, name, owner = asked.reference, plain_words(by), plain_words(display_name(asked.person.name))
    if not name or reference.scope is Scope.PERSONAL:
        return note(say("stopped", reference.locale))
    if not owner or owner == name:
        return note(say("stopped_by", reference.locale, name=name))
    return note(say("stopped_for", reference.locale, name=name, owner=owner))


def stopped_early(command: NewTurn, waiting: Sequence[Turn]) -> NewTurn:
    """The note turn `command` with a sentence that names the questions closed by `/stop` while they waited."""
    named = [f"“{_beginning(turn)}”" for turn in waiting[:_NAMED]]
    if len(named) < len(waiting):
        named.append(say("stopped_more", command.locale, count=len(waiting) - len(named)))
    words = say("stopped_early", command.locale, questions=", ".join(named))
    return replace(command, payload=replace(command.payload, activities=(note(words),)))


def _beginning(question: Turn) -> str:
    """The first words of a question as typed; without words the name of the first file, else the turn's short id."""
    asked = question.payload
    typed = typed_text(asked.reference.scope, asked.text) or (asked.files[0].name if asked.files else "")
    words = plain_words(typed) or question.name
    return words if len(words) <= _LONGEST_NAME else words[:_LONGEST_NAME].rstrip() + "…"


def below_text(above: str, activity: Activity) -> Activity:
    """The note `activity` below the agent's words in `above`, with the AI label."""
    words = activity.get("text")
    text = f"{above}\n\n———\n\n{words}" if words else above
    return activity | {"textFormat": "markdown", "text": text, "entities": [AI_LABEL]}


def plain(activity: Activity) -> Activity:
    """The activity's words as plain text without attachments, the form that Teams refuses least."""
    text = activity.get("text") or activity.get("summary") or ""
    return {"type": "message", "textFormat": "plain", "text": _QUOTES_AND_MENTIONS.sub("", text) or text}
