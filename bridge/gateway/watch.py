"""Probes the gateway in the background, for `/readyz` and for the decision whether questions may be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bridge.core.errors import GatewayMergesUsers, TurnFailure
from bridge.gateway.probe import REACHABLE, USERS, Check, GatewayProbe

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WatchState:
    """The result of the last probing. `checked_at`: seconds since the epoch, None before the first probing."""

    checks: tuple[Check, ...] = ()
    checked_at: float | None = None

    @property
    def ok(self) -> bool:
        """Whether all checks were made and passed."""
        return bool(self.checks) and all(check.verdict == "ok" for check in self.checks)

    @property
    def failing(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(check.name for check in self.checks if check.verdict == "failed")


class GatewayWatch:
    """Probes the gateway at start, then every `when_failing` or `when_well` seconds."""

    def __init__(
        self,
        *,
        probe: GatewayProbe,
        when_failing: float = 15.0,
        when_well: float = 300.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._probe = probe
        self._when_failing = when_failing
        self._when_well = when_well
        self._now = now
        self._state = WatchState()
        self._merging = ""
        self._seen = False
        self._probing = asyncio.Lock()
        self._checked = asyncio.Event()

    @property
    def state(self) -> WatchState:
        """The result of the last probing."""
        return self._state

    def refusal(self) -> TurnFailure | None:
        """The reason why no question may be asked now: the gateway would answer all users in one session
        (docs/architecture.md, "Guarantees"). None if questions may be asked.

        The refusal stays until a probing shows separate users; an unreachable gateway shows neither.
        """
        return GatewayMergesUsers(self._merging) if self._merging else None

    def admits(self) -> bool:
        """Whether the gateway was reached by a probing and keeps users apart."""
        return self._seen and not self._merging

    async def ensure_probed(self) -> None:
        """Before the first question, probe a gateway that was not reached yet.

        Raises no error if the gateway is still unreachable: the question itself will fail.
        """
        if self._seen:
            return
        async with self._probing:
            if not self._seen:
                await self.check()

    async def checked(self) -> None:
        """Wait until the gateway was probed once, with whatever result."""
        await self._checked.wait()

    async def check(self) -> WatchState:
        """Probe the gateway with at most 5 requests, and update `state` and `refusal`."""
        checks = await self._probe.without_model_call()
        before, self._state = self._state, WatchState(checks, self._now())
        self._seen = self._seen or any(check.name == REACHABLE and check.verdict == "ok" for check in checks)
        for check in checks:
            if check.name == USERS and check.verdict != "not_checked":
                self._merging = check.detail if check.verdict == "failed" else ""
        if before.failing != self._state.failing or before.checked_at is None:
            unknown = [check.name for check in checks if check.verdict == "not_checked"]
            _log.info("gateway_checked", failing=self._state.failing, not_checked=unknown, ok=self._state.ok)
        self._checked.set()
        return self._state

    @property
    def pause(self) -> float:
        """Seconds to the next probing. Checks without a verdict are repeated slowly, as each costs a slot of the rate
        limit."""
        if self._state.failing:
            return self._when_failing
        return self._when_well if self._state.ok else min(self._when_well, 4 * self._when_failing)

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(self.pause)
