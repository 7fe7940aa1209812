"""`kill -9` at every state of a turn: each acknowledged message gets exactly one visible outcome, in order."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.process_world import World, eventually, told, world

from bridge.simulator.gateway.agent import counted
from bridge.simulator.gateway.script import Say
from bridge.simulator.teams.faults import Fault

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

INTERRUPTED = told("alice", "interrupted")
# Seconds, longer than any test: a response held back so long has not arrived when the bridge is killed.
HELD = 300.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world shared by all tests: each test leaves the bridge running, and uses its own people and words."""
    data: Path = tmp_path_factory.mktemp("kill")
    async with world(data) as here:
        await here.start()
        for who in ("alice", "bob", "chen"):
            await here.meet(who)
        await here.idle()
        yield here


async def all_texts(here: World, chat: str, count: int, after: str) -> list[str]:
    """The bot's texts since the message `after`, once `count` texts were shown and all lanes are idle."""
    await here.bot_texts(chat, count, after)
    await here.idle()
    return here.listen(chat, after)


def arrived(here: World, text: str) -> int:
    """How many messages that begin with `text` have reached Teams, shown or not."""
    return sum(str(entry.get("text") or entry.get("summary") or "").startswith(text) for entry in here.arrived)


async def test_after_a_kill_the_running_question_gets_a_note_and_queued_ones_are_answered_in_order(
    running: World,
) -> None:
    chat = "personal-alice"
    first = await running.say(chat, "alice", "take 31 seconds")
    await running.say(chat, "alice", "I'm Alice")
    await running.say(chat, "alice", "What's my name?")
    await eventually(lambda: running.gateway.times_asked("take 31 seconds"), "the agent is asked")

    await running.kill_and_restart()

    words = await all_texts(running, chat, 3, first)
    assert words[0].startswith(INTERRUPTED)
    assert words[1].startswith("Hello Alice")
    assert words[2:] == ["Your name is Alice."]
    assert [running.gateway.times_asked(q) for q in ("take 31 seconds", "I'm Alice", "What's my name?")] == [1, 1, 1]


async def test_ask_again_works_once_however_often_it_is_pressed(running: World) -> None:
    chat, question = "personal-bob", "take 1.5 seconds"
    first = await running.say(chat, "bob", question)
    await eventually(lambda: running.gateway.times_asked(question), "the agent is asked")
    await running.kill_and_restart()
    await running.bot_texts(chat, 1, first)

    card = running.last_card(chat)
    clicks = await asyncio.gather(*(running.press(chat, "bob", card) for _ in range(3)))
    assert 200 in [status for status, _ in clicks]

    words = await all_texts(running, chat, 2, first)
    assert [words[1], len(words)] == ["Done. That took 1.5 seconds, as you asked.", 2]
    assert running.gateway.times_asked(question) == 2
    assert words[0].startswith(told("bob", "asked_again"))
    # the card has no button left, and a late click has no effect
    assert (await running.press(chat, "bob", card))[0] == 404


async def test_a_new_command_queued_behind_a_killed_turn_still_runs_in_its_order(running: World) -> None:
    chat = "personal-chen"
    named = await running.say(chat, "chen", "I'm Chen")
    await running.bot_texts(chat, 1, named)
    first = await running.say(chat, "chen", "take 32 seconds")
    await running.say(chat, "chen", "/new")
    await running.say(chat, "chen", "What is my name?")
    await eventually(lambda: running.gateway.times_asked("take 32 seconds"), "the agent is asked")

    await running.kill_and_restart()

    words = await all_texts(running, chat, 3, first)
    assert words[0].startswith(told("chen", "interrupted"))
    assert words[1].startswith(told("chen", "new_done"))
    assert words[2].startswith("I do not know your name")
    assert len(words) == 3


