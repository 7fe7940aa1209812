"""What the Bot Connector refuses in an activity that a bot sends. Pure.

Codes and limits: learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages and
…/build-conversational-capability, "status codes" (reference: docs/reference/teams.md, "Labels and feedback" and docs/reference/teams.md, "Rate limits and retries").
"""

from __future__ import annotations

from typing import Any

import orjson

ADAPTIVE_CARD = "application/vnd.microsoft.card.adaptive"
# bots-filesv4 (docs/reference/teams.md, "File exchange")
FILE_CONSENT = "application/vnd.microsoft.teams.card.file.consent"
FILE_INFO = "application/vnd.microsoft.teams.card.file.info"
ROOT_MESSAGE = "https://schema.org/Message"
# "approximately 100 KB" counted as UTF-16: text and cards together
MESSAGE_BYTES = 100 * 1024
MOST_CITATIONS = 20
SIZE_RULE = "A message has about 100 KB at most, counted as UTF-16."
# the simulator's own limit
_DEEPEST = 100


class Refused(Exception):
    """The Connector's refusal: HTTP status, the error's code and message, perhaps Retry-After in seconds.

    `rule` says in a sentence which rule was broken, where the message does not.
    """

    def __init__(
        self, status: int, code: str, message: str, retry_after: str | None = None, *, rule: str | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.rule = rule or message


def entities(activity: dict[str, Any]) -> list[dict[str, Any]]:
    return [entity for entity in activity.get("entities") or () if isinstance(entity, dict)]


def attachments(activity: dict[str, Any]) -> list[dict[str, Any]]:
    return [attachment for attachment in activity.get("attachments") or () if isinstance(attachment, dict)]


def asks_feedback(activity: dict[str, Any]) -> bool:
    """Whether Teams shows its own feedback buttons. `custom` ones open a dialog of the bot, which is not simulated.

    Source: learn.microsoft.com/microsoftteams/platform/bots/how-to/bot-messages-ai-generated-content (docs/reference/teams.md, "Labels and feedback").
    """
    data = activity.get("channelData") or {}
    loop = data.get("feedbackLoop")
    return data.get("feedbackLoopEnabled") is True or (isinstance(loop, dict) and loop.get("type") == "default")


def quoted_id(activity: dict[str, Any]) -> str | None:
    """The message that a bot's reply quotes: named by an entity and by a tag in the text (docs/reference/teams.md, "Typing, reactions, quotes")."""
    for entity in entities(activity):
        reply = entity.get("quotedReply") if entity.get("type") == "quotedReply" else None
        if isinstance(reply, dict) and isinstance(reply.get("messageId"), str):
            return str(reply["messageId"])
    return None


def roots(activity: dict[str, Any]) -> list[dict[str, Any]]:
    """The entities that hold the AI label, citations and sensitivity."""
    return [entity for entity in entities(activity) if entity.get("type") == ROOT_MESSAGE]


def check(activity: dict[str, Any], *, personal: bool = True) -> None:
    """Raise Refused when Teams would not take this activity; a bot may send `typing` and `message`."""
    check_form(activity)
    if activity["type"] == "typing":
        return
    if not activity.get("text") and not attachments(activity):
        raise Refused(400, "BadSyntax", "Activity must include non empty 'text' field or at least 1 attachment.")
    check_content(activity)
    if size(activity) > MESSAGE_BYTES:
        raise Refused(413, "MessageSizeTooBig", "Message size too large.", rule=SIZE_RULE)
    if not personal and any(part.get("contentType") == FILE_CONSENT for part in attachments(activity)):
        raise Refused(400, "BadArgument", "File consent cards are for personal chats only.")


def check_content(activity: dict[str, Any]) -> None:
    """Raise Refused for attachments, entities or mentions that contradict each other. Leaves the size alone."""
    if not _is_flat(attachments(activity)):
        raise Refused(400, "BadArgument", "An attachment is nested too deeply.")
    _check_root(activity)
    _check_mentions(activity)


def size(activity: dict[str, Any]) -> int:
    """Bytes of the text and the cards as UTF-16."""
    text = activity.get("text") or ""
    cards = (orjson.dumps(attachment.get("content")).decode() for attachment in attachments(activity))
    return sum(2 * len(part) + 2 * sum(char > "\uffff" for char in part) for part in (text, *cards))


def _is_flat(content: object) -> bool:
    """Whether the content can be walked and written without danger to the stack."""
    level: list[object] = [content]
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for part in level:
            if isinstance(part, dict):
                inner.extend(part.values())
            elif isinstance(part, list):
                inner.extend(part)
        if not inner:
            return True
        level = inner
    return False


def check_form(activity: dict[str, Any]) -> None:
    if activity.get("type") not in ("message", "typing"):
        raise Refused(400, "BadArgument", "Unknown activity type.")
    if not isinstance(activity.get("text"), str | None):
        raise Refused(400, "BadSyntax", "The field 'text' is no string.")
    if not isinstance(activity.get("channelData"), dict | None):
        raise Refused(400, "BadSyntax", "The field 'channelData' is no object.")
    for field in ("entities", "attachments"):
        listed = activity.get(field)
        if listed is not None and (not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed)):
            raise Refused(400, "BadSyntax", f"The field '{field}' is no list of objects.")


def _check_root(activity: dict[str, Any]) -> None:
    found = roots(activity)
    if len(found) > 1:
        raise Refused(400, "BadArgument", "Multiple root message entities found.")
    citations = found[0].get("citation") if found else None
    if citations is None:
        return
    if not isinstance(citations, list):
        raise Refused(400, "BadArgument", "Error parsing entity.", rule="The citations of a message are a list.")
    if len(citations) > MOST_CITATIONS:
        raise Refused(400, "BadArgument", f"A message can have {MOST_CITATIONS} citations at most.")
    for number, citation in enumerate(citations, 1):
        _check_citation(number, citation)
    positions = [citation["position"] for citation in citations]
    if len(set(positions)) < len(positions):
        raise Refused(400, "BadArgument", "Error parsing citations.", rule="Each citation has a position of its own.")


def _check_citation(number: int, citation: object) -> None:
    """Position, and an appearance with a type and a name, are required."""
    words = f"Error parsing citation {number}."
    if not isinstance(citation, dict) or type(citation.get("position")) is not int:
        raise Refused(400, "BadArgument", words, rule="A citation needs a number as its position.")
    looks = citation.get("appearance")
    if not isinstance(looks, dict) or not looks:
        raise Refused(400, "BadArgument", "Empty appearance in a citation.")
    if not all(isinstance(looks.get(field), str) and looks[field] for field in ("@type", "name")):
        raise Refused(400, "BadArgument", words, rule="A citation's appearance needs @type and name.")


def _check_mentions(activity: dict[str, Any]) -> None:
    """A mention's text must occur in the message's text, letter by letter."""
    for entity in entities(activity):
        if entity.get("type") == "mention" and str(entity.get("text")) not in (activity.get("text") or ""):
            raise Refused(400, "BadArgument", "The text of a mention does not occur in the message.")
