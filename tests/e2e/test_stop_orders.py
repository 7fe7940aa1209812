"""The client's *Stop*, a new question and `/stop` in different orders, with the chat page in a real Chromium.

The whole table of orders, in all scopes: `tests/component/test_stop_table.py`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect
from support.chromium import IN_BROWSER
from support.page_viewer import SLOWEST, Onlooker, Scene, scene
from support.process_world import eventually

from bridge.simulator.gateway.script import Say, Wait

pytestmark = [*IN_BROWSER, pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SO_FAR = Say("So far I know this much, and I am looking for more. \n\n")
SCRIPTS = {
    "dig deep": (SO_FAR, Wait(90), Say("That is all.")),
    "and quickly": (Wait(4), Say("Here you are.")),
}
DONE = "GoClaw reacted with Check mark"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("stops") / "world", SCRIPTS) as here:
        yield here


async def _answer_begins(alice: Onlooker) -> None:
    """The agent's first words are visible in a stream, and for a while no more come."""
    await alice.ask("dig deep", "So far I know this much")
    await alice.page.wait_for_timeout(2500)


async def _press_stop(alice: Onlooker) -> None:
    await alice.page.get_by_test_id("stop-stream").last.click()
    await expect(alice.page.get_by_test_id("stopped").last).to_be_visible()


async def _texts(alice: Onlooker, after: str) -> list[str]:
    """The bot's messages below the person's newest message `after`."""
    shown = await alice.page.locator("[data-testid=message] .bubble").all_inner_texts()
    last = max(at for at, text in enumerate(shown) if text.strip() == after)
    return [text.strip() for text in shown[last + 1 :] if text.strip() not in {*SCRIPTS, "/stop"}]


async def test_stop_in_the_client_then_a_question_then_the_command_end_both(stage: Scene) -> None:
    alice = await stage.person("alice")
    await _answer_begins(alice)
    await _press_stop(alice)
    await alice.say("and quickly")
    await eventually(lambda: stage.world.gateway.times_asked("and quickly") == 1, "the next question runs", 2.0)
    await alice.page.wait_for_timeout(1500)
    await alice.say("/stop")
    await expect(alice.newest).to_contain_text("Stopped.", timeout=SLOWEST)
    await expect(alice.own("/stop").get_by_test_id("reaction")).to_have_attribute("title", DONE, timeout=SLOWEST)
    await stage.world.idle()
    assert not any("Here you are." in text for text in await _texts(alice, "dig deep"))
    await alice.picture("stop-question-stop")


async def test_stop_in_the_client_then_the_command_then_a_question_answer_the_question(stage: Scene) -> None:
    bob = await stage.person("bob")
    await _answer_begins(bob)
    await _press_stop(bob)
    await bob.say("/stop")
    await expect(bob.own("/stop").get_by_test_id("reaction")).to_have_attribute("title", DONE, timeout=SLOWEST)
    before = stage.world.gateway.times_asked("and quickly")
    began = time.monotonic()
    await bob.say("and quickly")
    await eventually(lambda: stage.world.gateway.times_asked("and quickly") > before, "the next question runs", 5.0)
    assert time.monotonic() - began < 2.0  # one second, and some for a busy machine
    await bob.reads("Here you are.")
    assert await _texts(bob, "and quickly") == ["Here you are."]


async def test_a_question_then_stop_in_the_client_runs_the_question_and_the_command_ends_it(stage: Scene) -> None:
    chen = await stage.person("chen")
    await _answer_begins(chen)
    await chen.say("and quickly")
    await _press_stop(chen)
    before = stage.world.gateway.times_asked("and quickly")
    await eventually(lambda: stage.world.gateway.times_asked("and quickly") > before, "the waiting question runs", 3.0)
    await chen.page.wait_for_timeout(1500)
    await chen.say("/stop")
    await expect(chen.own("/stop").get_by_test_id("reaction")).to_be_visible(timeout=SLOWEST)
    await stage.world.idle()
    assert not any("Here you are." in text for text in await _texts(chen, "dig deep"))


async def test_a_question_right_after_stop_in_the_client_has_no_stop_note_below(stage: Scene) -> None:
    alice = await stage.person("alice")
    await _answer_begins(alice)
    await _press_stop(alice)
    await alice.say("What's my name?")
    await alice.reads("I do not know your name")
    (answer,) = await _texts(alice, "What's my name?")
    assert answer.startswith("I do not know your name")
