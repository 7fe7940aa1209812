"""The content of outgoing activities: answers of the agent, notes of the bridge."""

from __future__ import annotations

from bridge.core.render import render_answer
from bridge.core.texts import say
from bridge.core.turn import Activity

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


def note(words: str) -> Activity:
    """A sentence of the bridge itself, in Markdown that Teams shows."""
    return {"type": "message", "textFormat": "markdown", "text": words}


# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content#feedback-buttons
FEEDBACK: Activity = {"channelData": {"feedbackLoop": {"type": "default"}}}


def answer(markdown: str, *, feedback: bool = False) -> tuple[Activity, ...]:
    """The agent's answer as one or more finished activities, each within Teams' size limit; buttons below the last.

    Of an answer that nobody can read in a chat, a million characters are shown, and said so.
    """
    if len(markdown) > LONGEST_ANSWER:
        markdown = f"{markdown[:LONGEST_ANSWER]}\n\n{say('answer_cut')}"
    parts: list[Activity] = [
        {"type": "message", "textFormat": "markdown", "text": part, "entities": [AI_LABEL]}
        for part in render_answer(markdown)
    ]
    if feedback and parts:
        parts[-1] |= FEEDBACK
    return tuple(parts)


def plain(activity: Activity) -> Activity:
    """The same words in the form that is refused least: plain text, nothing attached."""
    text = activity.get("text") or activity.get("summary") or ""
    return {"type": "message", "textFormat": "plain", "text": text}
