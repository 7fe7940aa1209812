"""What a database must offer to the turn table: it runs operations."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeVar

from bridge.store.codec import Row

T = TypeVar("T")
Rows = Sequence[Row]

Operation = Generator[tuple[str, dict[str, Any]], Rows, T]


class Database(Protocol):
    """Runs operations. Raises StoreUnavailable; what it has returned is on disk."""

    @property
    def shared(self) -> bool:
        """Whether other processes may use the same tables."""
        ...

    @property
    def failing(self) -> bool:
        """Whether the last write failed, so that only another one tells whether writing works again."""
        ...

    async def open(self) -> None:
        """Connect, and bring the schema up to date. Raises StoreInUse."""
        ...

    async def close(self) -> None:
        """Write what waits, and close."""
        ...

    async def run(self, operation: Callable[[], Operation[T]], *, atomic: bool = False) -> T:
        """The operation's result; `atomic`: in one transaction. May be begun again before anything was committed.

        Raises Interfered, with everything undone, where the operation does.
        """
        ...

    async def tell(self, n: int) -> None:
        """Tell all processes that turn `n` shall stop."""
        ...

    def listen(self, heard: Callable[[int], None]) -> None:
        """Call `heard` with what other processes tell."""
        ...
