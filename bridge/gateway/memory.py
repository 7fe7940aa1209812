"""Checks, after the first answered question, whether the gateway kept the session: no extra model call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bridge.core.errors import TurnFailure
from bridge.core.ports.agent import Agent, AgentEvent, Answer, Question
from bridge.gateway.frames import RpcError
from bridge.gateway.probe import PERSISTS, Check, not_checked, persistence_by
from bridge.gateway.sessions import GatewaySessions
from bridge.tasks import Tasks

_log = structlog.get_logger()


class MemoryCheckingAgent:
    """Implements `core.ports.agent.Agent` around the given agent, and checks the gateway's memory after answers.

    The check is repeated after `pause` seconds until its result is known. `memory` is the result."""

    def __init__(self, agent: Agent, *, sessions: GatewaySessions, tasks: Tasks, pause: float = 300.0) -> None:
        self._agent = agent
        self._sessions = sessions
        self._tasks = tasks
        self._pause = pause
        self._next_check = 0.0
        self.memory = not_checked(PERSISTS, "no question was answered yet")

    async def ask(self, question: Question, on_event: Callable[[AgentEvent], None] | None = None) -> Answer:
        """Run the agent once. Raises: TurnFailure."""
        answer = await self._agent.ask(question, on_event)
        now = asyncio.get_running_loop().time()
        if self.memory.verdict == "not_checked" and now >= self._next_check:
            self._next_check = now + self._pause
            self._tasks.start(self._learn(question), "memory")
        return answer

    async def delete_session(self, agent: str, user: str) -> None:
        """Delete the session as the given agent does. Raises: TurnFailure."""
        await self._agent.delete_session(agent, user)

    async def _learn(self, question: Question) -> None:
        self.memory = await self._check(question)
        if self.memory.verdict == "failed":
            _log.error("gateway_forgets", detail=self.memory.detail, fix=self.memory.fix)

    async def _check(self, question: Question) -> Check:
        try:
            keys = await self._sessions.keys(question.agent, question.user)
        except TurnFailure as failure:
            return not_checked(PERSISTS, f"{failure.label}: {failure.detail}")
        except RpcError as error:
            return not_checked(PERSISTS, f"WebSocket: {error.code}")
        except TimeoutError:
            return not_checked(PERSISTS, "WebSocket: too slow")
        return persistence_by(keys, question.agent, question.user)