async def test_an_answer_not_yet_taken_by_teams_is_shown_once_after_a_kill_and_not_asked_again(running: World) -> None:
    chat, answer = "personal-alice", "Noted: the first secret"
    running.teams.faults.order("message", Fault(status=503, delay=HELD))
    first = await running.say(chat, "alice", "Remember: the first secret")
    await eventually(lambda: arrived(running, answer), "the answer is on its way")
    assert running.listen(chat, first) == []

    await running.kill_and_restart()

    assert await all_texts(running, chat, 1, first) == [answer]
    assert running.gateway.times_asked("Remember: the first secret") == 1
    # the bridge cannot know that Teams had not shown the answer, and counts the doubt
    assert await running.bridge.metric(running.http, "bridge_maybe_doubled_total") == {"": 1.0}


async def test_an_answer_is_doubled_only_by_a_kill_between_teams_201_and_the_commit(
    running: World,
) -> None:
    chat, answer = "personal-bob", "Noted: the second secret"
    running.teams.faults.order("message", Fault(delay=HELD))
    first = await running.say(chat, "bob", "Remember: the second secret")
    await running.bot_texts(chat, 1, first)

    await running.kill_and_restart()

    assert await all_texts(running, chat, 2, first) == [answer, answer]
    assert running.gateway.times_asked("Remember: the second secret") == 1
    assert await running.bridge.metric(running.http, "bridge_maybe_doubled_total") == {"": 1.0}
    # the turn is closed: the next kill shows no further message
    await running.kill_and_restart()
    assert await all_texts(running, chat, 2, first) == [answer, answer]
    assert await running.bridge.metric(running.http, "bridge_maybe_doubled_total") == {"": 0.0}


async def test_after_a_kill_a_long_answer_goes_on_with_the_first_part_not_shown(running: World) -> None:
    chat = "personal-chen"
    running.teams.faults.order("message", Fault())  # the first part passes
    running.teams.faults.order("message", Fault(status=503, delay=HELD))  # the second is held back
    before = len(running.arrived)
    first = await running.say(chat, "chen", "write a long answer")
    await eventually(
        lambda: [e["type"] for e in running.arrived[before:]].count("message") == 2, "the second part is on its way"
    )
    assert len(running.listen(chat, first)) == 1

    await running.kill_and_restart()

    await eventually(lambda: "That was the long answer." in "".join(running.listen(chat, first)), "the end is shown")
    parts = await all_texts(running, chat, 2, first)
    whole = "\n".join(parts)
    sections = [f"Sentence 1 of section {number} is here" for number in range(1, 121)]
    assert [whole.count(section) for section in sections] == [1] * 120
    assert [whole.index(section) for section in sections] == sorted(whole.index(section) for section in sections)
    assert running.gateway.times_asked("write a long answer") == 1


async def test_the_interrupted_note_survives_a_kill_before_it_is_shown(running: World) -> None:
    chat = "personal-bob"
    first = await running.say(chat, "bob", "take 33 seconds")
    await eventually(lambda: running.gateway.times_asked("take 33 seconds"), "the agent is asked")
    running.teams.faults.order("message", Fault(status=503, delay=HELD))
    interrupted = told("bob", "interrupted")
    notes = arrived(running, interrupted)

    await running.kill_and_restart()
    await eventually(lambda: arrived(running, interrupted) > notes, "the note is on its way")
    assert running.listen(chat, first) == []
    await running.kill_and_restart()

    (note,) = await all_texts(running, chat, 1, first)
    assert note.startswith(interrupted)
    assert running.gateway.times_asked("take 33 seconds") == 1


async def test_kills_during_the_start_lose_and_double_no_message(running: World) -> None:
    chat = "personal-alice"
    first = await running.say(chat, "alice", "take 34 seconds")
    await running.say(chat, "alice", "Remember: the third secret")
    await eventually(lambda: running.gateway.times_asked("take 34 seconds"), "the agent is asked")
    running.bridge.kill()
    for _ in range(2):
        begun = len(running.bridge.output())
        running.bridge.begin()
        await eventually(lambda: len(running.bridge.output()) > begun, "the process has logged a line")  # noqa: B023  awaited within the same round
        running.bridge.kill()
    await running.start()

    words = await all_texts(running, chat, 2, first)
    assert [word[:16] for word in words] == [INTERRUPTED[:16], "Noted: the third"]
    assert running.gateway.times_asked("Remember: the third secret") == 1


