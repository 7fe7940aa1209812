"""Faults on order: the next requests of an operation are refused, delayed or cut off, as Teams now and then does.

Faults are ordered inside the process (`app[FAULTS]`); no HTTP request can order a fault.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from bridge.simulator.teams.json_http import error_answer

Operation = Literal["message", "typing", "stream", "edit", "delete", "reaction", "members", "create", "token"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of a single request.

    With a `status` the request is refused with the status after `delay` seconds and changes no state. Without a
    status the request is carried out; the answer waits `delay` seconds or, with `cut`, the connection ends without
    an answer. `body` replaces the usual JSON, to imitate a proxy's HTML or an empty answer.
    """

    status: int | None = None
    code: str = "ServiceError"
    message: str = "A fault on order."
    retry_after: str | None = None
    body: str | None = None
    delay: float = 0.0
    cut: bool = False

    def answer(self) -> web.Response:
        """The refusal as an HTTP answer."""
        headers = {"Retry-After": self.retry_after} if self.retry_after else None
        status = self.status or 200
        if self.body is not None:
            return web.Response(text=self.body, status=status, content_type="text/html", headers=headers)
        return error_answer(status, self.code, self.message, headers)


class Faults:
    """The ordered faults, oldest order first, by operation."""

    def __init__(self) -> None:
        self._coming: dict[Operation, deque[Fault]] = {}

    def order(self, operation: Operation, fault: Fault, *, times: int = 1) -> None:
        """Let the next `times` requests of `operation` meet `fault`."""
        self._coming.setdefault(operation, deque()).extend([fault] * times)

    async def apply(
        self, operation: Operation, request: web.Request, work: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        """Carry out `work` under the operation's next fault, if a fault is ordered."""
        coming = self._coming.get(operation)
        if not coming:
            return await work()
        fault = coming.popleft()
        if fault.status is not None:
            await asyncio.sleep(fault.delay)
            return fault.answer()
        answer = await work()
        await asyncio.sleep(fault.delay)
        if fault.cut and request.transport is not None:
            request.transport.abort()
        return answer
