"""Users at random, replicas that die at random, and the questions put to the checker afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import aiohttp
from support.postgres_server import Database
from support.process_world import BridgeProcess, bridge_environment, free_port

from bridge.core.lease import CERTAIN_SECONDS
from bridge.core.texts import ENGLISH
from chaos.checker import Verdict, check
from chaos.outside_world import Field, standing_field
from chaos.people import People
from chaos.records import History, Trouble
from chaos.turn_table_log import rows, told_by

# How the notes begin that end a question; the others (waiting, nothing to stop) say something on the way.
OUTCOMES = tuple(
    ENGLISH[key].partition("{")[0]
    for key in (
        *("interrupted", "stopped", "stopped_early", "new_done", "session_not_deleted", "overloaded"),
        *("gateway_down", "gateway_busy", "provider_failed", "run_lost", "gateway_unavailable", "internal_error"),
    )
)
# from the clock of the turn table to ours
EPOCH = time.monotonic() - time.time()
# see mutants.hasty
_HASTY = 3.0
# When all is done, something that nobody should send may still come; and progress of what was taken back ends later,
# since two requests of a stream are a second apart.
LATE, PROGRESS_ENDS = 1.0, 2.5


class Replica(BridgeProcess):
    """`teams-bridge run`, by way of a patched engine where a test wants one."""

    def __init__(self, environment: dict[str, str], log: Path, patches: tuple[str, ...]) -> None:
        super().__init__(environment, log)
        if patches:
            mutants = Path(__file__).parent / "mutants.py"
            self._command = [str(mutants), ",".join(patches), "run"]


@dataclass
class Storm:
    """The replicas, and what is done to them and through them."""

    field: Field
    replicas: list[Replica]
    store: str
    schema: str
    lanes: int
    server: Database | None = None
    patches: tuple[str, ...] = ()
    kills: int = 0
    _away: list[Replica] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.people = People(self.field, list(self.replicas))

    @property
    def dice(self) -> random.Random:
        return self.field.dice

    async def start(self) -> None:
        await asyncio.gather(*(replica.start(self.field.http) for replica in self.replicas))

    # trouble

    async def trouble(self, every: float, *, longest_freeze: float) -> None:
        """Kill, end and freeze replicas until cancelled."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * every)
            replica = self.dice.choice(self.replicas)
            if replica in self._away:
                continue
            self._away.append(replica)
            what = self.dice.choices(["kill", "term", "freeze"], [6, 2, 2 if longest_freeze else 0])[0]
            if what == "freeze":
                async with self.frozen(replica):
                    await asyncio.sleep(self.dice.uniform(0.3, longest_freeze))
            else:
                await self.end(replica, what, self.dice.uniform(0.0, 2.0))
            self._away.remove(replica)

    async def end(self, replica: Replica, what: str, away: float) -> None:
        """Kill or end a replica and start it again."""
        self.kills += what == "kill"
        at = time.monotonic()
        try:
            if what == "term":
                replica.ask_to_end()
                with contextlib.suppress(AssertionError):
                    await replica.ended(15)
        finally:
            ended = time.monotonic()
            replica.kill()
            self.field.troubles.append(Trouble(what, at, ended + away, ended))
        await asyncio.sleep(away)
        await asyncio.shield(replica.start(self.field.http))

    @asynccontextmanager
    async def frozen(self, replica: Replica) -> AsyncIterator[None]:
        """Stop the process where it stands, and let it go on."""
        at = time.monotonic()
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(replica.pid, signal.SIGCONT)
            self.field.troubles.append(Trouble("freeze", at, time.monotonic()))

    async def blow(self, *, messages: int, seconds: float, every: float, longest_freeze: float) -> None:
        """The whole weather: each lane's user writes so many messages in about so many seconds, amid faults."""
        faults = self.field.faults
        faults.connector, faults.gateway, faults.files, faults.slowest_run = 0.10, 0.05, 0.2, 0.6
        faults.identity = 0.3
        pause = seconds / messages
        troubles = [asyncio.ensure_future(self.trouble(every, longest_freeze=longest_freeze)) for _ in self.replicas]
        troubles.append(asyncio.ensure_future(self.outages(seconds)))
        troubles.append(asyncio.ensure_future(self.people.press(0.8 * every / self.lanes**0.5)))
        await asyncio.gather(*(self.people.live(f"lane-{n}", messages, pause) for n in range(self.lanes)))
        for trouble in troubles:
            trouble.cancel()
        await asyncio.gather(*troubles, return_exceptions=True)

    async def outages(self, seconds: float) -> None:
        """Now and then nobody reaches the gateway for a moment, Entra ID is down, or the database restarts."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.1, 0.4) * min(seconds, 40.0))
            what = self.dice.choice(["identity", "gateway", *(["database"] if self.server else [])])
            self.field.told[f"{what} away"] += 1
            if what == "database" and self.server is not None:
                async with self.outage(self.server):
                    await asyncio.sleep(self.dice.uniform(0.5, 3.0))
            elif what == "gateway" and self.field.door is not None:
                async with self.field.door.shut():
                    await asyncio.sleep(self.dice.uniform(0.5, 2.0))
            else:
                self.field.faults.identity_down = True
                await asyncio.sleep(self.dice.uniform(0.5, 2.0))
                self.field.faults.identity_down = False

    @asynccontextmanager
    async def outage(self, server: Database) -> AsyncIterator[None]:
        """The database is away."""
        at = time.monotonic()
        await asyncio.to_thread(server.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(server.start)
            self.field.troubles.append(Trouble("outage", at, time.monotonic()))

    # the end

    async def settle(self, seconds: float) -> None:
        """Faults end, all replicas are up, and everything that was acknowledged comes to its end."""
        faults = self.field.faults
        faults.connector = faults.gateway = faults.files = faults.identity = 0.0
        faults.identity_down = False
        deadline = time.monotonic() + seconds
        quiet_since = time.monotonic()
        while time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            for replica in self.replicas:
                if not replica.alive:  # it was ending when the trouble ended
                    await replica.start(self.field.http)
            left = any(one.ended is None for one in self.field.screen.progress.values())
            if await self._open():
                quiet_since = time.monotonic()
            elif time.monotonic() - max(quiet_since, self.field.heard) > (PROGRESS_ENDS if left else LATE):
                return

    async def close(self) -> None:
        """End all replicas in good order; the store may be read afterwards."""
        for replica in self.replicas:
            if replica.alive:
                replica.ask_to_end()
        for replica in self.replicas:
            await replica.ended(20)

    async def _open(self) -> bool:
        """Whether anything is still to be done: the store tells, which also knows what the dead have left."""
        if self.field.running.total():
            return True
        for replica in self.replicas:
            for state in ("queued", "running", "answered"):
                try:
                    async with self.field.http.get(f"{replica.admin}/api/turns?state={state}&limit=1") as response:
                        if response.status != 200 or (await response.json())["turns"]:
                            return True
                except (aiohttp.ClientError, TimeoutError):
                    return True
        return False

    def verdict(self) -> Verdict:
        """What the checker says; the replicas must have ended."""
        return check(self.history())

    def history(self) -> History:
        """What was recorded, and what only the turn table knows."""
        known = told_by(rows(self.store, self.schema))
        return replace(
            self.field.history(),
            merged=known.merged,
            withdrawn={id_: at + EPOCH for id_, at in known.withdrawn.items()},
            claims={id_: [at + EPOCH for at in claims] for id_, claims in known.claims.items()},
            certain=_HASTY if "hasty" in self.patches else CERTAIN_SECONDS,
            notes=OUTCOMES,
        )

    def report(self, verdict: Verdict, seed: int) -> str:
        """For people: what was done, and the whole story of each lane in which something is wrong."""
        history = self.history()
        lines = [f"seed {seed}: {self.summary(verdict)}"]
        for violation in verdict.violations[:5]:
            lines.append(f"--- {violation.kind} in {violation.lane}: {violation.about}")
            lines += _around(history.timeline(violation.lane).splitlines(), set(violation.about.split()))
        return "\n".join(lines)

    def summary(self, verdict: Verdict) -> str:
        deeds = Counter(deed.what for deed in self.field.deeds)
        done = f"{deeds['edit']} edits, {deeds['delete']} deletions, {deeds['click']} clicks, "
        done += f"{len(self.field.screen.progress)} shows of progress, {self.field.screen.stopped} stopped"
        frozen = sum(trouble.what == "freeze" for trouble in self.field.troubles)
        return (
            f"{len(self.field.sent)} turns, {self.kills} kills, {frozen} freezes, {len(self.field.troubles)} troubles, "
            f"{sum(self.field.told.values())} faults, {done}, exceptions by window {verdict.windows}, "
            f"{len(verdict.violations)} violations"
        )


def _around(timeline: list[str], words: set[str]) -> list[str]:
    """What happened from shortly before these ids were first heard of to shortly after they were last."""
    about = [at for at, line in enumerate(timeline) if words & set(re.findall(r"\w+", line))]
    return timeline[max(0, about[0] - 5) : about[-1] + 15][:150] if about else timeline[-100:]


@asynccontextmanager
async def storm(
    data: Path,
    seed: int,
    *,
    replicas: int = 1,
    database: tuple[str, str] | None = None,
    server: Database | None = None,
    lanes: int = 8,
    patches: tuple[str, ...] = (),
    settings: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Storm]:
    """A field with replicas that are not started yet. `database`: dsn and schema, else a file; `server` may restart.

    Ends everything.
    """
    async with standing_field(data, random.Random(seed)) as it:
        store, schema = database or (str(data / "bridge.db"), "")
        own = {"BRIDGE_STORE": store, "BRIDGE_MERGE": "true", "GOCLAW_RATE_LIMIT": "6000", "GOCLAW_RATE_BURST": "100"}
        if schema:
            own["BRIDGE_STORE_SCHEMA"] = schema
        processes = []
        for number in range(replicas):
            environment = bridge_environment(data, it.page, it.gateway, free_port(), **{**own, **settings})
            processes.append(Replica(environment, data / f"bridge-{number}.log", patches))
        try:
            yield Storm(it, processes, store, schema, lanes, server, patches)
        finally:
            for process in processes:
                if process.alive:
                    os.kill(process.pid, signal.SIGCONT)
                process.kill()
