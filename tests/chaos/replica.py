"""A replica in a storm: may start with patches, with a clock that jumps, a full log, or a cut way to the database."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import aiohttp
from support.postgres_proxy import PostgresProxy
from support.process_world import BridgeProcess

from chaos.jumping_clock import set_clock

Cut = Literal["silent", "refused"]
_HERE = Path(__file__).parent
# Each write fails with "no space left" (Linux).
_FULL = "/dev/full"


class Replica(BridgeProcess):
    """`teams-bridge run`, or the same command with `patches` of mutants.py.

    `proxy`: the way to the database; None: the store is a file.
    """

    def __init__(
        self, environment: dict[str, str], log: Path, patches: tuple[str, ...], proxy: PostgresProxy | None = None
    ) -> None:
        super().__init__(environment, log)
        self.proxy = proxy
        self._clock = log.with_suffix(".clock")
        self.set_clock(0.0)
        program = [str(_HERE / "mutants.py"), ",".join(patches), "run"] if patches else self._command
        self._command = [str(_HERE / "jumping_clock.py"), str(self._clock), *program]

    def set_clock(self, seconds: float) -> None:
        """Set the replica's wall clock to the true time plus `seconds`."""
        set_clock(self._clock, seconds)

    def processor_wait(self) -> float:
        """Seconds for which the process's main thread was ready to run and waited for a processor; Linux only."""
        try:
            # https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
            return int(Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        except OSError:
            return 0.0

    async def start(self, http: aiohttp.ClientSession, *, full_log: bool = False) -> None:
        """Start the replica and wait until it is ready. `full_log`: each line of the log fails to be written."""
        if full_log and sys.platform == "linux":
            self.output_to = os.open(_FULL, os.O_WRONLY)
        try:
            await super().start(http)
        finally:
            if self.output_to is not None:
                os.close(self.output_to)
                self.output_to = None

    @asynccontextmanager
    async def cut_off(self, how: Cut) -> AsyncIterator[None]:
        """Cut the replica off from its database for the time of the block.

        `silent`: nothing arrives, as behind a firewall that drops packets. `refused`: connections are closed at once.
        """
        assert self.proxy is not None
        if how == "silent":
            self.proxy.silent = True
        else:
            self.proxy.refusing = True
            self.proxy.cut()
        try:
            yield
        finally:
            self.proxy.silent = self.proxy.refusing = False
