"""Measures the throughput of two replicas on PostgreSQL against a single replica. Never in CI.

Run as root: `python tests/bench/replicas.py [rounds]`. A cgroup's quota gives each replica the same small share of the
machine, so that the database and the simulated world have room. Rounds alternate; the result is the median ratio.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from chaos.storm import Storm, storm
from support.postgres_server import dsn, fresh_schema

SHARE = 0.3
"""The share of a core for each replica."""
OUTSTANDING = 48
"""Turns under way for each replica."""
WARM_UP, SECONDS = 3.0, 10.0
_CPU = Path("/sys/fs/cgroup/cpu")
_LANES = 2000


@contextlib.contextmanager
def share(pids: list[int]) -> Iterator[None]:
    """Limit each process to its share of a core for the time of the block."""
    groups = []
    for pid in pids:
        group = _CPU / f"bridge-bench-{pid}"
        group.mkdir()
        groups.append(group)
        (group / "cpu.cfs_period_us").write_text("20000")
        (group / "cpu.cfs_quota_us").write_text(str(int(20_000 * SHARE)))
        (group / "cgroup.procs").write_text(str(pid))
    try:
        yield
    finally:
        for group, pid in zip(groups, pids, strict=True):
            with contextlib.suppress(OSError):
                (_CPU / "cgroup.procs").write_text(str(pid))
                group.rmdir()


async def pump(here: Storm) -> None:
    """Keep `OUTSTANDING` turns under way for each replica, spread over many lanes, until cancelled."""
    asked = 0
    async with asyncio.TaskGroup() as under_way:
        while True:
            if asked - len(here.outside.bot_messages) < OUTSTANDING * len(here.replicas):
                asked += 1
                replica = here.replicas[asked % len(here.replicas)]
                under_way.create_task(here.people.say(f"lane-{asked % _LANES}", to=replica))
            else:
                await asyncio.sleep(0.002)


async def turns_a_second(replicas: int) -> float:
    """Turns answered per second by `replicas` replicas, after a warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"GOCLAW_RATE_LIMIT": "0", "GOCLAW_LIVE_TEXT": "false"}
        database = (dsn(), fresh_schema())
        async with storm(Path(folder) / "w", random.randrange(9999), replicas=replicas, database=database,
                         settings=settings) as here:  # fmt: skip
            await here.start()
            with share([replica.pid for replica in here.replicas]):
                pumping = asyncio.ensure_future(pump(here))
                await asyncio.sleep(WARM_UP)
                before, began = len(here.outside.bot_messages), time.monotonic()
                await asyncio.sleep(SECONDS)
                done = (len(here.outside.bot_messages) - before) / (time.monotonic() - began)
                pumping.cancel()
                await asyncio.wait({pumping})
    return done


async def main(rounds: int) -> None:
    """Measure `rounds` rounds, each with a single replica and then two; print each ratio and the median."""
    ratios = []
    for number in range(rounds):
        one, two = await turns_a_second(1), await turns_a_second(2)
        ratios.append(two / one)
        sys.stdout.write(f"[{number + 1}] one {one:.0f}/s, two {two:.0f}/s: {two / one:.2f}x\n")
        sys.stdout.flush()
    sys.stdout.write(f"two replicas: {statistics.median(ratios):.2f}x of one (median of {rounds})\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
