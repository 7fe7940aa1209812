"""People at the chat page of the whole product: the bridge as a process, the simulated tenant, a real Chromium.

Each page keeps a diary of all shown states, so a test can check a state shown only for a moment.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect
from playwright.async_api import TimeoutError as NotInTime

from bridge.simulator.gateway.script import Script
from support.chromium import WIDE, chromium
from support.process_world import World, world

SLOWEST = 30_000.0  # milliseconds, enough on two busy cores
_TRIES = 6
BOT = "[data-testid=message][data-bot=true]"

_DIARY = """() => {
  const diary = [];
  const last = new Map();
  const note = (key, sight) => {
    const said = JSON.stringify(sight);
    if (last.get(key) === said) return;
    last.set(key, said);
    diary.push(sight);
  };
  const look = () => {
    note("typing", { typing: document.querySelector("[data-testid=typing]") !== null });
    for (const toast of document.querySelectorAll("[data-testid=message-toast]")) {
      note("toast", { toast: toast.innerText });
    }
    for (const article of document.querySelectorAll("[data-testid=message]")) {
      const has = (what) => article.querySelector(what) !== null;
      note(article.dataset.messageId, {
        id: article.dataset.messageId, stream: article.dataset.stream,
        text: article.querySelector(".bubble").textContent.trim(),
        labelled: has("[data-testid=ai-label]"), rated: has("[data-testid=feedback-like]"),
        marked: has("[data-testid=reaction]"), edited: has("[data-testid=edited]"),
      });
    }
  };
  window.diary = diary;
  const everything = { childList: true, subtree: true, characterData: true, attributes: true };
  new MutationObserver(look).observe(document, everything);
}"""


@dataclass(frozen=True, slots=True)
class Sight:
    """A shown state of a message. `stream` is the state of the message's open stream, "" without an open stream."""

    stream: str
    text: str
    labelled: bool
    rated: bool
    marked: bool
    edited: bool


class Onlooker:
    """A person at the page, in a single chat."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answers = page.locator(BOT)

    @property
    def newest(self) -> Locator:
        """The bot's newest message."""
        return self.answers.last

    async def say(self, text: str) -> None:
        """Write a message."""
        await self.page.get_by_test_id("composer").fill(text)
        await self.page.keyboard.press("Enter")
        await expect(self.page.get_by_test_id("composer")).to_have_value("")

    async def reads(self, words: str) -> Locator:
        """Wait until the bot's newest message contains `words`; gives the message."""
        await expect(self.newest).to_contain_text(words, timeout=SLOWEST)
        return self.answer(await self.id_of(self.newest))

    async def ask(self, text: str, words: str) -> Locator:
        """Write a message and wait for an answer that contains `words`."""
        before = await self.answers.count()
        await self.say(text)
        await expect(self.answers.nth(before)).to_be_visible(timeout=SLOWEST)  # a new message, not an earlier answer
        return await self.reads(words)

    def answer(self, id_: str) -> Locator:
        """The message with an id."""
        return self.page.locator(f"[data-message-id='{id_}']")

    async def id_of(self, message: Locator) -> str:
        return str(await message.get_attribute("data-message-id"))

    def own(self, text: str) -> Locator:
        """The person's own newest message that contains `text`."""
        return self.page.locator("[data-testid=message].mine").filter(has_text=text).last

    def thread(self, words: str) -> Locator:
        """The channel's thread that contains `words`."""
        return self.page.get_by_test_id("thread").filter(has_text=words)

    async def reply(self, thread: str, text: str) -> None:
        """Write into the channel's thread that contains `thread`."""
        await self.thread(thread).get_by_test_id("reply").click()
        await self.thread(thread).get_by_test_id("reply-composer").fill(text)
        await self.page.keyboard.press("Enter")

    async def act(self, message: Locator, action: str) -> None:
        """Press the button of `action` in the bar shown by hovering over the message."""
        button = message.get_by_test_id(f"do-{action}")
        for _ in range(_TRIES):  # a growing chat moves the bar away from under the pointer
            await message.locator(".bubble").hover()
            try:
                await button.click(timeout=SLOWEST / _TRIES)
            except NotInTime:
                continue
            return
        raise AssertionError(f"the button of {action} could not be pressed")

    async def edit(self, old: str, new: str) -> None:
        """Change the person's own message `old` to the text `new`."""
        await self.act(self.own(old), "edit")
        await self.page.get_by_test_id("editor").fill(new)
        await self.page.keyboard.press("Enter")
        await expect(self.page.get_by_test_id("editor")).to_have_count(0)

    async def diary(self) -> list[dict[str, Any]]:
        """All shown states of the page, oldest first."""
        return list(await self.page.evaluate("window.diary"))

    async def forms(self, message: Locator) -> list[Sight]:
        """All shown states of a message, oldest first."""
        id_ = await self.id_of(message)
        seen = [entry for entry in await self.diary() if entry.get("id") == id_]
        return [Sight(**{key: value for key, value in entry.items() if key != "id"}) for entry in seen]

    async def picture(self, name: str) -> None:
        """Save a screenshot, if BRIDGE_SCREENSHOTS names a folder."""
        folder = os.environ.get("BRIDGE_SCREENSHOTS")
        if folder:
            await self.page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")


@dataclass(frozen=True, slots=True)
class Scene:
    """The running product and a browser, with the open pages by address."""

    world: World
    browser: Browser
    pages: dict[str, Onlooker] = field(default_factory=dict)

    async def person(self, who: str, chat: str = "") -> Onlooker:
        """Open the page as a person, in `chat` or the personal chat with the bot; an open page is used again."""
        address = f"#{who}/{chat or f'personal-{who}'}"
        if address not in self.pages:
            self.pages[address] = await self._opened(address)
        if not chat:
            await expect(self.pages[address].newest).to_be_visible()  # the bot's greeting
        return self.pages[address]

    async def _opened(self, address: str) -> Onlooker:
        context = await self.browser.new_context(viewport=WIDE, reduced_motion="reduce")
        page = await context.new_page()
        page.set_default_timeout(SLOWEST)
        await page.add_init_script(f"({_DIARY})()")
        await page.goto(f"{self.world.teams.base}/{address}")
        await expect(page.get_by_test_id("composer")).to_be_visible()
        return Onlooker(page)


@asynccontextmanager
async def scene(data: Path, scripts: Mapping[str, Script], **settings: str) -> AsyncIterator[Scene]:
    """Start the product and a browser. `scripts`: the agent's scripts by question, beside the built-in scripts."""
    async with chromium() as browser, world(data, gateway_up=True, **settings) as here:
        here.gateway.scripts = scripts
        here.bridge.environment["BRIDGE_PUBLIC_URL"] = here.bridge.base
        await here.start()
        yield Scene(here, browser)
