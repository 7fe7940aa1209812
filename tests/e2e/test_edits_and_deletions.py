"""Edits, deletions and ratings with the real process; operators export the ratings."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from support.process_world import World, eventually, world

from bridge.core.texts import say
from bridge.simulator.teams.activities import delete, edit, reaction

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("edits"), BRIDGE_ADMIN_TOKEN="") as here:
        await here.start()
        for who in ("alice", "bob", "chen"):
            await here.meet(who)
        await here.idle()
        yield here


async def test_use_new_text_ends_the_run_and_asks_the_edited_question(running: World) -> None:
    chat, question = "personal-alice", "take 9 seconds"
    id_ = await running.say(chat, "alice", question)
    await eventually(lambda: running.gateway.times_asked(question), "the agent is asked")

    status, _ = await running.post(edit(running.envelope("alice", chat), id_, "What is due this week?"))
    assert status == 200
    await eventually(lambda: say("edited_running") in _cards(running), "the new text is offered")
    await running.press(chat, "alice", running.last_card(chat))

    await eventually(lambda: running.gateway.times_asked("What is due this week?"), "the new text is asked", 20)
    await running.idle()
    assert running.gateway.times_asked(question) == 1


async def test_a_question_deleted_while_it_waits_is_never_asked(running: World) -> None:
    chat = "personal-bob"
    await running.say(chat, "bob", "take 2 seconds")
    id_ = await running.say(chat, "bob", "never mind this")
    assert (await running.post(delete(running.envelope("bob", chat), id_)))[0] == 200
    await running.idle()
    assert running.gateway.times_asked("never mind this") == 0


async def test_feedback_and_reactions_are_exported_with_the_turn(running: World) -> None:
    chat = "personal-chen"
    before = len(running.listen(chat))
    await running.say(chat, "chen", "hello")
    await eventually(lambda: len(running.listen(chat)) > before, "an answer")
    await running.idle()
    answer = next(entry for entry in reversed(running.teams.tenant.messages(chat)) if entry.text)
    here = running.envelope("chen", chat)
    assert await running.post(reaction(here, "r1", answer.id, "heart")) == (200, b"")
    words = json.dumps({"feedbackText": "Just right"})
    value = {"actionName": "feedback", "actionValue": {"reaction": "like", "feedback": words}}
    rated = here.activity("invoke", "i1", name="message/submitAction", value=value, replyToId=answer.id)
    assert await running.post(rated) == (200, b"{}")

    (line,) = (await _command(running, "feedback", "--since", "2020-01-01")).splitlines()
    exported: dict[str, Any] = json.loads(line)
    assert (exported["reaction"], exported["words"], exported["outcome"]) == ("like", "Just right", "delivered")
    assert exported["turn"].startswith("T-")
    table = await _command(running, "feedback", "--format", "csv")
    assert table.splitlines()[0] == "turn,at,person,reaction,words,outcome,session"


def _cards(here: World) -> list[str]:
    return [str(entry.get("summary")) for entry in here.arrived]


async def _command(here: World, *arguments: str) -> str:
    def work() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge", *arguments],
            env=here.bridge.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    done = await asyncio.to_thread(work)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
