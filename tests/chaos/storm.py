"""A storm: random users, replicas killed at random, injected faults; at the end the checker judges the records."""

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
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import aiohttp
from support.postgres_proxy import PostgresProxy
from support.postgres_server import Database, socket_of
from support.process_world import bridge_environment, eventually, free_port

from bridge.core.lease import CERTAIN_SECONDS
from bridge.core.texts import ENGLISH
from chaos.checker import Verdict, check
from chaos.outside_world import OutsideWorld, open_outside_world
from chaos.people import People
from chaos.records import History, ProcessorWait, Trouble
from chaos.replica import Replica
from chaos.turn_table_log import facts_of, rows

# First words of notes that end a question; waiting notes and "nothing to stop" end none.
OUTCOMES = tuple(
    ENGLISH[key].partition("{")[0]
    for key in (
        *("interrupted", "stopped", "stopped_by", "stopped_early", "new_done", "session_not_deleted", "overloaded"),
        *(
            "membership_unknown",
            "gateway_down",
            "gateway_busy",
            "provider_failed",
            "run_lost",
            "gateway_unavailable",
            "internal_error",
        ),
    )
)
# Seconds to add to an epoch time of the turn table for this process's monotonic time.
EPOCH = time.monotonic() - time.time()
# Seconds; clocks are wrong by multiples, so that the turn table's times can be put right afterwards. A clock that is
# half an hour fast still finds Teams' tokens valid, which hold for an hour.
_JUMP = 1800.0
# Seconds without a heartbeat under mutants.short_lease.
_SHORT_LEASE_CERTAIN = 3.0
# Seconds between two measurements of the replicas' waits for a processor.
_MEASURE_SECONDS = 0.2
# Seconds between two measurements of this process's own lag.
_LAG_SECONDS = 0.05
# Seconds of silence after all work, so that a forbidden late message is still recorded; and while a live message is
# open, which ends later, since two requests of a stream are a second apart.
LATE, PROGRESS_ENDS = 1.0, 2.5


