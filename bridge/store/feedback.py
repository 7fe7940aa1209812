"""Operations for what people think of answers. Like those of `operations`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from bridge.core.feedback import After, KeptRating, Rating, Reaction
from bridge.store.codec import clean

if TYPE_CHECKING:
    from bridge.store.operations import Operation

_RECENT = 50


def rate(rating: Rating) -> Operation[int]:
    """See ports.TurnStore.rate."""
    rows = yield "recently_shown", {"lane": clean(rating.lane), "limit": _RECENT}
    shown = (row["n"] for row in rows if row["delivery"] and rating.shown in orjson.loads(row["delivery"]))
    n: int = next(shown, 0)
    voice = {"turn": n, "person": clean(rating.person), "reaction": rating.reaction.value}
    if n and rating.taken_back:
        return n if (yield "unrate", voice) else 0
    if n:
        yield "rate", voice | {"words": clean(rating.words), "at": rating.at}
    return n


def ratings(after: After, limit: int) -> Operation[tuple[KeptRating, ...]]:
    """See ports.TurnStore.ratings."""
    behind = {"at": after.at, "turn": after.turn, "person": clean(after.person), "limit": limit}
    rows = yield "ratings", behind
    return tuple(
        KeptRating(
            turn=row["turn"],
            person=row["person"],
            reaction=Reaction(row["reaction"]),
            words=row["words"],
            at=row["at"],
            outcome=row["outcome"],
            session=row["session"],
        )
        for row in rows
    )
