"""Remembers the size of a message that Teams takes, for each conversation where Teams refused a larger message."""

from __future__ import annotations

from collections import OrderedDict

_MOST_CONVERSATIONS = 10_000


class PartSizes:
    """Sizes of texts in UTF-16 units, by conversation; the conversations used least recently are forgotten."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def known(self, conversation: str) -> int | None:
        """The size that Teams takes there, None where no message was too large."""
        size = self._sizes.get(conversation)
        if size is not None:
            self._sizes.move_to_end(conversation)
        return size

    def remember(self, conversation: str, size: int) -> None:
        """Keep the size to which a message was cut after Teams had refused the message as too large."""
        self._sizes[conversation] = size
        self._sizes.move_to_end(conversation)
        if len(self._sizes) > _MOST_CONVERSATIONS:
            self._sizes.popitem(last=False)
