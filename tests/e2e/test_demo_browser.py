"""A newcomer's way: `teams-bridge demo` as a process, its chat page in a real Chromium, a kill, a restart.

With BRIDGE_SCREENSHOTS=folder the tests also take the pictures of README.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect
from support.chromium import IN_BROWSER, PHONE, WIDE, chromium
from support.process_world import Process, clean_environment, eventually, free_port

pytestmark = [
    *IN_BROWSER,
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
]
SLOWEST = 30_000.0  # milliseconds; two busy cores


class Demo:
    """`python -m bridge demo` on a folder of its own."""

    def __init__(self, data: Path) -> None:
        data.mkdir()
        ports = {name: free_port() for name in ("page", "gateway", "bridge", "admin")}
        (data / "ports.json").write_text(json.dumps(ports))
        self.base = f"http://127.0.0.1:{ports['page']}"
        self._bridge_log = data / "bridge.log"
        log = data.with_suffix(".log")
        self.process = Process(clean_environment(), log, "demo", "--no-open", "--data", str(data))

    async def start(self) -> None:
        before = self.process.output() if self.process.log.exists() else ""
        self.process.begin()
        await eventually(lambda: self.base in self.process.output()[len(before) :], "the demo names its page", 60)

    async def stop(self) -> None:
        """End the demo by SIGTERM, which also ends the bridge; the exit code must be 0."""
        self.process.ask_to_end()
        assert await self.process.ended() == 0, self.process.output()

    def bridge_log(self) -> str:
        return self._bridge_log.read_text(encoding="utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    here = Demo(tmp_path_factory.mktemp("demo") / "state")
    await here.start()
    try:
        yield here
        await here.stop()
    finally:
        here.process.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


async def open_page(browser: Browser, demo: Demo, address: str, **context: Any) -> Page:
    page = await (await browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **context})).new_page()
    page.set_default_timeout(SLOWEST)
    await page.goto(f"{demo.base}/{address}")
    await expect(page.get_by_test_id("composer")).to_be_visible()
    return page


async def say(page: Page, text: str) -> None:
    await page.get_by_test_id("composer").fill(text)
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("composer")).to_have_value("")


def answers(page: Page) -> Locator:
    return page.locator("[data-testid=message][data-bot=true]")


async def answered(page: Page, words: str) -> None:
    """Wait until the newest answer holds `words`."""
    await expect(answers(page).last).to_contain_text(words, timeout=SLOWEST)


async def ask(page: Page, text: str, words: str) -> None:
    await say(page, text)
    await answered(page, words)


async def works(page: Page) -> None:
    """Wait until the page shows an agent at work: typing, or a second later the stream with its Stop."""
    signs = page.get_by_test_id("typing").or_(page.get_by_test_id("stop-stream"))
    await expect(signs.first).to_be_visible(timeout=SLOWEST)


async def picture(page: Page, name: str) -> None:
    """Take a picture for README if BRIDGE_SCREENSHOTS is set."""
    folder = os.environ.get("BRIDGE_SCREENSHOTS")
    if folder:
        await expect(page.get_by_test_id("toast")).to_have_count(0, timeout=SLOWEST)
        await page.mouse.move(0, 0)
        await page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")


async def test_the_agent_remembers_each_person_and_personal_chats_stay_private(browser: Browser, demo: Demo) -> None:
    alice = await open_page(browser, demo, "#alice")
    await answered(alice, "Hello! I connect you with the agent")
    await ask(alice, "I'm Alice", "Hello Alice.")
    await ask(alice, "What's my name?", "Your name is Alice.")
    bob = await open_page(browser, demo, "#bob")
    await answered(bob, "Xin chào! Tôi kết nối bạn với trợ lý")
    await ask(bob, "What's my name?", "I do not know your name")

    await expect(bob.get_by_text("Your name is Alice.")).to_have_count(0)
    await bob.goto(f"{demo.base}/#bob/personal-alice")
    await bob.reload()
    await expect(bob.get_by_test_id("composer")).to_be_visible()
    await expect(bob.get_by_text("Your name is Alice.")).to_have_count(0)

    await ask(alice, "show me a table", "Tokyo")
    await expect(answers(alice).last.get_by_test_id("ai-label")).to_be_visible()
    await picture(alice, "chat")


async def test_the_page_works_in_dark_mode_and_on_a_phone(browser: Browser, demo: Demo) -> None:
    alice = await open_page(browser, demo, "#alice", color_scheme="dark")
    await ask(alice, "show me code", "Here is a function and how to call it:")
    await expect(answers(alice).last.locator("pre").first).to_be_visible()
    await picture(alice, "dark")
    phone = await open_page(browser, demo, "#alice/personal-alice", viewport=PHONE)
    await answered(phone, "Here is a function and how to call it:")
    assert await phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await picture(phone, "phone")


async def test_a_kill_during_a_run_leaves_a_note_whose_button_works_once(browser: Browser, demo: Demo) -> None:
    page = await open_page(browser, demo, "#alice")
    await ask(page, "I'm Alice", "Hello Alice.")
    before = await answers(page).count()
    await say(page, "take 5 seconds")
    await works(page)
    await say(page, "What's my name?")
    await expect(page.get_by_test_id("delivery").last).to_have_text("Delivered", timeout=SLOWEST)

    await page.get_by_test_id("kill-bridge").click()
    await expect(page.get_by_test_id("banner")).to_be_visible()
    await expect(page.get_by_test_id("bridge-state")).to_contain_text("Bridge running", timeout=SLOWEST)
    await expect(page.get_by_test_id("bridge-state")).to_contain_text("restarted once")

    again = page.get_by_role("button", name="Ask again")
    await expect(again).to_be_visible(timeout=SLOWEST)
    await answered(page, "Your name is Alice.")
    await expect(answers(page)).to_have_count(before + 2)
    await picture(page, "kill-and-recover")

    await again.dblclick()
    await expect(again).to_have_count(0, timeout=SLOWEST)
    await answered(page, "Done. That took 5 seconds, as you asked.")
    await ask(page, "What's my name?", "Your name is Alice.")
    await expect(answers(page)).to_have_count(before + 4)
    await expect(page.get_by_text("Done. That took 5 seconds")).to_have_count(1)


async def test_the_commands_work_from_the_composer(browser: Browser, demo: Demo) -> None:
    page = await open_page(browser, demo, "#alice")
    await ask(page, "/help", "Start a new conversation: the agent forgets")
    await ask(page, "call me Bobby", "Hello Bobby.")
    await ask(page, "/status", "nothing is running")
    await say(page, "take 45 seconds")
    await works(page)
    await ask(page, "/status", "is not finished")
    await say(page, "/stop")  # the note replaces the stream, if a stream was shown already
    stopped = answers(page).filter(has_text="Stopped. The agent may already have done part of the work.")
    await expect(stopped.last).to_be_visible(timeout=SLOWEST)
    await ask(page, "/stop", "there is nothing to stop")
    await ask(page, "/new", "New conversation: the agent no longer remembers")
    await ask(page, "What's my name?", "I do not know your name")


async def test_in_a_group_the_bot_answers_when_mentioned_and_knows_the_speaker(browser: Browser, demo: Demo) -> None:
    alice = await open_page(browser, demo, "#alice/launch-team")
    bob = await open_page(browser, demo, "#bob/launch-team")
    await alice.get_by_test_id("mention").click()  # off: only for people
    await say(alice, "only for people")
    await expect(bob.get_by_test_id("message-text").last).to_have_text("only for people")
    await say(bob, "Remember: the launch is on Friday")
    await answered(alice, "Noted: the launch is on Friday")
    await alice.get_by_test_id("mention").click()
    await say(alice, "What did I tell you?")
    await answered(alice, "the launch is on Friday")
    await answered(bob, "Bob Tran: the launch is on Friday")
    await expect(answers(bob)).to_have_count(2)

    await say(alice, "/new")
    await answered(alice, "Start a new conversation for everybody here?")
    await alice.get_by_role("button", name="Start a new conversation").click()
    await answered(alice, "New conversation: the agent no longer remembers")


async def test_in_a_channel_the_answer_stands_in_the_thread(browser: Browser, demo: Demo) -> None:
    page = await open_page(browser, demo, "#alice/general")
    await say(page, "Remember: the plan is blue")
    thread = page.get_by_test_id("thread")
    await expect(thread).to_have_count(1)
    words = thread.locator("[data-testid=message][data-bot=true]")
    await expect(words).to_have_count(1, timeout=SLOWEST)
    await expect(words.last).to_contain_text("Noted: the plan is blue")

    await thread.get_by_test_id("reply").click()
    await thread.get_by_test_id("reply-composer").fill("What did I tell you?")
    await page.keyboard.press("Enter")
    await expect(words).to_have_count(2, timeout=SLOWEST)
    await expect(words.last).to_contain_text("Alice Nguyen: the plan is blue")
    # a second thread is a conversation of its own
    await say(page, "What did I tell you?")
    second = page.get_by_test_id("thread").filter(has_text="Nothing that I was to remember.")
    await expect(second).to_have_count(1, timeout=SLOWEST)


async def test_after_a_restart_of_the_demo_the_agent_still_knows_alice(browser: Browser, demo: Demo) -> None:
    page = await open_page(browser, demo, "#alice")
    await ask(page, "my name is Alice", "Hello Alice.")
    await page.close()

    await demo.stop()
    await demo.start()

    page = await open_page(browser, demo, "#alice")
    await answered(page, "Hello Alice.")
    await ask(page, "What's my name?", "Your name is Alice.")
    assert re.search(r'"level": ?"error"', demo.bridge_log()) is None, demo.bridge_log()
