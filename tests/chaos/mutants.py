"""The engine, broken on purpose: `python mutants.py <patch>[,<patch>…] run` starts the bridge with these patches.

The product knows nothing of this. Each patch takes away one thing that the guarantees rest on; the checker must notice.
`hasty` is no mutant: it shortens the lease, so that a test need not wait for 20 seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge import tasks
from bridge.cli import main as cli
from bridge.core import lease
from bridge.core.edits import EditResult, EditVerdict, MessageEdit
from bridge.core.ports.channel import Chunk
from bridge.core.turn import Accepted, Activity, Edit, NewTurn, Reference, Reply, Turn
from bridge.engine import delivery, dispatcher, pipeline
from bridge.engine import heartbeat as replica
from bridge.engine import runners as lanes
from bridge.engine.edits import Edits
from bridge.engine.run_control import RunControl
from bridge.store import operations, postgres, sqlite, statements
from bridge.teams import channel

_count = itertools.count()


def hasty() -> None:
    """A lease of 5 seconds; who has not beaten for 3 looks for it once a second, and gives up in time."""
    lease.LEASE_SECONDS, lease.CERTAIN_SECONDS, lease._UNBROKEN_SECONDS = 5.0, 3.0, 2.0


def no_dedupe() -> None:
    """Every activity is a new one."""
    target: Any = operations
    original = target.new_row

    def forgetful(new: NewTurn, owner: str, now: float) -> dict[str, Any]:
        row: dict[str, Any] = original(replace(new, id=f"{new.id}#{next(_count)}"), owner, now)
        return row

    target.new_row = forgetful


def no_fence() -> None:
    """Whoever claimed a turn once may write it for ever, whatever happened since, and send what it likes."""
    unfenced = "AND (:owner = '' OR :fence >= 0 OR n = n)"
    _statements(
        lambda sql: (
            sql.replace("AND owner = :owner AND fence = :fence", unfenced)
            .replace("AND state = 'answered'\n", "\n")
            .replace("AND state IN ('running', 'answered')\nRETURNING n", "\nRETURNING n")
            .replace(
                "AND (state = 'answered' OR state = 'running' AND (stop = 0 OR :anyway))",
                "AND (stop = 0 OR :anyway OR n = n)",
            )
        )
    )
    lease.Lease.certain = lambda *_: True  # type: ignore[method-assign]

    async def undisturbed(*_: Any) -> None:
        pass

    replica.Replica._stop_own_work = undisturbed  # type: ignore[method-assign,assignment]


def claim_out_of_order() -> None:
    """The newest first."""
    _statements(lambda sql: sql.replace("min(n)", "max(n)"), "claim", "head")


def ack_before_commit() -> None:
    """200 first, the disk later."""
    original, started = dispatcher.Dispatcher.accept, tasks.Tasks()

    async def later(self: dispatcher.Dispatcher, new: NewTurn, **more: Any) -> Any:
        async def commit() -> None:
            await asyncio.sleep(0.5)
            await original(self, new, **more)

        started.start(commit(), "late commit")
        return Accepted(1)

    dispatcher.Dispatcher.accept = later  # type: ignore[method-assign]


def rerun_after_crash() -> None:
    """What was running is asked again without anybody's word."""
    original = pipeline.Pipeline.__init__

    def rerun(self: pipeline.Pipeline, **more: Any) -> None:
        original(self, **{**more, "rerun": True})

    pipeline.Pipeline.__init__ = rerun  # type: ignore[method-assign]


def deliver_twice() -> None:
    """To be on the safe side."""
    original = channel.TeamsChannel.send

    async def twice(self: channel.TeamsChannel, to: Reference, activity: Activity) -> str:
        await original(self, to, activity)
        return await original(self, to, activity)

    channel.TeamsChannel.send = twice  # type: ignore[method-assign]


def close_and_claim_in_one_step() -> None:
    """The next turn is decided on with the close, by what was there before it. The beat's net below is cut as well."""
    original = lanes.Runners._work

    async def decided_before(self: lanes.Runners, turn: Turn, runner: Any, **more: Any) -> None:
        waiting = (await self._store.lane_status(turn.lane)).waiting
        await original(self, turn, runner, **more)
        runner.woken = waiting > 0

    async def blind(_self: replica.Replica) -> None:
        pass

    lanes.Runners._work = decided_before  # type: ignore[method-assign]
    replica.Replica._recover_orphans = blind  # type: ignore[method-assign,assignment]


def slot_freed_early() -> None:
    """The next question goes out as soon as the caller has hung up."""

    async def at_once(_self: RunControl, _seconds: float) -> None:
        pass

    RunControl.until_run_ended = at_once  # type: ignore[method-assign,assignment]


def edits_ignored() -> None:
    """Who sent the first words meant them."""
    _deaf_to(lambda edit: bool(edit.text))


def deletions_ignored() -> None:
    """Asked is asked."""
    _deaf_to(lambda edit: not edit.text)


def _deaf_to(unheard: Callable[[Edit], bool]) -> None:
    original = Edits.edit

    async def heard(self: Edits, change: MessageEdit) -> EditResult:
        return EditResult(EditVerdict.NOTHING) if unheard(change.edit) else await original(self, change)

    Edits.edit = heard  # type: ignore[method-assign]


def landing_ignored() -> None:
    """The answer is a new message, whatever shows progress."""
    original = delivery.Delivery.deliver

    async def elsewhere(self: delivery.Delivery, turn: Turn, reply: Reply, control: RunControl) -> None:
        await original(self, turn, replace(reply, live=None), control)

    delivery.Delivery.deliver = elsewhere  # type: ignore[method-assign]


def only_news_streamed() -> None:
    """Of the text only what is new."""
    original = channel.TeamsChannel.stream

    async def news(self: channel.TeamsChannel, to: Reference, chunk: Chunk) -> str:
        cut = chunk if chunk.informative or len(chunk.text) < 15 else replace(chunk, text=chunk.text[-5:])
        return await original(self, to, cut)

    channel.TeamsChannel.stream = news  # type: ignore[method-assign]


def _statements(change: Callable[[str], str], *names: str) -> None:
    original = statements.load_statements

    def changed(dialect: statements.Dialect) -> dict[str, str]:
        found = original(dialect)
        return {name: change(sql) if not names or name in names else sql for name, sql in found.items()}

    for module in (sqlite, postgres):
        target: Any = module
        target.load_statements = changed


PATCHES: dict[str, Callable[[], None]] = {
    patch.__name__: patch
    for patch in (
        hasty,
        no_dedupe,
        no_fence,
        claim_out_of_order,
        ack_before_commit,
        rerun_after_crash,
        deliver_twice,
        close_and_claim_in_one_step,
        slot_freed_early,
        edits_ignored,
        deletions_ignored,
        landing_ignored,
        only_news_streamed,
    )
}

if __name__ == "__main__":
    for name in sys.argv.pop(1).split(","):
        PATCHES[name]()
    cli.main()
