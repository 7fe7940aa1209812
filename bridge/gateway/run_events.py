"""What the gateway's `agent` events say of one run (docs/reference/goclaw.md, "Agent events"). Pure: frames in, values of core out."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from bridge.core.files.answer_links import AgentFile, fetchable, name_of
from bridge.core.ports.agent import AgentEvent, RunEnded, TextCame, TextWithdrawn, Thinking, ToolBegan, ToolEnded

Ending = Literal["completed", "failed", "cancelled"]

_MAX_FRAME = 512 * 1024
"""Larger ones are passed over; the gateway itself takes none above that (docs/reference/goclaw.md, "WebSocket")."""

_ENDINGS: dict[str, Ending] = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
}

# Arguments that people may read, by what they hold. Commands are not among them: they may hold keys.
_WORDS = ("query", "q", "search_query", "pattern", "keywords", "question", "topic")
_FILES = ("path", "file_path", "filepath", "file", "filename", "file_name")
_ADDRESSES = ("url", "uri")

_MOST_FILES = 20
_HINT = 80  # characters
_LOOKED_AT = 4096  # characters of an argument; a hint is found at its ends or not at all


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One `agent` event of a run that was asked over HTTP."""

    kind: str
    agent: str
    user: str
    run: str
    payload: dict[str, Any]


def run_event(frame: str) -> RunEvent | None:
    """The event in a frame; None for everything else that comes over the socket, hostile bytes included."""
    if len(frame) > _MAX_FRAME:
        return None
    try:
        outer = orjson.loads(frame)
        if outer["type"] != "event" or outer["event"] != "agent":
            return None
        event = outer["payload"]
        if event["channel"] != "http":
            return None
        kind, agent, user, run = (event[name] for name in ("type", "agentId", "userId", "runId"))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not all(isinstance(text, str) and text for text in (kind, agent, user, run)):
        return None
    payload = event.get("payload")
    return RunEvent(kind, agent, user, run, payload if isinstance(payload, dict) else {})


class HeardRun:
    """Follows one run: which it is, what its events tell, and how it ended.

    It is the one whose `run.started` comes first; a stream's own id (`known_as`) says it more surely.
    """

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.files: tuple[AgentFile, ...] = ()
        self.used_tools = False
        self._run = ""
        self._id = ""
        self._said = False

    @property
    def under_way(self) -> bool:
        """Whether it is known to have begun, and not to have ended."""
        return bool(self._run) and self.ending is None

    def known_as(self, beginning: str) -> None:
        """The run's id begins so."""
        self._id = beginning
        if not self._run.startswith(beginning):
            self._run, self.ending, self.files, self.used_tools = "", None, (), False  # it was another one

    def owns(self, event: RunEvent) -> bool:
        """Whether the event is of this run; decides it for good, if it was not known yet."""
        if not self._run and (event.run.startswith(self._id) if self._id else event.kind == "run.started"):
            self._run = event.run
        return event.run == self._run

    def told(self, event: RunEvent) -> list[AgentEvent]:
        """What this event of the run tells those who look on."""
        payload, news = event.payload, list[AgentEvent]()
        match event.kind:
            case "thinking":
                news = [Thinking()]
            case "chunk":
                text = payload.get("content")
                if isinstance(text, str) and text:
                    self._said = True
                    news = [TextCame(text)]
            case "block.reply":
                news = self._withdrawn()
            case "tool.call":
                self.used_tools = True
                if name := one_line(payload.get("name")):
                    # what was said before a tool is no part of the answer, even if that event was lost
                    news = [*self._withdrawn(), ToolBegan(name, hint(payload.get("arguments")))]
            case "tool.result":
                if name := one_line(payload.get("name")):
                    news = [ToolEnded(name, payload.get("is_error") is True)]
            case kind if kind in _ENDINGS:
                self.ending = _ENDINGS[kind]
                self.files = delivered(payload.get("media"))
                news = [RunEnded()]
        return news

    def _withdrawn(self) -> list[AgentEvent]:
        said, self._said = self._said, False
        return [TextWithdrawn()] if said else []


def delivered(media: object) -> tuple[AgentFile, ...]:
    """The files that the agent hands over, at most twenty; the reply itself does not name them (docs/reference/goclaw.md, "Agent events")."""
    files = []
    for entry in media[:_MOST_FILES] if isinstance(media, list) else ():
        path = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(path, str) and len(path) < _LOOKED_AT and fetchable(path) is not None:
            files.append(AgentFile(path, name_of(path), one_line(entry.get("content_type"))))
    return tuple(files)


def hint(arguments: object) -> str:
    """What a tool works on, for people: search words, the name of a file, or a host; else nothing."""
    if not isinstance(arguments, dict):
        return ""
    for keys, shown in ((_WORDS, str), (_FILES, _file_name), (_ADDRESSES, _host)):
        for key in keys:
            value = arguments.get(key)
            if isinstance(value, str) and (words := one_line(shown(value))):
                return words
    return ""


def one_line(text: object) -> str:
    """Foreign words in one line of at most 80 characters, without anything that could reorder or hide its neighbours.

    "" for what is no text.
    """
    if not isinstance(text, str):
        return ""
    # Cc, Cf, Cs, Co, Cn: controls, marks of direction, halves of pairs, and what no font has
    visible = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text[:_LOOKED_AT])
    words = " ".join(visible.split())
    return words if len(words) <= _HINT else words[: _HINT - 1] + "…"


def _file_name(path: str) -> str:
    """Folders tell where things lie on the gateway's disk, and that is nobody's business."""
    return path[-_LOOKED_AT:].replace("\\", "/").rstrip("/").rpartition("/")[2]


def _host(url: str) -> str:
    """Paths and queries may hold keys."""
    try:
        return urlsplit(url[:_LOOKED_AT]).hostname or ""
    except ValueError:
        return ""
