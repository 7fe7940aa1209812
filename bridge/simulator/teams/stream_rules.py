"""The rules of streamed messages. Pure: the caller brings the clock, and shows the accepted parts.

Source, also of the refusals' words: docs/reference/teams.md, "Streaming" and
https://learn.microsoft.com/microsoftteams/platform/bots/streaming-ux
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

from bridge.simulator.teams import rules
from bridge.simulator.teams.rate_limits import retry_after
from bridge.simulator.teams.rules import Refused

StreamKind = Literal["informative", "streaming", "final"]
Verdict = Literal["started", "shown", "hidden", "dropped", "final"]
Ending = Literal["completed", "late", "stopped", "replaced"]

# from the start to the final part: "strict time limit of two minutes"
STREAM_SECONDS = 120.0
# seconds. "The throttling limit is 1 request per second": a little less, as arrivals are measured, not departures
INTERVAL = 0.95
INFORMATIVE_CHARS = 1000
NOT_ALLOWED = "ContentStreamNotAllowed"
# ended streams remembered for the words of a refusal
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a stream, from a single activity. `sequence` is None on the final part, `stream_id` on the first."""

    kind: StreamKind
    stream_id: str | None
    sequence: int | None
    text: str


def not_allowed(message: str, rule: str | None = None) -> Refused:
    """A refusal with status 403 and code ContentStreamNotAllowed."""
    return Refused(403, NOT_ALLOWED, message, rule=rule)


def _bad(message: str, rule: str | None = None) -> Refused:
    return Refused(400, "BadRequest", message, rule=rule)


def is_streamed(activity: dict[str, Any]) -> bool:
    """Whether the activity, already accepted by `rules.check_form`, has a `streaminfo` entity."""
    return any(_is_info(entity) for entity in rules.entities(activity))


def _is_info(entity: dict[str, Any]) -> bool:
    return str(entity.get("type")).lower() == "streaminfo"


def part_of(activity: dict[str, Any]) -> Part:
    """Read the part from an activity with a `streaminfo` entity. Raises: Refused."""
    infos = [entity for entity in rules.entities(activity) if _is_info(entity)]
    if len(infos) > 1:
        raise _bad("Only one streaminfo entity is allowed.")
    kind = _kind(activity["type"], infos[0].get("streamType"))
    stream_id, sequence = infos[0].get("streamId"), infos[0].get("streamSequence")
    if stream_id is not None and not (isinstance(stream_id, str) and stream_id):
        raise _bad("The streamId is no string.")
    _check_sequence(kind, stream_id, sequence)
    text = activity.get("text") or ""
    if not text:  # "required" on the final part too, even with attachments
        start = "Start streaming" if stream_id is None else "Streaming"
        raise _bad(f"{start} activities should include text", "Each part of a stream needs a text.")
    _check_extras(activity, kind)
    return Part(kind, stream_id, sequence, text)


def _kind(activity_type: str, stream_type: object) -> StreamKind:
    match activity_type, stream_type:
        case "message", "final":
            return "final"
        case "typing", None | "streaming":
            return "streaming"
        case "typing", "informative":
            return "informative"
        case _:
            words = "The streamType must be informative or streaming for typing activities, final for messages."
            raise _bad(words)


def _check_sequence(kind: StreamKind, stream_id: str | None, sequence: object) -> None:
    if kind == "final":
        if sequence is not None:
            raise _bad("streamSequence must not be set for the final message.")
        if stream_id is None:
            raise _bad("A final message needs the streamId of its stream.")
    elif not isinstance(sequence, int) or isinstance(sequence, bool) or sequence < 1:
        raise _bad("streamSequence must be a number of 1 or more.")
    elif stream_id is None and sequence != 1:
        raise _bad("streamSequence must start with 1.", "A stream starts with number 1 and without a streamId.")


def _check_extras(activity: dict[str, Any], kind: StreamKind) -> None:
    """Refuse a part too large, or with labels and attachments before the final part. Raises: Refused."""
    if kind != "final":
        data = activity.get("channelData") or {}
        labels = (root.get("additionalType") or root.get("usageInfo") for root in rules.roots(activity))
        if rules.attachments(activity) or any(labels) or data.get("feedbackLoop") or data.get("feedbackLoopEnabled"):
            words = "Attachments, AI label, sensitivity label and feedback buttons are for the final message only."
            raise _bad(words)
    rules.check_content(activity)
    if rules.size(activity) > rules.MESSAGE_BYTES:
        raise not_allowed("Message size too large", rules.SIZE_RULE)
    if kind == "informative" and len(activity["text"]) > INFORMATIVE_CHARS:
        raise not_allowed("Message size too large", f"An informative text has {INFORMATIVE_CHARS} characters at most.")


