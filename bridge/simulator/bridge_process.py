"""Runs the bridge as a process of the demo: starts, watches, kills and restarts the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from bridge.simulator.teams.chat_api import BridgeState

# seconds until the restart: long enough to see the state `down` on the page, short enough to keep watching
_PAUSE_SECONDS = 2.0
_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0


class BridgeProcess:
    """Runs `python -m bridge run` with `environment`; implements the chat page's BridgeControl."""

    def __init__(self, environment: dict[str, str], health_url: str, log: Path) -> None:
        self._environment = environment
        self._health_url = health_url
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._state = BridgeState(state="down", restarts=0, controllable=True)
        self._listeners: list[Callable[[BridgeState], None]] = []

    def state(self) -> BridgeState:
        """The process's state for the chat page."""
        return self._state

    def subscribe(self, listener: Callable[[BridgeState], None]) -> None:
        """Call `listener` with every new state."""
        self._listeners.append(listener)

    @property
    def pid(self) -> int | None:
        """The process id, None before the first start."""
        return self._process.pid if self._process else None

    async def kill(self) -> None:
        """End the process at once (SIGKILL); `watch` restarts the bridge."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def watch(self, first_start: asyncio.Future[int] | None = None) -> None:
        """Start the bridge, and restart the bridge whenever the process ends; runs until cancelled.

        `first_start` gets 0 once the bridge is ready, or the exit code of a bridge that ended before.
        """
        restarts = 0
        while True:
            await self._start(restarts)
            ready = asyncio.ensure_future(self._until_ready())
            ended = asyncio.ensure_future(self._wait())
            try:
                await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
                if ready.done() and not ended.done():
                    self._announce("running", restarts)
                if first_start is not None and not first_start.done():
                    first_start.set_result(ended.result() if ended.done() else 0)
                await ended
            finally:
                ready.cancel()
                ended.cancel()
            restarts += 1
            self._announce("down", restarts)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def stop(self) -> None:
        """End the process: SIGTERM, and SIGKILL after 10 s."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            await self.kill()

    async def _start(self, restarts: int) -> None:
        self._announce("starting", restarts)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bridge", "run", env=self._environment, stdout=log, stderr=log,
                # a Ctrl-C in the terminal goes to the demo alone; the demo then calls `stop`
                start_new_session=os.name == "posix",
            )  # fmt: skip

    async def _wait(self) -> int:
        return await self._process.wait() if self._process else 1

    async def _until_ready(self) -> None:
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as http:
            deadline = asyncio.get_running_loop().time() + _READY_SECONDS
            while asyncio.get_running_loop().time() < deadline:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(self._health_url)).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    def _announce(self, state: str, restarts: int) -> None:
        match state:
            case "running":
                self._state = BridgeState(state="running", restarts=restarts, controllable=True)
            case "starting":
                self._state = BridgeState(state="starting", restarts=restarts, controllable=True)
            case _:
                self._state = BridgeState(state="down", restarts=restarts, controllable=True)
        for listener in self._listeners:
            listener(self._state)
