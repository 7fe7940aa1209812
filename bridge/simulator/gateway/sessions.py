"""Sessions in memory and on disk: owner, messages, and their return after a restart.

docs/reference/goclaw.md, "Sessions" and "WebSocket". Each session has a file with a JSON line for each completed turn,
appended by a single write of a few hundred bytes into the page cache; so the write runs on the event loop, and survives
``kill -9`` right after the reply (but no power cut, without fsync). A line cut by a crash is dropped at the next start:
the turn was never answered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from bridge.simulator.gateway.clock import rfc3339

Message = dict[str, Any]  # {"id","role","content","created_at","tool_calls"?,"tool_call_id"?} as in sessions.preview


@dataclass(slots=True)
class Session:
    """A session as the gateway keeps it; ``saved`` is False until the first turn has ended well."""

    key: str
    user: str
    agent: str
    channel: str
    created: str
    updated: str
    messages: list[Message] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
    saved: bool = False
    stale_rows: bool = False  # reset, but the old rows are on disk until the next turn replaces the file


def message(role: str, content: str, **more: Any) -> Message:
    """A message for the history, with a new id and the present time."""
    return {"id": str(uuid4()), "role": role, "content": content, "created_at": rfc3339(), **more}


@dataclass(slots=True)
class Sessions:
    """All sessions of a gateway. Reads are from memory; `load` reads the folder once."""

    folder: Path
    _sessions: dict[str, Session] = field(default_factory=dict)

    def load(self) -> None:
        """Read all sessions from disk. Blocking: to be called in a thread."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.jsonl"):
            for line in path.read_text("utf-8").splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    continue  # cut by a crash
                self._apply(row)

    def _apply(self, row: dict[str, Any]) -> None:
        session = self._sessions.get(row["key"])
        if session is None:
            session = self._new(row["key"], row["user"], row["agent"], row["channel"], row["at"])
        session.messages.extend(row["messages"])
        session.user, session.updated, session.saved = row["user"], row["at"], True
        session.input_tokens += row["tokens"][0]
        session.output_tokens += row["tokens"][1]

    def _new(self, key: str, user: str, agent: str, channel: str, at: str) -> Session:
        session = self._sessions[key] = Session(key, user, agent, channel, created=at, updated=at)
        return session

    def open(self, key: str, user: str, agent: str, channel: str) -> tuple[Message, ...]:
        """The history for a starting turn. Creates the session in memory and sets its owner."""
        session = self._sessions.get(key) or self._new(key, user, agent, channel, rfc3339())
        session.user = user or session.user
        return tuple(session.messages)

    def append(self, key: str, agent: str, channel: str, messages: Iterable[Message], tokens: tuple[int, int]) -> None:
        """Keep the messages of a turn together.

        A session deleted during the turn is made again, with this turn alone and without an owner
        (docs/reference/goclaw.md, "Sessions").
        """
        now = rfc3339()
        session = self._sessions.get(key) or self._new(key, "", agent, channel, now)
        fresh_file, session.stale_rows = session.stale_rows, False
        row: dict[str, Any] = {"key": key, "user": session.user, "agent": agent, "channel": channel, "at": now}
        row |= {"tokens": tokens, "messages": list(messages)}
        path = self._path(key)
        line = (json.dumps(row) + "\n").encode()
        if fresh_file:
            path.with_suffix(".new").write_bytes(line)
            path.with_suffix(".new").replace(path)
        else:
            with path.open("ab") as file:
                if file.tell() and not _ends_with_line(path):
                    line = b"\n" + line
                file.write(line)
        self._apply(row)

    def get(self, key: str) -> Session | None:
        return self._sessions.get(key)

    def delete(self, key: str) -> None:
        """Delete the session, in memory and on disk."""
        self._sessions.pop(key, None)
        self._path(key).unlink(missing_ok=True)

    def reset(self, key: str) -> None:
        """Empty the session at once; the rows stay on disk, and a restart before the next turn brings the rows back."""
        if session := self._sessions.get(key):
            session.messages.clear()
            session.stale_rows = True

    def listing(self, *, agent: str, channel: str, user: str | None, limit: int, offset: int) -> dict[str, Any]:
        """The payload of ``sessions.list``, newest first; "" means any, ``user`` None the sessions of all users."""
        found = [
            session
            for session in self._sessions.values()
            if session.saved
            and (not agent or session.key.startswith(f"agent:{agent}:"))
            and (not channel or session.channel == channel)
            and (user is None or (user and session.user == user))
        ]
        found.sort(key=lambda session: session.updated, reverse=True)
        rows = [_row(session) for session in found[offset : offset + limit]]
        return {"limit": limit, "offset": offset, "sessions": rows, "total": len(found)}

    def _path(self, key: str) -> Path:
        """The session's file; its name is a hash, valid on any file system, and the key stands inside the rows."""
        return self.folder / f"{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:40]}.jsonl"


def _ends_with_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _row(session: Session) -> dict[str, Any]:
    tokens = session.input_tokens + session.output_tokens
    return {
        "key": session.key,
        "messageCount": len(session.messages),
        "created": session.created,
        "updated": session.updated,
        "channel": session.channel,
        **({"userID": session.user} if session.user else {}),
        "model": "stand-in",
        "provider": "stand-in",
        "inputTokens": session.input_tokens,
        "outputTokens": session.output_tokens,
        "agentName": session.agent,
        "estimatedTokens": tokens,
        "contextWindow": 200_000,
    }