@dataclass
class Storm:
    """Replicas under random load and trouble. `store`: path or dsn; `schema`: "" for a file; `server` may restart."""

    outside: OutsideWorld
    replicas: list[Replica]
    store: str
    schema: str
    lanes: int
    server: Database | None = None
    patches: tuple[str, ...] = ()
    kills: int = 0
    latest_seconds: float = 120.0
    _away: list[Replica] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.people = People(self.outside, list(self.replicas))

    @property
    def fault_counts(self) -> Counter[str]:
        return self.outside.fault_counts

    @property
    def dice(self) -> random.Random:
        return self.outside.dice

    async def start(self) -> None:
        await asyncio.gather(*(replica.start(self.outside.http) for replica in self.replicas))

    # trouble

    async def trouble(self, every: float, *, longest_freeze: float) -> None:
        """Trouble a random replica about every `every` seconds, until cancelled.

        The replica is killed, ended, frozen or cut off from its database, and sometimes its clock is set.
        """
        while True:
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * every)
            replica = self.dice.choice(self.replicas)
            if replica in self._away:
                continue
            self._away.append(replica)
            if self.dice.random() < 0.3:
                self.fault_counts["clock set"] += 1
                replica.set_clock(self.dice.randint(-2, 1) * _JUMP)
            weights = [6, 2, 2 if longest_freeze else 0, 2 if longest_freeze and replica.proxy else 0]
            kind = self.dice.choices(["kill", "term", "freeze", "cut"], weights)[0]
            if kind == "freeze":
                async with self.frozen(replica):
                    await asyncio.sleep(self.dice.uniform(0.3, longest_freeze))
            elif kind == "cut":
                async with self.cut_off(replica):
                    await asyncio.sleep(self.dice.uniform(0.3, longest_freeze))
            else:
                await self.end(replica, kind, self.dice.uniform(0.0, 2.0))
            self._away.remove(replica)

    async def end(self, replica: Replica, kind: str, away: float) -> None:
        """End a replica by "kill" (SIGKILL) or "term" (SIGTERM), and start the replica again after `away` seconds."""
        self.kills += kind == "kill"
        at = time.monotonic()
        try:
            if kind == "term":
                replica.ask_to_end()
                with contextlib.suppress(AssertionError):
                    await replica.ended(15)
        finally:
            ended = time.monotonic()
            replica.kill()
            self.outside.troubles.append(Trouble(kind, at, ended + away, ended))
        await asyncio.sleep(away)
        full_log = self.dice.random() < 0.2
        self.fault_counts["full log"] += full_log
        await asyncio.shield(replica.start(self.outside.http, full_log=full_log))

    async def measure_waits(self) -> None:
        """Record how long each replica waits for a processor, until cancelled."""
        before = dict[int, float]()
        while True:
            await asyncio.sleep(_MEASURE_SECONDS)
            for replica in self.replicas:
                if replica.alive:
                    waited = replica.processor_wait()
                    lost = waited - before.get(replica.pid, waited)
                    before[replica.pid] = waited
                    if lost > _MEASURE_SECONDS / 10:
                        self.outside.processor_waits.append(ProcessorWait(time.monotonic(), lost))

    async def measure_lag(self) -> None:
        """Record how far this process is behind with its work, until cancelled."""
        while True:
            at = time.monotonic()
            await asyncio.sleep(_LAG_SECONDS)
            now = time.monotonic()
            if now - at > 1.4 * _LAG_SECONDS:
                self.outside.observer_lags.append(ProcessorWait(now, now - at - _LAG_SECONDS))

    @asynccontextmanager
    async def frozen(self, replica: Replica) -> AsyncIterator[None]:
        """Freeze the replica's process (SIGSTOP) for the time of the block."""
        at = time.monotonic()
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(replica.pid, signal.SIGCONT)
            self.outside.troubles.append(Trouble("freeze", at, time.monotonic()))

    @asynccontextmanager
    async def cut_off(self, replica: Replica) -> AsyncIterator[None]:
        """Cut the replica off from its database for the time of the block."""
        at = time.monotonic()
        async with replica.cut_off(self.dice.choice(("silent", "refused"))):
            yield
        self.outside.troubles.append(Trouble("cut", at, time.monotonic()))

    async def play(self, *, messages: int, seconds: float, every: float, longest_freeze: float) -> None:
        """Let each lane's user write `messages` messages in about `seconds` seconds, amid faults and troubles."""
        faults = self.outside.faults
        faults.connector, faults.gateway, faults.files, faults.slowest_run = 0.10, 0.05, 0.2, 0.6
        faults.identity = 0.3
        pause = seconds / messages
        troubles = [asyncio.ensure_future(self.trouble(every, longest_freeze=longest_freeze)) for _ in self.replicas]
        troubles.append(asyncio.ensure_future(self.outages(seconds)))
        troubles += [asyncio.ensure_future(self.measure_waits()), asyncio.ensure_future(self.measure_lag())]
        troubles.append(asyncio.ensure_future(self.people.press_buttons(0.8 * every / self.lanes**0.5)))
        await asyncio.gather(*(self.people.write_at_random(_place(n), messages, pause) for n in range(self.lanes)))
        for trouble in troubles:
            trouble.cancel()
        await asyncio.gather(*troubles, return_exceptions=True)

    async def outages(self, seconds: float) -> None:
        """Take down the gateway, Entra ID or the database for a moment, again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.1, 0.4) * min(seconds, 40.0))
            service = self.dice.choice(["identity", "gateway", *(["database"] if self.server else [])])
            self.fault_counts[f"{service} away"] += 1
            if service == "database" and self.server is not None:
                async with self.outage(self.server):
                    await asyncio.sleep(self.dice.uniform(0.5, 3.0))
            elif service == "gateway" and self.outside.gateway_port is not None:
                async with self.outside.gateway_port.shut():
                    await asyncio.sleep(self.dice.uniform(0.5, 2.0))
            else:
                self.outside.faults.identity_down = True
                await asyncio.sleep(self.dice.uniform(0.5, 2.0))
                self.outside.faults.identity_down = False

    @asynccontextmanager
    async def outage(self, server: Database) -> AsyncIterator[None]:
        """Stop the database for the time of the block."""
        at = time.monotonic()
        await asyncio.to_thread(server.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(server.start)
            self.outside.troubles.append(Trouble("outage", at, time.monotonic()))

    # the end

    async def wait_until_idle(self, seconds: float) -> None:
        """End all faults, start all replicas, and wait until all turns are closed; at most `seconds` seconds."""
        faults = self.outside.faults
        faults.connector = faults.gateway = faults.files = faults.identity = 0.0
        faults.identity_down = False
        deadline = time.monotonic() + seconds
        quiet_since = time.monotonic()
        while time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            for replica in self.replicas:
                if not replica.alive:  # was ending when the trouble was cancelled
                    await replica.start(self.outside.http)
            progress_open = any(live.ended is None for live in self.outside.screen.live_messages.values())
            silence = PROGRESS_ENDS if progress_open else LATE
            if await self._open():
                quiet_since = time.monotonic()
            elif time.monotonic() - max(quiet_since, self.outside.last_request_at) > silence:
                return

    async def answered(self, lane: str) -> None:
        """Wait until Teams shows as many messages of the bridge in the lane as people wrote there."""

        def shown() -> bool:
            asked = sum(message.lane == lane for message in self.outside.person_messages.values())
            return sum(message.lane == lane for message in self.outside.bot_messages) >= asked

        await eventually(shown, f"answers in {lane}")

    async def close(self) -> None:
        """End all replicas by SIGTERM; the store may be read afterwards."""
        for replica in self.replicas:
            if replica.alive:
                replica.ask_to_end()
        for replica in self.replicas:
            await replica.ended(20)

    async def _open(self) -> bool:
        """Whether a run or an open turn is left; the store also knows the turns of killed replicas."""
        if self.outside.running.total():
            return True
        for replica in self.replicas:
            for state in ("queued", "running", "answered"):
                try:
                    async with self.outside.http.get(f"{replica.admin}/api/turns?state={state}&limit=1") as response:
                        if response.status != 200 or (await response.json())["turns"]:
                            return True
                except (aiohttp.ClientError, TimeoutError):
                    return True
        return False

    def verdict(self) -> Verdict:
        """Judge the storm; call after `close`."""
        return check(self.history())

    def history(self) -> History:
        """All records, with the facts of the turn table in monotonic time."""
        facts = facts_of(rows(self.store, self.schema))
        return replace(
            self.outside.history(),
            merged=facts.merged,
            stopped_early={id_: _true_time(at) for id_, at in facts.stopped_early.items()},
            stopped_runs=frozenset(facts.stopped_runs),
            claims={id_: [_true_time(at) for at in claims] for id_, claims in facts.claims.items()},
            certain_seconds=_SHORT_LEASE_CERTAIN if "short_lease" in self.patches else CERTAIN_SECONDS,
            latest_seconds=self.latest_seconds,
            outcome_notes=OUTCOMES,
            outcome_phrases=(ENGLISH["stopped_for"].partition("{owner}")[2],),
        )

    def report(self, verdict: Verdict, seed: int) -> str:
        """A text for people: a summary, and for the first five violations the records around their messages."""
        history = self.history()
        lines = [f"seed {seed}: {self.summary(verdict)}"]
        for violation in verdict.violations[:5]:
            lines.append(f"--- {violation.kind} in {violation.lane}: {violation.about}")
            lines += _around(history.timeline(violation.lane).splitlines(), set(violation.about.split()))
        return "\n".join(lines)

    def summary(self, verdict: Verdict) -> str:
        actions = Counter(action.kind for action in self.outside.actions)
        done = f"{actions['edit']} edits, {actions['delete']} deletions, {actions['click']} clicks, "
        done += f"{len(self.outside.screen.live_messages)} live messages, {self.outside.screen.stopped} stopped"
        frozen = sum(trouble.kind == "freeze" for trouble in self.outside.troubles)
        return (
            f"{len(self.outside.person_messages)} turns, {self.kills} kills, {frozen} freezes, "
            f"{len(self.outside.troubles)} troubles, "
            f"{sum(self.outside.fault_counts.values())} faults, {done}, exceptions by window {verdict.windows}, "
            f"{len(verdict.violations)} violations"
        )


def _place(number: int) -> str:
    """Where the user with this number writes: one in eight in a group, one in eight in a channel."""
    return f"{ {6: 'group', 7: 'channel'}.get(number % 8, 'lane') }-{number}"


def _true_time(at: float) -> float:
    """A time of the turn table in monotonic time; clocks are wrong by multiples of `_JUMP`, a storm is shorter."""
    wrong_by = round((at - time.time()) / _JUMP) * _JUMP
    return at - wrong_by + EPOCH


def _around(timeline: list[str], words: set[str]) -> list[str]:
    """The lines of a timeline with one of the words, 5 lines before the first to 15 after the last; 150 at most."""
    about = [number for number, line in enumerate(timeline) if words & set(re.findall(r"\w+", line))]
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
    """Open the outside world with replicas not started yet; leaving the block ends all processes.

    `database`: dsn and schema, else a SQLite file in `data`. `server`: the database server, if the storm may restart
    the server. `settings`: environment variables of the replicas.
    """
    async with open_outside_world(data, random.Random(seed)) as outside:
        store, schema = database or (str(data / "bridge.db"), "")
        own = {"BRIDGE_STORE": store, "BRIDGE_MERGE": "true", "GOCLAW_RATE_LIMIT": "6000", "GOCLAW_RATE_BURST": "100"}
        if schema:
            own["BRIDGE_STORE_SCHEMA"] = schema
        processes = []
        async with AsyncExitStack() as proxies:
            for number in range(replicas):
                way = dict(own)
                proxy = PostgresProxy(socket_of(store)) if schema else None
                if proxy is not None:
                    way["BRIDGE_STORE"] = await proxies.enter_async_context(proxy.listening())
                environment = bridge_environment(
                    data, outside.page, outside.gateway, free_port(), **{**way, **settings}
                )
                processes.append(Replica(environment, data / f"bridge-{number}.log", patches, proxy))
            try:
                yield Storm(outside, processes, store, schema, lanes, server, patches)
            finally:
                for process in processes:
                    if process.alive:
                        os.kill(process.pid, signal.SIGCONT)
                    process.kill()
