"""How much more two replicas on one PostgreSQL do than one: `python tests/bench/replicas.py [rounds]`. Never in CI.

Each replica gets the same small share of the machine (a cgroup's quota, so this needs root), so that there is room for
the database and for everybody the bridge talks to. Rounds of one and of two replicas follow each other; medians.
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
"""Of one core, for each replica."""
OUTSTANDING = 48
WARM_UP, SECONDS = 3.0, 10.0
_CPU = Path("/sys/fs/cgroup/cpu")
_LANES = 2000


@contextlib.contextmanager
def share(pids: list[int]) -> Iterator[None]:
    """Let each process have its share of a core and no more."""
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
    """Keep so many turns under way, over many lanes, at both replicas alike."""
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
    """Of so many replicas."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"GOCLAW_RATE_LIMIT": "0", "GOCLAW_LIVE_TEXT": "false"}
        place = (dsn(), fresh_schema())
        async with storm(Path(folder) / "w", random.randrange(9999), replicas=replicas, database=place,
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
    """Interleaved rounds."""
    ratios = []
    for number in range(rounds):
        one, two = await turns_a_second(1), await turns_a_second(2)
        ratios.append(two / one)
        sys.stdout.write(f"[{number + 1}] one {one:.0f}/s, two {two:.0f}/s: {two / one:.2f}x\n")
        sys.stdout.flush()
    sys.stdout.write(f"two replicas: {statistics.median(ratios):.2f}x of one (median of {rounds})\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
