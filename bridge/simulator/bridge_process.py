"""The bridge as a process of the demo: started, watched, killed for real and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from bridge.simulator.teams.chat_api import BridgeState

# long enough to see on the page that it is down, short enough to keep watching
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
        """What the page shows."""
        return self._state

    def subscribe(self, listener: Callable[[BridgeState], None]) -> None:
        """Tell `listener` of every new state."""
        self._listeners.append(listener)

    @property
    def pid(self) -> int | None:
        """The process id, while there is one."""
        return self._process.pid if self._process else None

    async def kill(self) -> None:
        """End the process at once (SIGKILL); the watch starts it again."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def watch(self, first: asyncio.Future[int] | None = None) -> None:
        """Start the bridge, and start it again whenever it ends. `first` hears of the first start: 0, or the
        exit code of a bridge that ended before it was ready."""
        restarts = 0
        while True:
            await self._start(restarts)
            ready = asyncio.ensure_future(self._until_ready())
            ended = asyncio.ensure_future(self._wait())
            try:
                await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
                if ready.done() and not ended.done():
                    self._announce("running", restarts)
                if first is not None and not first.done():
                    first.set_result(ended.result() if ended.done() else 0)
                await ended
            finally:
                ready.cancel()
                ended.cancel()
            restarts += 1
            self._announce("down", restarts)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def stop(self) -> None:
        """Ask the process to end, and see that it does."""
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
                # a Ctrl-C in the terminal is for the demo, which then stops the bridge in order
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
