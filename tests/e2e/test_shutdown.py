"""End and start of the process: the grace period, a second signal, faults at start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from support.process_world import BridgeProcess, World, eventually, eventually_async, free_port, told, world

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

INTERRUPTED = "I was restarted while the agent was working"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world for the whole file; each test leaves the bridge running."""
    async with world(tmp_path_factory.mktemp("shutdown")) as here:
        await here.start()
        await here.meet("alice")
        await here.meet("bob")
        await here.idle()
        yield here


@dataclass(frozen=True)
class WithoutGateway:
    """A world whose gateway was down when the bridge started, and the id of Alice's first question."""

    world: World
    question: str


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def without_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WithoutGateway]:
    """Made first and examined last, since the bridge tries for 15 s before the question fails."""
    async with world(tmp_path_factory.mktemp("without-gateway"), gateway_up=False) as here:
        await here.start()
        await here.meet("alice")
        yield WithoutGateway(here, await here.say("personal-alice", "alice", "Remember: nobody hears this"))


async def asked(here: World, chat: str, who: str, text: str) -> str:
    """Ask, and wait until the agent works on the question; returns the question's id."""
    id_ = await here.say(chat, who, text)
    await eventually(lambda: here.gateway.times_asked(text), "the agent is asked")
    return id_


async def test_the_grace_period_lets_a_running_answer_finish_and_keeps_late_messages(running: World) -> None:
    alice, bob = "personal-alice", "personal-bob"
    first = await asked(running, alice, "alice", "take 3 seconds")

    running.bridge.ask_to_end()
    await running.bridge.answers(running.http, 503)
    await running.say(alice, "alice", "Remember: behind the running one")
    beside = await running.say(bob, "bob", "Remember: in an idle chat")

    assert await running.bridge.ended() == 0
    assert running.listen(alice, first) == ["Done. That took 3 seconds, as you asked."]
    assert running.listen(bob, beside) == []
    assert running.gateway.times_asked("Remember: in an idle chat") == 0

    await running.start()
    assert await running.bot_texts(alice, 2, first) == [
        "Done. That took 3 seconds, as you asked.",
        "Noted: behind the running one",
    ]
    assert await running.bot_texts(bob, 1, beside) == ["Noted: in an idle chat"]
    assert running.gateway.times_asked("take 3 seconds") == 1
    await running.idle()


async def test_a_question_that_outlasts_the_grace_period_gets_its_note_after_the_restart(running: World) -> None:
    running.bridge.kill()
    await running.restart(BRIDGE_SHUTDOWN_GRACE="0.5")
    first = await asked(running, "personal-alice", "alice", "take 41 seconds")

    running.bridge.ask_to_end()
    assert await running.bridge.ended(15) == 0
    assert running.listen("personal-alice", first) == []

    await running.start()
    (note,) = await running.bot_texts("personal-alice", 1, first)
    assert note.startswith(INTERRUPTED)
    assert running.gateway.times_asked("take 41 seconds") == 1
    await running.idle()


async def test_a_second_signal_ends_the_grace_period(running: World) -> None:
    running.bridge.kill()
    await running.restart(BRIDGE_SHUTDOWN_GRACE="120")
    first = await asked(running, "personal-bob", "bob", "take 42 seconds")

    running.bridge.ask_to_end()
    await running.bridge.answers(running.http, 503)
    assert running.bridge.alive
    running.bridge.ask_to_end()
    assert await running.bridge.ended(15) == 0

    await running.start()
    (note,) = await running.bot_texts("personal-bob", 1, first)
    assert note.startswith(told("bob", "interrupted"))
    assert "turn_broken" not in running.bridge.output()
    await running.idle()


async def test_an_idle_bridge_ends_at_once(running: World) -> None:
    running.bridge.ask_to_end()
    assert await running.bridge.ended(10) == 0
    await running.start()


