"""One socket to the gateway for the whole process, over which everybody's `agent` events come (docs/reference/goclaw.md, "Agent events").

Only a token with admin rights is sent them. They are for show: late, lost and foreign events are normal, nothing is
replayed, and no answer depends on them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
import structlog

from bridge.core.errors import GatewayDown, GatewayTokenRejected
from bridge.core.files.answer_links import AgentFile
from bridge.core.ports.agent import END_WITHIN, AgentEvent, RunEnded
from bridge.gateway.rpc import ADMINS, RpcError, connected
from bridge.gateway.run_events import Ending, HeardRun, RunEvent, run_event

_log = structlog.get_logger()

_HEARTBEAT = 30.0  # seconds between our pings; the gateway's own come as often (docs/reference/goclaw.md, "WebSocket")


class Listening:
    """One run that is listened to."""

    def __init__(self, heard: Callable[[AgentEvent], None]) -> None:
        self._heard: Callable[[AgentEvent], None] | None = heard
        self._run = HeardRun()
        self._changed = asyncio.Event()
        self._hung_up = False

    def hang_up(self) -> bool:
        """Tell only the run's end from now on; whether that is still to come."""
        self._hung_up = True
        return self._run.under_way

    def known_as(self, beginning: str) -> None:
        """The run's id begins so."""
        self._run.known_as(beginning)

    async def ending(self, within: float) -> Ending | None:
        """How the run ended; None if that is not known after so many seconds."""
        try:
            async with asyncio.timeout(within):
                while self._run.ending is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self._run.ending

    async def files(self, within: float) -> tuple[AgentFile, ...]:
        """What the run handed over, as its last event says; that is waited for only where a tool may have done so."""
        if self._run.used_tools:
            await self.ending(within)
        return self._run.files

    def takes(self, event: RunEvent) -> bool:
        """Whether the event was of this run."""
        if not self._run.owns(event):
            return False
        for told in self._run.told(event):
            if not self._hung_up or isinstance(told, RunEnded):
                self._tell(told)
        self._changed.set()
        return True

    def _tell(self, event: AgentEvent) -> None:
        if self._heard is None:
            return
        try:
            self._heard(event)
        except Exception as error:  # noqa: BLE001  everybody else's events come over the same socket
            _log.error("listener_failed", error=type(error).__name__)
            self._heard = None


class GatewayObserver:
    """Holds the socket, and hands each run's events to whoever listens for it.

    `admits`: nothing is opened while it says no (guarantee 7). Pauses in seconds: `first` to `longest` after a
    connection was lost, growing; `refused` where the token has no right to see events. `step`: limit of each step.
    """

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        base_url: str,
        token: str,
        admits: Callable[[], bool],
        first: float = 0.5,
        longest: float = 30.0,
        refused: float = 600.0,
        step: float = 5.0,
    ) -> None:
        self._http = http
        self._base_url = base_url
        self._token = token
        self._admits = admits
        self._first, self._longest, self._refused = first, longest, refused
        self._step = step
        self._listening: dict[tuple[str, str], list[Listening]] = {}
        self._state = "no: not connected yet"
        self.connection = 0
        """Counts connections: behind another one there may be another gateway."""

    @property
    def live(self) -> bool:
        """Whether events come now."""
        return self._state == "yes"

    @property
    def state(self) -> str:
        """`yes`, or `no` and why; for operators."""
        return self._state

    @contextmanager
    def listening(self, agent: str, user: str, heard: Callable[[AgentEvent], None]) -> Iterator[Listening]:
        """Tell `heard` of the run that this user is about to start with this agent, until the end of the context.

        Cancellation closes the request; then the run's end is still told, if it comes within some seconds.
        """
        listening, ends_later = Listening(heard), False
        key = (agent, user)
        self._listening.setdefault(key, []).append(listening)
        try:
            yield listening
        except asyncio.CancelledError:
            ends_later = listening.hang_up()
            raise
        finally:
            if ends_later:
                asyncio.get_running_loop().call_later(END_WITHIN, self._forget, key, listening)
            else:
                self._forget(key, listening)

    def _forget(self, key: tuple[str, str], listening: Listening) -> None:
        self._listening[key].remove(listening)
        if not self._listening[key]:
            del self._listening[key]

    async def run(self) -> None:
        """Observe until cancelled; a lost socket is opened again, for ever."""
        pause = self._first
        while True:
            began = time.monotonic()
            seconds = self._refused if await self._observe() else pause
            # a gateway that takes connections only to drop them is not well again
            lived = time.monotonic() - began > self._longest
            pause = self._first if lived else min(2 * pause, self._longest)
            # spread out, so that replicas that lost the gateway together do not come back together
            await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311

    async def _observe(self) -> bool:
        """One connection, to its end. True where trying again soon is of no use."""
        while not self._admits():
            self._now("no: nothing may be asked of the gateway yet")
            await asyncio.sleep(self._first)
        try:
            # as no user in particular: that is who is told of everybody (docs/reference/goclaw.md, "Agent events")
            async with connected(
                self._http, self._base_url, token=self._token, user="", within=self._step, heartbeat=_HEARTBEAT
            ) as rpc:
                if rpc.role not in ADMINS:
                    self._now(f"no: the token's role is {_known(rpc.role)}, and only an admin is sent events")
                    return True
                self.connection += 1
                self._now("yes")
                async for frame in rpc.frames():
                    if self._listening and (event := run_event(frame)) is not None:
                        self._hand_over(event)
            self._now("no: the connection was lost")
        except GatewayTokenRejected:
            self._now("no: the token is not accepted")
            return True
        except RpcError as error:
            self._now(f"no: WebSocket: {error.code}")
        except GatewayDown as error:
            self._now(f"no: {error.detail}")
        finally:
            if self.live:  # cancelled
                self._state = "no: stopped"
        return False

    def _hand_over(self, event: RunEvent) -> None:
        for listening in self._listening.get((event.agent, event.user), ()):
            if listening.takes(event):
                return

    def _now(self, state: str) -> None:
        if state != self._state:
            self._state = state
            _log.info("gateway_events", state=state)


def _known(role: str) -> str:
    return role if role in {"operator", "viewer"} else "another one"
