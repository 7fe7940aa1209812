"""A stop between the claim of a lane's head and the merge of the messages behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.engine_world import new_turn
from support.turn_stores import AT, CHAT, ME, queued, row, table

from bridge.core.turn import State
from bridge.store import operations


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
async def test_a_question_stopped_between_its_claim_and_the_merge_is_not_merged(name: str, tmp_path: Path) -> None:
    async with table(name, tmp_path) as store:
        first, second = await queued(store, "delete me", "second")
        claimed = await store.claim(CHAT, ME)
        assert claimed is not None
        await store.stop(CHAT, new_turn("stop", lane="notice"), "Ann", AT)

        with pytest.raises(operations.Interfered):
            await store._database.run(lambda: operations.merge(claimed, AT), atomic=True)  # noqa: SLF001  the second half of a claim

        assert ((await row(store, first)).state, (await row(store, first)).stop) == (State.RUNNING, True)
        assert (await row(store, second)).payload.text == "second"
