"""Records the traffic: each request of the bot and each activity to the bot, with the verdict and its rule."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bridge.simulator.teams import rules
from bridge.simulator.teams.events import Announcer
from bridge.simulator.teams.message_parts import FILE_DOWNLOAD
from bridge.simulator.teams.world import iso_now

KEPT = 500  # entries
_FIRST_WORDS = 80  # characters
_LONGEST = 300  # characters


@dataclass(frozen=True, slots=True)
class Entry:
    """A request with the answer. `to` is the receiver; `what` a summary; `verdict` the outcome in a sentence.

    `status` is None without a connection to the bot, 0 without an answer in time.
    """

    n: int
    at: str
    to: Literal["teams", "bot"]
    method: str
    path: str
    status: int | None
    code: str | None
    what: str
    verdict: str
    chat: str | None


class Traffic:
    """The latest 500 entries; each new entry is announced to the open pages."""

    def __init__(self, news: Announcer) -> None:
        self._news = news
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._count = 0

    def entries(self) -> list[dict[str, Any]]:
        """The entries, oldest first, as JSON objects."""
        return [asdict(entry) for entry in self._entries]

    def add(
        self,
        to: Literal["teams", "bot"],
        request: tuple[str, str],
        answer: tuple[int | None, str | None],
        *,
        what: str,
        verdict: str,
        chat: str | None,
    ) -> None:
        """Record an exchange: `request` is method and path, `answer` status and error code."""
        self._count += 1
        method, path = request
        entry = Entry(
            self._count, iso_now(), to, method, _printable(path), *answer, _printable(what), _printable(verdict), chat
        )
        self._entries.append(entry)
        self._news.announce({"type": "traffic", "entry": asdict(entry)})


def _printable(text: str) -> str:
    """Text fit for JSON: at most 300 characters, without the surrogates that stand for undecodable bytes of a URL."""
    return text[:_LONGEST].encode(errors="replace").decode()


def first_words(text: object) -> str:
    """The text on a single line, cut after 80 characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= _FIRST_WORDS else line[:_FIRST_WORDS] + "…"


def bot_request_summary(method: str, path: str, body: dict[str, Any] | None) -> str:
    """A summary of a bot's request."""
    if "/reactions/" in path:
        verb = "puts a reaction on" if method == "PUT" else "takes a reaction off"
        return f"{verb}: {path.rpartition('/')[2]}"
    if "/attachments/" in path:
        return "fetches a picture"
    if body is None or not isinstance(body.get("type"), str):
        return {"GET": "asks for members", "DELETE": "deletes a message"}.get(method, "creates a conversation")
    content = _content(body)
    if any(str(entity.get("type")).lower() == "streaminfo" for entity in _objects(body.get("entities"))):
        info = next(e for e in _objects(body["entities"]) if str(e.get("type")).lower() == "streaminfo")
        number = info.get("streamSequence")
        count = f" {number}" if isinstance(number, int) else ""
        return f"stream{count}, {info.get('streamType', 'streaming')}: {content}"
    return f"{'edit' if method == 'PUT' else body['type']}: {content}" if content else str(body["type"])


def activity_summary(activity: dict[str, Any]) -> str:
    """A summary of an activity sent to the bot."""
    who = activity["from"]["name"]
    match activity["type"]:
        case "message":
            return f"message of {who}: {_content(activity)}"
        case "messageUpdate":
            return f"{activity['channelData'].get('eventType')} of {who}: {_content(activity)}"
        case "messageReaction":
            added, removed = activity.get("reactionsAdded"), activity.get("reactionsRemoved")
            kinds = ", ".join(str(reaction["type"]) for reaction in added or removed or ())
            return f"messageReaction of {who}: {'+' if added else '-'}{kinds}"
        case "invoke":
            return f"invoke of {who}: {activity.get('name')}"
        case "installationUpdate":
            return f"installationUpdate of {who}: {activity.get('action')}"
        case kind:
            return f"{kind} of {who}"


def _objects(listed: object) -> list[dict[str, Any]]:
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _content(activity: dict[str, Any]) -> str:
    """The first words, then the kinds of the attachments."""
    kinds = [str(part.get("contentType")) for part in _objects(activity.get("attachments"))]
    names = [_PARTS.get(kind, kind) for kind in kinds if kind != "text/html"]
    return " + ".join(part for part in (first_words(activity.get("text") or ""), *names) if part)


_PARTS = {
    rules.ADAPTIVE_CARD: "card",
    rules.FILE_CONSENT: "file consent card",
    rules.FILE_INFO: "file card",
    FILE_DOWNLOAD: "file",
    "image/*": "picture",
}
