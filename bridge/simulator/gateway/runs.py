"""Runs: the agent's work on a message, the run's events, and the messages kept in the session.

docs/reference/goclaw.md, "Sessions" and "Agent events".
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bridge.simulator.gateway.agent import reply
from bridge.simulator.gateway.clock import rfc3339
from bridge.simulator.gateway.events import Events
from bridge.simulator.gateway.files import Files
from bridge.simulator.gateway.model import TRIES, Model, ProviderFailure, is_retried, retry_delay
from bridge.simulator.gateway.sanitise import NOTHING, cut_for_model, sanitise, visible
from bridge.simulator.gateway.script import Deliver, Fail, Say, Script, Think, UseTool, Wait
from bridge.simulator.gateway.sessions import Message, Sessions, message

_MOST_PIECES = 60  # of a scripted text that is streamed; must fit into a subscriber's buffer


@dataclass(frozen=True, slots=True)
class Turn:
    """A question: the text of ``user`` in the session ``key``; with ``stream`` the text comes in pieces, as events."""

    agent: str
    user: str
    key: str
    text: str
    channel: str = "http"
    stream: bool = False
    run_id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a completed run: the client's answer (links unsigned) and the tokens of all model calls."""

    content: str
    prompt_tokens: int
    completion_tokens: int

    def usage(self) -> dict[str, int]:
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


class RunFailed(Exception):
    """The model did not answer. The text is the gateway's error, with the provider's raw words."""


@dataclass(slots=True)
class _Progress:
    """A run's progress so far; makes the run's events and its messages for the history."""

    turn: Turn
    events: Events
    kept: list[Message]
    said: str = ""
    thought: str = ""
    calls: int = 0
    tool: UseTool | None = None
    media: list[dict[str, Any]] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def emit(self, kind: str, payload: dict[str, Any] | None = None) -> None:
        turn = self.turn
        event: dict[str, Any] = {"type": kind, "agentId": turn.agent, "runId": turn.run_id}
        if payload is not None:
            event["payload"] = payload
        event |= {"userId": turn.user, "channel": turn.channel, "chatId": "api", "sessionKey": turn.key}
        self.events.agent(turn.user, event)

    def say(self, piece: str) -> None:
        self.said += piece
        if self.turn.stream and piece:
            self.emit("chunk", {"content": piece})

    def think(self, text: str) -> None:
        self.thought += text
        self.emit("thinking", {"content": text})

    def end_call(self, prompt_tokens: int, completion_tokens: int) -> str:
        """End a model call and return the call's text."""
        said, self.said = self.said, ""
        if not self.turn.stream and said:
            self.emit("chunk", {"content": said})
        self.calls += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        return said

    def completed(self, content: str) -> None:
        usage = {
            "cache_creation_tokens": 0,
            "cache_read_tokens": 0,
            "completion_tokens": self.completion_tokens,
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }
        media = {"media": self.media} if self.media else {}
        thinking = {"thinking": self.thought} if self.thought else {}
        self.emit("run.completed", {"content": content, **media, **thinking, "usage": usage})


