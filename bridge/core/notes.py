"""The content of outgoing activities: answers of the agent, notes of the bridge."""

from __future__ import annotations

import html
import re

from bridge.core.identity import speaker
from bridge.core.render import render_answer
from bridge.core.texts import say
from bridge.core.turn import Activity, Person, Reference, Scope

# Exactly one root Message entity an activity; the label is for what a model wrote, not for the bridge's own notes.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content
AI_LABEL: Activity = {
    "type": "https://schema.org/Message",
    "@type": "Message",
    "@context": "https://schema.org",
    "@id": "",
    "additionalType": ["AIGeneratedContent"],
}


LONGEST_ANSWER = 1_000_000
_MARKS = re.compile(r'<quoted messageId="\w+"/>|</?at>')


def note(words: str) -> Activity:
    """A sentence of the bridge itself, in Markdown that Teams shows."""
    return {"type": "message", "textFormat": "markdown", "text": words}


def answer(markdown: str) -> tuple[Activity, ...]:
    """The agent's answer as one or more finished activities, each within Teams' size limit.

    Of an answer that nobody can read in a chat, a million characters are shown, and said so.
    """
    if len(markdown) > LONGEST_ANSWER:
        markdown = f"{markdown[:LONGEST_ANSWER]}\n\n{say('answer_cut')}"
    return tuple(
        {"type": "message", "textFormat": "markdown", "text": part, "entities": [AI_LABEL]}
        for part in render_answer(markdown)
    )


def stopped(reference: Reference, by: str) -> Activity:
    """The note of a stopped turn; elsewhere than in a personal chat it says who stopped it."""
    if by and reference.scope is not Scope.PERSONAL:
        return note(say("stopped_by", reference.locale, name=by))
    return note(say("stopped", reference.locale))


def in_progress(text: str, line: str) -> Activity:
    """What the agent has said so far, and what it is doing now."""
    return note(f"{text}\n\n*{line}*")


def with_shown(shown: str, activity: Activity) -> Activity:
    """A note below what the agent had said before."""
    words = activity.get("text")
    text = f"{shown}\n\n———\n\n{words}" if words else shown
    return activity | {"textFormat": "markdown", "text": text, "entities": [AI_LABEL]}


def quoting(activity: Activity, reference: Reference) -> Activity:
    """The answer with the question above it, as a reply in Teams has it.

    https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/quoted-replies
    """
    text = activity.get("text")
    if not text or not reference.activity.isalnum():
        return activity
    quote = {"type": "quotedReply", "quotedReply": {"messageId": reference.activity}}
    marked = f'<quoted messageId="{reference.activity}"/>{text}'
    return activity | {"text": marked, "entities": [*activity.get("entities", []), quote]}


def mentioning(activity: Activity, person: Person) -> Activity:
    """The message with the person's name in front, so that their client calls them.

    https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-and-group-conversations#add-mentions-to-your-messages
    """
    text = activity.get("text")
    if not text or not person.teams_id:
        return activity
    at = f"<at>{html.escape(speaker(person.name), quote=False)}</at>"
    mention = {"type": "mention", "text": at, "mentioned": {"id": person.teams_id, "name": speaker(person.name)}}
    return activity | {"text": f"{at} {text}", "entities": [*activity.get("entities", []), mention]}


def continued(activity: Activity, words: str) -> Activity:
    """The message with a half sentence of the bridge below it."""
    return activity | {"text": f"{activity.get('text', '')}\n\n*{words}*"}


def plain(activity: Activity) -> Activity:
    """The same words in the form that is refused least: plain text, nothing attached."""
    text = activity.get("text") or activity.get("summary") or ""
    return {"type": "message", "textFormat": "plain", "text": _MARKS.sub("", text) or text}