async def test_a_second_process_on_the_same_store_is_refused_with_a_sentence(running: World, tmp_path: Path) -> None:
    ports = {"BRIDGE_PORT": str(free_port()), "BRIDGE_ADMIN_PORT": str(free_port())}
    second = BridgeProcess({**running.bridge.environment, **ports}, tmp_path / "second.log")
    second.begin()
    try:
        assert await second.ended() == 1
    finally:
        second.kill()
    assert "BRIDGE_STORE: another process uses bridge.db" in second.output()
    assert "Traceback" not in second.output()
    assert await running.bridge.readiness(running.http) == 200


async def test_a_port_that_is_taken_is_refused_with_a_sentence(running: World, tmp_path: Path) -> None:
    settings = {"BRIDGE_STORE": str(tmp_path / "own.db"), "BRIDGE_ADMIN_PORT": str(free_port())}
    second = BridgeProcess({**running.bridge.environment, **settings}, tmp_path / "second.log")
    second.begin()
    try:
        assert await second.ended() == 1
    finally:
        second.kill()
    assert "cannot listen" in second.output()
    assert running.bridge.environment["BRIDGE_PORT"] in second.output()
    # The process ended before opening the store, so no waiting turn was begun.
    assert not (tmp_path / "own.db").exists()
    assert "Traceback" not in second.output()


async def test_a_store_that_cannot_be_written_at_start_is_reported_and_opened_later(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file stands where the folder should be")
    async with world(tmp_path / "world", BRIDGE_STORE=str(blocked / "bridge.db")) as here:
        here.bridge.begin()
        await here.bridge.answers(here.http, 503)
        activity = here.activity("alice", "Remember: the late store", "1700000000002")
        assert await here.post(activity) == (503, b"")
        assert await here.post(activity, bearer="") == (401, b"")
        async with here.http.get(f"{here.bridge.base}/healthz") as alive:
            assert alive.status == 200
        async with here.http.get(f"{here.bridge.admin}/healthz") as health:
            assert (await health.json())["store"] == "not open"

        blocked.unlink()
        blocked.mkdir()

        await here.bridge.answers(here.http, 200)
        chat = await here.meet("alice")
        before = len(here.listen(chat))
        assert await here.post(activity) == (200, b"")
        await eventually(lambda: here.listen(chat)[before:] == ["Noted: the late store"], "it is answered")
        assert here.gateway.times_asked("Remember: the late store") == 1


async def test_the_bridge_answers_503_until_signing_keys_can_be_fetched(tmp_path: Path) -> None:
    async with world(tmp_path / "world") as here:
        right = here.bridge.environment["TEAMS_OPENID_URL"]
        here.bridge.environment["TEAMS_OPENID_URL"] = f"http://127.0.0.1:{free_port()}/none"
        here.bridge.begin()
        await here.bridge.answers(here.http, 503)
        assert await here.post(here.activity("alice", "hello", "1700000000003")) == (503, b"")
        assert await here.post({}, bearer="") == (401, b"")
        assert here.bridge.alive
        here.bridge.kill()
        await here.restart(TEAMS_OPENID_URL=right)


async def test_a_gateway_that_is_down_at_start_is_reported_and_found_later(without_gateway: WithoutGateway) -> None:
    here, chat = without_gateway.world, "personal-alice"
    (note,) = await here.bot_texts(chat, 1, without_gateway.question, seconds=40)
    assert note.startswith("I can't reach the agent right now.")
    status = await here.say(chat, "alice", "/status")
    assert "has a problem" in (await here.bot_texts(chat, 1, status))[0]
    async with here.http.get(f"{here.bridge.admin}/healthz") as health:
        assert health.status == 200
        assert (await health.json())["gateway"]["gateway reachable"].startswith("failed")

    await here.gateway.start()
    found = await here.say(chat, "alice", "What did I tell you?")
    assert (await here.bot_texts(chat, 1, found))[0].startswith("Nothing that I was to remember.")
    assert here.gateway.times_asked("Remember: nobody hears this") == 0

    async def well() -> bool:
        async with here.http.get(f"{here.bridge.admin}/healthz") as health:
            return str((await health.json())["gateway"]["gateway reachable"]).startswith("ok")

    await eventually_async(well, "the health report heals")
