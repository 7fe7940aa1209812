"""The bridge's own Adaptive Cards.

Buttons are Action.Execute: a click is the invoke `adaptiveCard/action`, which must be answered at once, so the click is
stored first and handled afterwards.
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards/work-with-universal-actions-for-adaptive-cards
"""

from __future__ import annotations

from typing import Any, Final, assert_never

from bridge.core.edits import Offer
from bridge.core.errors import GuestDenied, MembershipUnknown, SessionNotDeleted, TurnFailure
from bridge.core.markdown.agent_cards import CARD_TYPE
from bridge.core.outbound.answers_and_notes import AI_LABEL, note
from bridge.core.texts import say
from bridge.core.turn import Activity, Kind, Turn

# The type of an answer to a click that shows a sentence.
MESSAGE_TYPE: Final = "application/vnd.microsoft.activity.message"
# Verbs of the buttons. Cards already in Teams carry the values.
ASK_AGAIN: Final = "askAgain"
NEW_SESSION: Final = "newSession"
STOP: Final = "stop"
ASK_INSTEAD: Final = "askInstead"


def interrupted(turn: int, name: str, locale: str) -> Activity:
    """The note after a crash, with *Ask again*; `name` is the turn's short id, shown small."""
    return _card(say("interrupted", locale), say("ask_again", locale), ASK_AGAIN, {"turn": turn}, name)


def progress(turn: int, text: str, line: str, locale: str) -> Activity:
    """The placeholder: the agent's words so far (`text`, may be empty), below them the activity line and *Stop*."""
    doing = _card(line, say("stop", locale), STOP, {"turn": turn})
    return {**doing, **note(text), "entities": [AI_LABEL]} if text else doing


def failed(turn: Turn, failure: TurnFailure) -> Activity:
    """The sentence of an error, with *Ask again* where the turn was a question and asking again may help."""
    # most errors' sentences speak of a question, which `/new` is not; there the old session may still exist
    about_session = turn.kind is Kind.NEW and not isinstance(failure, GuestDenied | MembershipUnknown)
    locale = turn.locale
    words = say(SessionNotDeleted.label if about_session else failure.label, locale)
    if turn.kind is Kind.ASK and failure.again:
        return _card(words, say("ask_again", locale), ASK_AGAIN, {"turn": turn.n}, turn.name)
    return note(f"{words}\n\n*{turn.name}*")


def edited(offer: Offer, turn: int, name: str, locale: str) -> Activity:
    """The card below a question edited after asking, with the button of the offer."""
    match offer:
        case Offer.INSTEAD:
            words, button, verb = say("edited_running", locale), say("edit_use", locale), ASK_INSTEAD
        case Offer.AGAIN:
            words, button, verb = say("edited_answered", locale), say("edit_again", locale), ASK_AGAIN
        case _:
            assert_never(offer)
    return _card(words, button, verb, {"turn": turn}, name)


def confirm_new(locale: str) -> Activity:
    """The question before `/new` in a group."""
    return _card(say("new_ask", locale), say("new_yes", locale), NEW_SESSION, {})


def done(words: str) -> dict[str, Any]:
    """The content of the card that replaces a used card: words, no button."""
    return _content([_words(words)], [])


def _card(words: str, button: str, verb: str, data: dict[str, Any], small: str = "") -> Activity:
    action = {"type": "Action.Execute", "title": button, "verb": verb, "data": data}
    body = [_words(words)]
    if small:
        body.append({"type": "TextBlock", "text": small, "size": "Small", "isSubtle": True, "spacing": "Small"})
    content = _content(body, [action])
    return {
        "type": "message",
        "summary": words,
        "attachments": [{"contentType": CARD_TYPE, "content": content}],
    }


def _content(body: list[dict[str, Any]], actions: list[dict[str, Any]]) -> dict[str, Any]:
    card: dict[str, Any] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        # bots may send up to 1.5: https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference
        "version": "1.5",
        "body": body,
    }
    return {**card, "actions": actions} if actions else card


def _words(words: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": words, "wrap": True}
