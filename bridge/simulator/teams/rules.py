"""The connector's refusals of a bot's activities. Pure.

Sources of codes and limits: docs/reference/teams.md, "The label for what a model wrote"; docs/reference/teams.md, "What
each status means"; docs/reference/teams.md, "Size of a message";
https://learn.microsoft.com/microsoftteams/platform/bots/build-conversational-capability, "status codes"
"""

from __future__ import annotations

from typing import Any

import orjson

ADAPTIVE_CARD = "application/vnd.microsoft.card.adaptive"
# docs/reference/teams.md, "Offering a file"
FILE_CONSENT = "application/vnd.microsoft.teams.card.file.consent"
FILE_INFO = "application/vnd.microsoft.teams.card.file.info"
ROOT_MESSAGE = "https://schema.org/Message"
# "approximately 100 KB", text and cards together, counted as UTF-16
MESSAGE_BYTES = 100 * 1024
MOST_CITATIONS = 20
SIZE_RULE = "A message has about 100 KB at most, counted as UTF-16."
# levels of nesting, the simulator's own limit
_DEEPEST = 100


class Refused(Exception):
    """The connector's refusal: HTTP status, the error's code and message, perhaps Retry-After in seconds.

    `rule` is a sentence about the broken rule, where `message` does not name the rule.
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
    """The activity's entities, without elements that are no objects."""
    return [entity for entity in activity.get("entities") or () if isinstance(entity, dict)]


def attachments(activity: dict[str, Any]) -> list[dict[str, Any]]:
    """The activity's attachments, without elements that are no objects."""
    return [attachment for attachment in activity.get("attachments") or () if isinstance(attachment, dict)]


def asks_feedback(activity: dict[str, Any]) -> bool:
    """Whether Teams shows Teams' own feedback buttons. `custom` buttons open the bot's dialog, which is not simulated.

    Source: docs/reference/teams.md, "Feedback buttons and their invoke".
    """
    data = activity.get("channelData") or {}
    loop = data.get("feedbackLoop")
    return data.get("feedbackLoopEnabled") is True or (isinstance(loop, dict) and loop.get("type") == "default")


def quoted_id(activity: dict[str, Any]) -> str | None:
    """The id of the message quoted by a bot's reply, named in an entity: docs/reference/teams.md, "Quotes"."""
    for entity in entities(activity):
        reply = entity.get("quotedReply") if entity.get("type") == "quotedReply" else None
        if isinstance(reply, dict) and isinstance(reply.get("messageId"), str):
            return str(reply["messageId"])
    return None


def roots(activity: dict[str, Any]) -> list[dict[str, Any]]:
    """The root message entities, which hold AI label, citations and sensitivity."""
    return [entity for entity in entities(activity) if entity.get("type") == ROOT_MESSAGE]


def check(activity: dict[str, Any], *, personal: bool = True) -> None:
    """Refuse an activity as Teams would; a bot may send `typing` and `message`. Raises: Refused."""
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
    """Refuse contradictory attachments, entities or mentions; the size is not checked. Raises: Refused."""
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
    """Whether the content is nested less than 100 levels deep, so recursion over the content is safe."""
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
    """Refuse an activity with fields of a wrong type. Raises: Refused."""
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
    appearance = citation.get("appearance")
    if not isinstance(appearance, dict) or not appearance:
        raise Refused(400, "BadArgument", "Empty appearance in a citation.")
    if not all(isinstance(appearance.get(field), str) and appearance[field] for field in ("@type", "name")):
        raise Refused(400, "BadArgument", words, rule="A citation's appearance needs @type and name.")


def _check_mentions(activity: dict[str, Any]) -> None:
    """A mention's text must occur in the message's text, letter by letter."""
    for entity in entities(activity):
        if entity.get("type") == "mention" and str(entity.get("text")) not in (activity.get("text") or ""):
            raise Refused(400, "BadArgument", "The text of a mention does not occur in the message.")
