"""Mutants of the engine: `python mutants.py <patch>[,<patch>…] run` starts the bridge with faults patched in.

Each patch removes a rule behind the guarantees (docs/architecture.md, "Guarantees"), and the checker must notice.
`short_lease` is no mutant but shortens the lease, so a test need not wait for 20 seconds.
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
from bridge.engine import delivery, dispatcher, heartbeat, pipeline, runners
from bridge.engine.edits import Edits
from bridge.engine.run_control import RunControl
from bridge.store import operations, postgres, sqlite, statements
from bridge.teams import channel

_count = itertools.count()


def short_lease() -> None:
    """A lease of 5 seconds, given up after 3 seconds without a heartbeat."""
    lease.LEASE_SECONDS, lease.CERTAIN_SECONDS, lease._UNBROKEN_SECONDS = 5.0, 3.0, 2.0


def no_dedupe() -> None:
    """Every activity is accepted as new, repeats included."""
    target: Any = operations
    original = target.new_row

    def forgetful(new: NewTurn, owner: str, now: float) -> dict[str, Any]:
        row: dict[str, Any] = original(replace(new, id=f"{new.id}#{next(_count)}"), owner, now)
        return row

    target.new_row = forgetful


def no_fence() -> None:
    """A replica may write and show a turn claimed earlier, even after a takeover."""
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

    async def go_on(*_: Any) -> None:
        pass

    heartbeat.Replica._stop_own_work = go_on  # type: ignore[method-assign,assignment]


def claim_out_of_order() -> None:
    """The newest turn of a lane is claimed first."""
    _statements(lambda sql: sql.replace("min(n)", "max(n)"), "claim", "head")


def ack_before_commit() -> None:
    """A message is acknowledged before its turn is on disk."""
    original, started = dispatcher.Dispatcher.accept, tasks.Tasks()

    async def later(self: dispatcher.Dispatcher, new: NewTurn, **more: Any) -> Any:
        async def commit() -> None:
            await asyncio.sleep(0.5)
            await original(self, new, **more)

        started.start(commit(), "late commit")
        return Accepted(1)

    dispatcher.Dispatcher.accept = later  # type: ignore[method-assign]


def rerun_after_crash() -> None:
    """A question interrupted by a crash is asked again without the operator's setting."""
    original = pipeline.Pipeline.__init__

    def rerun(self: pipeline.Pipeline, **more: Any) -> None:
        original(self, **{**more, "rerun": True})

    pipeline.Pipeline.__init__ = rerun  # type: ignore[method-assign]


def deliver_twice() -> None:
    """Every activity is sent twice."""
    original = channel.TeamsChannel.send

    async def twice(self: channel.TeamsChannel, to: Reference, activity: Activity) -> str:
        await original(self, to, activity)
        return await original(self, to, activity)

    channel.TeamsChannel.send = twice  # type: ignore[method-assign]


def close_and_claim_in_one_step() -> None:
    """A runner looks for the next turn before the close, not after; recovery by the heartbeat is off as well."""
    original = runners.Runners._work

    async def decided_before(self: runners.Runners, turn: Turn, runner: runners._Runner, **more: Any) -> None:
        waiting = (await self._store.lane_status(turn.lane)).waiting
        await original(self, turn, runner, **more)
        runner.woken = waiting > 0

    async def recover_none(_self: heartbeat.Replica) -> None:
        pass

    runners.Runners._work = decided_before  # type: ignore[method-assign]
    heartbeat.Replica._recover_orphans = recover_none  # type: ignore[method-assign,assignment]


def slot_freed_early() -> None:
    """The lane's next question is asked before the stopped run has ended."""

    async def at_once(_self: RunControl, _seconds: float) -> None:
        pass

    RunControl.until_run_ended = at_once  # type: ignore[method-assign,assignment]


def edits_ignored() -> None:
    """Edits of questions are ignored."""
    _ignore_edits(lambda edit: bool(edit.text))


def deletions_ignored() -> None:
    """Deletions of questions are ignored."""
    _ignore_edits(lambda edit: not edit.text)


def _ignore_edits(ignored: Callable[[Edit], bool]) -> None:
    original = Edits.edit

    async def edit(self: Edits, wanted: MessageEdit) -> EditResult:
        return EditResult(EditVerdict.NOTHING) if ignored(wanted.edit) else await original(self, wanted)

    Edits.edit = edit  # type: ignore[method-assign]


def live_message_ignored() -> None:
    """The answer is a new message, and the live message stays."""
    original = delivery.Delivery.deliver

    async def beside(self: delivery.Delivery, turn: Turn, reply: Reply, control: RunControl) -> None:
        await original(self, turn, replace(reply, live=None), control)

    delivery.Delivery.deliver = beside  # type: ignore[method-assign]


def only_new_text_streamed() -> None:
    """A stream request holds the newest characters only, not all text so far."""
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
        short_lease,
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
        live_message_ignored,
        only_new_text_streamed,
    )
}

if __name__ == "__main__":
    for name in sys.argv.pop(1).split(","):
        PATCHES[name]()
    cli.main()
