"""Reads the gateway's `agent` events of a run (docs/reference/goclaw.md, "Agent events").

Pure: frames in, values of core out.
"""

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
"""Characters; longer frames are ignored. A limit of the bridge's own, since the gateway states no size of the frames
that it sends (docs/reference/goclaw.md, "Not verified")."""

_ENDINGS: dict[str, Ending] = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
}

# Arguments of tools for people to read, by kind. Commands are left out, since a command may hold keys.
_WORDS = ("query", "q", "search_query", "pattern", "keywords", "question", "topic")
_FILES = ("path", "file_path", "filepath", "file", "filename", "file_name")
_ADDRESSES = ("url", "uri")

_MOST_FILES = 20
_LINE_LENGTH = 80  # characters
_MOST_READ = 4096  # characters of an argument, at the beginning or the end


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An `agent` event of a run asked over HTTP."""

    kind: str
    agent: str
    user: str
    run: str
    payload: dict[str, Any]


def run_event(frame: str) -> RunEvent | None:
    """The event in a frame; None for all frames without an event of an HTTP run, hostile frames included."""
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


class FollowedRun:
    """Follows a run by the run's events: id, progress, ending, delivered files.

    Of the user's runs, the run whose `run.started` comes first is followed; the id in a stream (`identify`) is surer.
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
        """Whether the run has begun and not ended, as far as events came."""
        return bool(self._run) and self.ending is None

    def identify(self, beginning: str) -> None:
        """Note the first characters of the run's id; forget a followed run with a different id."""
        self._id = beginning
        if not self._run.startswith(beginning):
            self._run, self.ending, self.files, self.used_tools = "", None, (), False

    def owns(self, event: RunEvent) -> bool:
        """Whether the event belongs to the followed run. The first matching event decides which run is followed."""
        if not self._run and (event.run.startswith(self._id) if self._id else event.kind == "run.started"):
            self._run = event.run
        return event.run == self._run

    def progress_in(self, event: RunEvent) -> list[AgentEvent]:
        """The progress reported by an event of the followed run."""
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
                    # text before a tool is no part of the answer, even if `block.reply` was lost
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
    """The files in `media` of `run.completed`, at most twenty. The HTTP reply does not name the files."""
    files = []
    for entry in media[:_MOST_FILES] if isinstance(media, list) else ():
        path = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(path, str) and len(path) < _MOST_READ and fetchable(path) is not None:
            files.append(AgentFile(path, name_of(path), one_line(entry.get("content_type"))))
    return tuple(files)


def hint(arguments: object) -> str:
    """The subject of a tool call for people: search words, a file's name or a host; else ""."""
    if not isinstance(arguments, dict):
        return ""
    for keys, shortened in ((_WORDS, str), (_FILES, _file_name), (_ADDRESSES, _host)):
        for key in keys:
            value = arguments.get(key)
            if isinstance(value, str) and (words := one_line(shortened(value))):
                return words
    return ""


def one_line(text: object) -> str:
    """Foreign text in a line of at most 80 characters, without characters that reorder or hide neighbours.

    "" if `text` is no string.
    """
    if not isinstance(text, str):
        return ""
    # Cc, Cf, Cs, Co, Cn: controls, marks of direction, halves of pairs, and unassigned characters
    visible = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text[:_MOST_READ])
    words = " ".join(visible.split())
    return words if len(words) <= _LINE_LENGTH else words[: _LINE_LENGTH - 1] + "…"


def _file_name(path: str) -> str:
    """The name without folders, which would show the layout of the gateway's disk."""
    return path[-_MOST_READ:].replace("\\", "/").rstrip("/").rpartition("/")[2]


def _host(url: str) -> str:
    """The host alone: paths and queries may hold keys."""
    try:
        return urlsplit(url[:_MOST_READ]).hostname or ""
    except ValueError:
        return ""
