"""The long form of the chaos suite: `make chaos`. Exit code 1 if a guarantee was broken.

Runs storms ("legs") in turn until enough turns and kills were seen: a single process on a SQLite file, then two and
three replicas on a restarting PostgreSQL, with freezes longer than the lease.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from support.postgres_server import database

from chaos.checker import Verdict
from chaos.storm import Storm, storm

LEGS = ((1, 0.0), (2, 26.0), (3, 26.0))
"""For each leg: replicas, and the longest freeze in seconds; 0: a file has one owner and no lease, 2 s are enough."""


async def leg(seed: int, replicas: int, freeze: float, minutes: float) -> tuple[Storm, Verdict]:
    """Run a storm of `minutes` minutes and print the report; give the storm and its verdict."""
    lanes, messages = 60, int(minutes * 60)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, database() as server:
        where = (server.dsn, "teams_bridge") if replicas > 1 else None
        own = server if replicas > 1 else None
        async with storm(Path(folder) / "w", seed, replicas=replicas, lanes=lanes, database=where, server=own) as here:
            await here.start()
            await here.play(messages=messages, seconds=minutes * 60, every=1.2, longest_freeze=freeze or 2.0)
            await here.wait_until_idle(420)
            await here.close()
            verdict = here.verdict()
            print(f"{replicas} x {'PostgreSQL' if where else 'SQLite'}: {here.report(verdict, seed)}", flush=True)
            return here, verdict


async def outage(seed: int, seconds: float = 30.0) -> Verdict:
    """Judge two replicas under load, whose database is away for longer than an owner may go without a heartbeat."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, database() as server:
        where = (server.dsn, "teams_bridge")
        async with storm(Path(folder) / "w", seed, replicas=2, lanes=30, database=where) as here:
            await here.start()
            here.outside.faults.slowest_run = 2.0
            users = asyncio.gather(*(here.people.write_at_random(f"lane-{n}", 12, 5.0) for n in range(here.lanes)))
            await asyncio.sleep(15)
            async with here.outage(server):
                await asyncio.sleep(seconds)
            await users
            await here.wait_until_idle(120)
            await here.close()
            verdict = here.verdict()
            print(f"database away for {seconds:.0f} s: {here.report(verdict, seed)}", flush=True)
            return verdict


async def run(seed: int, turns: int, kills: int, minutes: float) -> int:
    """Run legs until `turns` turns and `kills` kills were reached; give the exit code."""
    began, done, windows = time.monotonic(), Counter[str](), Counter[str]()
    away = await outage(seed)
    done["violations"] += len(away.violations)
    windows.update(away.windows)
    number = 0
    while number < len(LEGS) or done["turns"] < turns or done["kills"] < kills:
        replicas, freeze = LEGS[number % len(LEGS)]
        here, verdict = await leg(seed + number, replicas, freeze, minutes)
        done["turns"] += len(here.outside.person_messages)
        done["kills"] += here.kills
        done["freezes"] += sum(trouble.kind == "freeze" for trouble in here.outside.troubles)
        done["faults"] += sum(here.outside.fault_counts.values())
        done["violations"] += len(verdict.violations)
        windows.update(verdict.windows)
        number += 1
    print(f"\n{number} legs, {(time.monotonic() - began) / 60:.0f} minutes, first seed {seed}")
    for name in ("turns", "kills", "freezes", "faults", "violations"):
        print(f"{name:12}{done[name]:8}")
    for window, times in sorted(windows.items()):
        print(f"  window {window}: {times}")
    return 1 if done["violations"] else 0


def main(arguments: Sequence[str]) -> int:
    """Read the command line and run; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=1.5, help="of one leg's storm")
    given = parser.parse_args(arguments)
    return asyncio.run(run(given.seed, given.turns, given.kills, given.minutes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
