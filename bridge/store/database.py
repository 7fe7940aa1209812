"""The interface between the turn table and a database: the database runs operations.

An operation is a generator of statements (see `operations`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeVar

from bridge.store.codec import Row

T = TypeVar("T")
Rows = Sequence[Row]

CREATION_FORBIDDEN = "and BRIDGE_STORE_CREATE=false forbids to make a new, empty store"
"""The end of the sentence that refuses to create a store."""

Operation = Generator[tuple[str, dict[str, Any]], Rows, T]


class Database(Protocol):
    """Runs operations. A returned result is on disk. Each method may raise StoreUnavailable."""

    @property
    def shared(self) -> bool:
        """Whether several processes may use the tables at the same time."""
        ...

    @property
    def failing(self) -> bool:
        """Whether the last write failed. Only the next write shows whether writing works again."""
        ...

    @property
    def name(self) -> str:
        """The name of the store for operators: the file or the schema."""
        ...

    @property
    def created(self) -> bool:
        """Whether `open` made a new, empty store."""
        ...

    async def open(self) -> None:
        """Connect, and bring the schema up to date. Raises: StoreInUse."""
        ...

    async def close(self) -> None:
        """Commit the waiting writes, and close."""
        ...

    async def run(self, operation: Callable[[], Operation[T]], *, atomic: bool = False) -> T:
        """Run an operation and return its result; `atomic`: in one transaction.

        `operation` makes a new generator on each call, since a run may be repeated after a lost connection. If the
        operation raises Interfered, the transaction is undone. Raises: Interfered.
        """
        ...

    async def announce_stop(self, n: int) -> None:
        """Announce to all processes that turn `n` is marked to stop."""
        ...

    def on_stop(self, call: Callable[[int], None]) -> None:
        """Call `call` with the number of each turn that any process announces."""
        ...