@dataclass(slots=True)
class Runs:
    """Runs turns, any number at once, since the gateway has no queue. Without a model, ``answer`` writes the script."""

    sessions: Sessions
    events: Events
    files: Files
    model: Model | None = None
    answer: Callable[[str, Iterable[Message], datetime], Script] = reply

    async def run(self, turn: Turn) -> Outcome:
        """Run the agent and keep the turn's messages in the session.

        A cancelled run (closed request) keeps no message, unless a tool was running (docs/reference/goclaw.md,
        "Sessions"). Raises: RunFailed (the provider failed; the session keeps no message).
        """
        text = cut_for_model(turn.text)
        history = self.sessions.open(turn.key, turn.user, turn.agent, turn.channel)
        progress = _Progress(turn, self.events, [message("user", text)])
        progress.emit("run.started", {"message": turn.text})
        try:
            final = await self._work(progress, text, history)
        except ProviderFailure as failure:
            error = f"iter {progress.calls} think: llm call: {failure}"
            progress.emit("run.failed", {"error": error})
            raise RunFailed(error) from failure
        except asyncio.CancelledError:
            self._cut(progress)
            raise
        finally:
            ended = {"traceId": turn.run_id, "status": "ended", "endedAt": rfc3339()}
            self.events.broadcast("trace.status", ended)
        cleaned = sanitise(final)
        self._keep(progress, cleaned)
        progress.completed(self.files.sign(visible(cleaned)))
        return Outcome(visible(cleaned), progress.prompt_tokens, progress.completion_tokens)

    def _cut(self, progress: _Progress) -> None:
        if progress.tool is None:
            progress.emit("run.cancelled")
            return
        progress.kept.append(message("tool", "command aborted", tool_call_id=_open_call(progress.kept)))
        self._keep(progress, NOTHING)
        progress.completed(NOTHING)

    def _keep(self, progress: _Progress, answer: str) -> None:
        turn = progress.turn
        messages = [*progress.kept, message("assistant", answer)]
        tokens = (progress.prompt_tokens, progress.completion_tokens)
        self.sessions.append(turn.key, turn.agent, turn.channel, messages, tokens)

    async def _work(self, progress: _Progress, text: str, history: tuple[Message, ...]) -> str:
        """The agent's final text, raw."""
        if self.model is None:
            return await self._play(progress, self.answer(text, history, datetime.now(UTC)), _size(text, history))
        on_piece = progress.say if progress.turn.stream else None
        answer = await self.model.complete(history, text, on_piece=on_piece)
        if on_piece is None:
            progress.say(answer.text)
        prompt = answer.prompt_tokens or _size(text, history)
        return progress.end_call(prompt, answer.completion_tokens or _tokens(answer.text))

    async def _play(self, progress: _Progress, script: Script, prompt_tokens: int) -> str:
        for step in script:
            match step:
                case Say(text):
                    for piece in _pieces(text) if progress.turn.stream else [text]:
                        progress.say(piece)
                case Think(text):
                    progress.think(text)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case UseTool():
                    await _use(progress, step, prompt_tokens)
                case Deliver(name, text):
                    link = self.files.sign(await self.files.write(name, text))
                    size = len(text.encode("utf-8", "replace"))
                    progress.media.append({"path": link, "content_type": "text/plain", "size": size})
                case Fail(status, words):
                    await _fail(status, words)
        return progress.end_call(prompt_tokens, _tokens(progress.said))


async def _use(progress: _Progress, tool: UseTool, prompt_tokens: int) -> None:
    """Play a tool call: the text before the call becomes an announcement, no part of the answer."""
    said = progress.end_call(prompt_tokens, _tokens(progress.said))
    if said:
        progress.emit("block.reply", {"content": said, "source": "tool_announcement"})
    call_id = f"call_{uuid4().hex[:24]}"
    call = {"id": call_id, "name": tool.name, "arguments": tool.arguments}
    progress.kept.append(message("assistant", said or "working", tool_calls=[call]))
    progress.emit("tool.call", {"arguments": tool.arguments, "id": call_id, "name": tool.name})
    progress.tool = tool
    await asyncio.sleep(tool.seconds)
    progress.tool = None
    progress.kept.append(message("tool", tool.result, tool_call_id=call_id))
    done = {"arguments": tool.arguments, "id": call_id, "is_error": tool.failed, "name": tool.name}
    # keys sorted, as Go writes maps
    result = {"content": tool.result, "result": tool.result} if tool.failed else {"result": tool.result}
    progress.emit("tool.result", dict(sorted((done | result).items())))


async def _fail(status: int, words: str) -> None:
    """Fail after the gateway's pauses of all tries (docs/reference/goclaw.md, "Errors"). Raises: ProviderFailure."""
    for failed in range(1, TRIES if is_retried(status) else 1):
        await asyncio.sleep(retry_delay(failed))
    raise ProviderFailure(f"HTTP {status}: openai: {words}", retried=False)


def _open_call(kept: list[Message]) -> str:
    return str(kept[-1]["tool_calls"][0]["id"])


def _pieces(text: str) -> list[str]:
    """The text cut between words into at most 60 pieces."""
    words = re.findall(r"\s*\S+\s*", text) or [text]
    step = math.ceil(len(words) / _MOST_PIECES)
    return ["".join(words[at : at + step]) for at in range(0, len(words), step)]


def _tokens(text: str) -> int:
    """A rough count of tokens, four characters to a token."""
    return math.ceil(len(text) / 4)


def _size(text: str, history: tuple[Message, ...]) -> int:
    return _tokens(text) + sum(_tokens(str(entry["content"])) for entry in history)
