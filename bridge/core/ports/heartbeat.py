"""What a heartbeat and a takeover tell a replica about the turn table."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.core.turn import Lane, Turn


@dataclass(frozen=True, slots=True)
class Orphans:
    """The rows of a takeover: claimed turns, now under the new owner, and the lanes of the queued rows."""

    turns: tuple[Turn, ...] = ()
    lanes: tuple[Lane, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Stalled:
    """An owner's open rows of some age, to be compared with the work under way.

    `claimed`: number and lane of each claimed row. `lanes`: lanes with queued rows and no claimed row.
    """

    claimed: tuple[tuple[int, Lane], ...] = ()
    lanes: tuple[Lane, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The state of the turn table at an owner's heartbeat.

    `alive`: the owner is still registered; False after a takeover. `counters`: heartbeats so far of each owner.
    `orphans`: open rows exist whose owner is not registered. `running`: running turns of all replicas. `waiting`:
    queued turns of all replicas, greetings excepted. `paused`: an operator holds all turns. `stops`: numbers of the
    owner's claimed turns marked to be stopped.
    """

    alive: bool = True
    counters: dict[str, int] = field(default_factory=dict)
    orphans: bool = False
    running: int = 0
    waiting: int = 0
    paused: bool = False
    stops: tuple[int, ...] = ()
