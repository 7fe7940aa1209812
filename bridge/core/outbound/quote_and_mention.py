"""Additions to an answer in groups and channels: a quote of the question, a mention of the asker, a last sentence."""

from __future__ import annotations

import html

from bridge.core.identity import display_name
from bridge.core.turn import Activity, Person, Reference


def quoting(activity: Activity, reference: Reference) -> Activity:
    """The answer as a reply that quotes the question; unchanged without text or without a message id.

    https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/quoted-replies
    """
    text = activity.get("text")
    if not text or not reference.activity.isalnum():
        return activity
    quote = {"type": "quotedReply", "quotedReply": {"messageId": reference.activity}}
    marked = f'<quoted messageId="{reference.activity}"/>{text}'
    return activity | {"text": marked, "entities": [*activity.get("entities", []), quote]}


def mentioning(activity: Activity, person: Person) -> Activity:
    """The message with a mention of the person in front, which notifies the person; unchanged without id or name.

    https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-and-group-conversations#add-mentions-to-your-messages
    """
    text = activity.get("text")
    name = display_name(person.name)
    if not text or not person.teams_id or not name:
        return activity
    at = f"<at>{html.escape(name, quote=False)}</at>"
    mention = {"type": "mention", "text": at, "mentioned": {"id": person.teams_id, "name": name}}
    return activity | {"text": f"{at} {text}", "entities": [*activity.get("entities", []), mention]}


def continued(activity: Activity, words: str) -> Activity:
    """The message with a sentence of the bridge below, in italics."""
    return activity | {"text": f"{activity.get('text', '')}\n\n*{words}*"}