async def test_a_kill_between_parts_that_were_cut_smaller_shows_none_twice_and_loses_none(running: World) -> None:
    chat, question = "personal-chen", "Tell me all of it"
    paragraphs = [f"Paragraph {number}. " + "word " * 100 for number in range(70)]
    running.gateway.scripts = {question: (Say("\n\n".join(paragraphs)),)}
    for fault in (Fault(413, "MessageSizeTooBig", "Message size too large."), Fault(), Fault(503, delay=HELD)):
        running.teams.faults.order("message", fault)
    first = await running.say(chat, "chen", question)
    await eventually(
        lambda: sum("Paragraph" in str(entry.get("text")) for entry in running.arrived) >= 3,
        "the second of the smaller parts is under way",
    )
    running.bridge.kill()
    (parts,) = [row["parts"] for row in running.rows() if row["state"] == "answered"]
    assert parts >= 2
    await running.start()

    words = "\n".join(await all_texts(running, chat, parts, first))
    assert re.findall(r"Paragraph \d+\.", words) == [f"Paragraph {number}." for number in range(70)]
    assert running.gateway.times_asked(question) == 1


async def test_an_activity_that_teams_sends_again_after_the_restart_runs_once(running: World) -> None:
    activity = running.activity("bob", "Remember: the fourth secret", "1700000000001")
    before = len(running.listen("personal-bob"))
    assert (await running.post(activity)) == (200, b"")
    await eventually(lambda: len(running.listen("personal-bob")) == before + 1, "it is answered")
    await running.idle()  # a kill between Teams' 201 and our commit doubles the answer: another test's subject

    await running.kill_and_restart()
    assert (await running.post(activity)) == (200, b"")

    await running.say("personal-bob", "bob", "count to 1")
    await eventually(lambda: running.listen("personal-bob")[-1] == counted(1, 1), "a later question is answered")
    assert len(running.listen("personal-bob")) == before + 2
    assert running.gateway.times_asked("Remember: the fourth secret") == 1
    assert 'verdict="duplicate"' in await running.bridge.metric(running.http, "bridge_inbound_requests_total")


async def test_no_acknowledged_message_is_lost_in_a_kill_while_twenty_threads_write_at_once(running: World) -> None:
    here, people = running, ("alice", "bob", "chen")

    async def post(number: int) -> str:
        return await here.say("general", people[number % 3], f"take {number + 4} seconds", mention=True)

    roots = await asyncio.gather(*(post(number) for number in range(20)))
    # the kill comes while the second messages arrive: some are acknowledged, some are not
    seconds = [
        await here.teams.say(
            "general", people[number % 3], f"Remember: item {number}", mention=True, thread=roots[number]
        )
        for number in range(20)
    ]
    await eventually(lambda: sum(here.delivery("general", i) == "delivered" for i in seconds) >= 8, "8 are taken")
    taken = [here.delivery("general", id_) == "delivered" for id_ in seconds]
    here.bridge.kill()
    asked_before = [here.gateway.times_asked(f"take {number + 4} seconds") for number in range(20)]
    await here.start()

    await eventually(
        lambda: all(len(here.listen_in_thread(root)) == 2 for root in roots), "two outcomes in each thread", 60
    )
    for number, root in enumerate(roots):
        note, answered = here.listen_in_thread(root)
        assert note.startswith(told(people[number % 3], "interrupted")), f"thread {number}: {note}"
        assert answered == f"Noted: item {number}"
        assert here.gateway.times_asked(f"Remember: item {number}") == 1
        assert here.gateway.times_asked(f"take {number + 4} seconds") == asked_before[number] <= 1
    assert sum(taken) >= 8
    # an answer may be shown before Teams has read the 200 for its question
    await eventually(lambda: all(here.delivery("general", i) == "delivered" for i in seconds), "all are taken")
