"""The bridge's process whose store is taken away, or is missing at the start."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.process_world import eventually, world

NOTICED_WITHIN = 10.0  # seconds


@pytest.mark.parametrize("loss", ["deleted", "replaced", "emptied", "wal deleted"])
async def test_a_store_that_is_gone_is_noticed_and_refuses_activities(loss: str, tmp_path: Path) -> None:
    async with world(tmp_path / "world") as here:
        await here.start()
        chat = await here.meet("alice")
        asked = await here.say(chat, "alice", "hello")
        await here.bot_texts(chat, 1, after=asked)
        began = time.monotonic()
        match loss:
            case "deleted":
                here.store.unlink()
            case "replaced":
                (here.store.parent / "other.db").write_bytes(here.store.read_bytes())
                (here.store.parent / "other.db").replace(here.store)
            case "emptied":
                here.store.write_bytes(b"")
            case _:
                here.store.with_name(here.store.name + "-wal").unlink()

        await here.bridge.answers(here.http, 503, NOTICED_WITHIN)

        assert time.monotonic() - began < NOTICED_WITHIN
        assert await here.post(here.activity("alice", "lost?", "1700000000009")) == (503, b"")
        await eventually(lambda: "while the bridge was running" in here.bridge.output(), "the log names the loss")
        async with here.http.get(f"{here.bridge.admin}/readyz") as health:
            assert "while the bridge was running" in (await health.json())["store"]
        here.bridge.ask_to_end()
        assert await here.bridge.ended() == 0


async def test_a_missing_store_is_not_made_where_that_is_forbidden(tmp_path: Path) -> None:
    async with world(tmp_path / "world") as here:
        await here.start()
        assert "store_created" in here.bridge.output()
        assert (await here.bridge.metric(here.http, "bridge_store_created_total")).popitem()[1] == 1.0
        here.bridge.ask_to_end()
        await here.bridge.ended()
        away = here.store.rename(here.store.with_name("away.db"))

        here.bridge.environment["BRIDGE_STORE_CREATE"] = "false"
        here.bridge.begin()
        await here.bridge.answers(here.http, 503)
        assert await here.post(here.activity("alice", "lost?", "1700000000009")) == (503, b"")
        await eventually(lambda: "BRIDGE_STORE_CREATE=false forbids" in here.bridge.output(), "the log says why")
        assert not here.store.exists()

        away.rename(here.store)
        await here.bridge.answers(here.http, 200)