@dataclass(slots=True)
class _Open:
    """An open stream. `started` and `last` (latest accepted request) in seconds; `content` is the streamed text."""

    id: str
    started: float
    last: float
    sequence: int
    content: str


def _judge_later_part(part: Part, stream: _Open) -> Verdict:
    """The verdict on a later part of an open stream; a part that contradicts the streamed text is refused.

    Raises: Refused.
    """
    if part.sequence is not None and part.sequence <= stream.sequence:
        return "dropped"
    if part.kind == "informative":
        return "hidden" if stream.content else "shown"
    if not part.text.startswith(stream.content):
        words = "Content stream should contain the previously streamed content"
        raise not_allowed(words, "Each part must begin with all that was streamed before it.")
    return "final" if part.kind == "final" else "shown"


class Streams:
    """The streams of all chats, with a single open stream per chat at most. `limited=False`: requests at any pace.

    A part is judged first and taken afterwards, as the connector's budgets may refuse the part in between.
    """

    def __init__(self, *, seconds: float = STREAM_SECONDS, limited: bool = True) -> None:
        self._seconds = seconds
        self._limited = limited
        self._open: dict[str, _Open] = {}
        self._ended: OrderedDict[str, Ending] = OrderedDict()

    def open_in(self, chat: str) -> str | None:
        """The id of the chat's open stream, None without."""
        found = self._open.get(chat)
        return found.id if found else None

    def judge(self, chat: str, part: Part, now: float) -> Verdict:
        """The verdict on the part at `now` (seconds). Ends a stream whose time is over. Raises: Refused."""
        stream = self._open.get(chat)
        if stream is not None and now - stream.started > self._seconds:
            self.end(chat, "late")
            stream = None
        if part.stream_id is None:
            if stream is not None:
                raise not_allowed("Content stream is not allowed", "A chat has one open stream at most.")
            return "started"
        if stream is None or stream.id != part.stream_id:
            raise self.refusal(part.stream_id)
        wait = stream.last + INTERVAL - now
        if self._limited and wait > 0:
            words = "API calls quota exceeded!"
            raise Refused(429, "Throttled", words, retry_after(wait), rule="A stream takes one request a second.")
        return _judge_later_part(part, stream)

    def start(self, chat: str, new_id: str, part: Part, now: float) -> None:
        """Open the stream `new_id` with a first part judged as `started`."""
        self._open[chat] = _Open(new_id, now, now, 1, part.text if part.kind == "streaming" else "")

    def take(self, chat: str, part: Part, verdict: Verdict, now: float) -> None:
        """Add a later part to the open stream, with the verdict of `judge`."""
        stream = self._open[chat]
        stream.last = now
        if verdict == "dropped":
            return
        stream.sequence = part.sequence or stream.sequence
        if verdict == "final":
            self.end(chat, "completed")
        elif part.kind == "streaming":
            stream.content = part.text

    def end(self, chat: str, how: Ending) -> None:
        """End the chat's open stream, if present."""
        stream = self._open.pop(chat, None)
        if stream is not None:
            self._ended[stream.id] = how
            while len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)

    def was_stopped(self, stream_id: str) -> bool:
        """Whether a person stopped the stream."""
        return self._ended.get(stream_id) == "stopped"

    def refusal(self, stream_id: str) -> Refused:
        """The refusal of a part for a stream that is not open."""
        match self._ended.get(stream_id):
            case "completed" | "replaced":
                return not_allowed(
                    "Content stream is not allowed on an already completed streamed message",
                    "After the final message nothing more can be streamed.",
                )
            case "late":
                return not_allowed(
                    "Content stream finished due to exceeded streaming time.",
                    "A stream must be finished two minutes after its start.",
                )
            case "stopped":
                return not_allowed("Content stream was canceled by user.", "A person pressed Stop.")
            case None:
                return not_allowed("Content stream is not allowed", "There is no such stream in this chat.")
