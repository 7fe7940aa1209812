"""The process's socket to the gateway for the `agent` events of all users (docs/reference/goclaw.md, "Agent events").

Only a token with admin rights receives the events. Events are for progress only: late, lost and foreign events are
normal, the gateway replays none, and no answer depends on events.
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
from bridge.gateway.frames import RpcError
from bridge.gateway.rpc import ADMINS, connected
from bridge.gateway.run_events import Ending, FollowedRun, RunEvent, run_event

_log = structlog.get_logger()

_PING_SECONDS = 30.0  # between our pings; the gateway pings as often (docs/reference/goclaw.md, "WebSocket")


class Listening:
    """A run whose events are followed. `on_event` is called with each event, until a call raises an error."""

    def __init__(self, on_event: Callable[[AgentEvent], None]) -> None:
        self._on_event: Callable[[AgentEvent], None] | None = on_event
        self._run = FollowedRun()
        self._changed = asyncio.Event()
        self._only_end = False

    def only_end(self) -> bool:
        """From now on pass on the run's end only. True if the run has begun and not ended."""
        self._only_end = True
        return self._run.under_way

    def identify(self, beginning: str) -> None:
        """Note the first characters of the run's id."""
        self._run.identify(beginning)

    async def ending(self, within: float) -> Ending | None:
        """How the run ended; None if the run's last event did not come within `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while self._run.ending is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self._run.ending

    async def files(self, within: float) -> tuple[AgentFile, ...]:
        """The files that the run delivered, by its last event. Waits `within` seconds, if a tool was used."""
        if self._run.used_tools:
            await self.ending(within)
        return self._run.files

    def take(self, event: RunEvent) -> bool:
        """Pass the event on to the listener. False if the event belongs to another run."""
        if not self._run.owns(event):
            return False
        for progress in self._run.progress_in(event):
            if not self._only_end or isinstance(progress, RunEnded):
                self._pass_on(progress)
        self._changed.set()
        return True

    def _pass_on(self, event: AgentEvent) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001  a failing listener must not stop the events of all users
            _log.error("listener_failed", error=type(error).__name__)
            self._on_event = None


class GatewayObserver:
    """Keeps the socket open, and passes each run's events to the run's listener.

    No socket is opened while `admits` gives False (docs/architecture.md, "Guarantees"). Pauses in seconds: `first` to
    `longest` after a lost connection, growing; `refused` if the token may not see events. `step`: seconds for each
    step of connecting.
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
        """Number of the present connection: a new connection may lead to another gateway."""

    @property
    def live(self) -> bool:
        """Whether events are being received."""
        return self._state == "yes"

    @property
    def state(self) -> str:
        """`yes`, or `no` with the reason; for operators."""
        return self._state

    @contextmanager
    def listening(self, agent: str, user: str, on_event: Callable[[AgentEvent], None]) -> Iterator[Listening]:
        """Call `on_event` with the events of the user's next run with the agent, until the end of the context.

        Cancellation closes the request; the run's end is still passed on if the event comes within END_WITHIN seconds.
        """
        listening, ends_later = Listening(on_event), False
        key = (agent, user)
        self._listening.setdefault(key, []).append(listening)
        try:
            yield listening
        except asyncio.CancelledError:
            ends_later = listening.only_end()
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
        """Observe until cancelled; a lost socket is opened again each time."""
        pause = self._first
        while True:
            began = time.monotonic()
            seconds = self._refused if await self._observe() else pause
            # pauses start anew only after a lasting connection: a failing gateway may accept and drop at once
            lasting = time.monotonic() - began > self._longest
            pause = self._first if lasting else min(2 * pause, self._longest)
            # spread out, so that all replicas do not come back at the same time
            await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311  a pause, no secret

    async def _observe(self) -> bool:
        """Keep a connection until its end. True if trying again soon is useless."""
        while not self._admits():
            self._set_state("no: nothing may be asked of the gateway yet")
            await asyncio.sleep(self._first)
        try:
            # without a user id: such an admin receives the events of all users
            async with connected(
                self._http, self._base_url, token=self._token, user="", within=self._step, heartbeat=_PING_SECONDS
            ) as rpc:
                if rpc.role not in ADMINS:
                    self._set_state(f"no: the token's role is {_known(rpc.role)}, and only an admin is sent events")
                    return True
                self.connection += 1
                self._set_state("yes")
                async for frame in rpc.frames():
                    if self._listening and (event := run_event(frame)) is not None:
                        self._hand_over(event)
            self._set_state("no: the connection was lost")
        except GatewayTokenRejected:
            self._set_state("no: the token is not accepted")
            return True
        except RpcError as error:
            self._set_state(f"no: WebSocket: {error.code}")
        except GatewayDown as error:
            self._set_state(f"no: {error.detail}")
        finally:
            if self.live:  # cancelled
                self._state = "no: stopped"
        return False

    def _hand_over(self, event: RunEvent) -> None:
        for listening in self._listening.get((event.agent, event.user), ()):
            if listening.take(event):
                return

    def _set_state(self, state: str) -> None:
        if state != self._state:
            self._state = state
            _log.info("gateway_events", state=state)


def _known(role: str) -> str:
    return role if role in {"operator", "viewer"} else "another one"
