"""The chat page in a real Chromium, with the simulated tenant; the test itself is the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect
from support.chromium import IN_BROWSER, WIDE, chromium
from support.simulator_world import Stage, stage, until

pytestmark = [
    *IN_BROWSER,
]
CARD = "application/vnd.microsoft.card.adaptive"
AI = {"type": "https://schema.org/Message", "@type": "Message", "additionalType": ["AIGeneratedContent"]}
PHONE = {"width": 360, "height": 740}
UNREACHED = "status of 502"  # the browser's own console line about the click refused on purpose


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, resend_after=2.0) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


async def open_page(browser: Browser, teams: Stage, address: str = "", **context: Any) -> tuple[Page, list[str]]:
    """Open a page in a new browser context; give the page and its list of errors.

    Errors are script errors and console errors, which include violations of the Content-Security-Policy.
    """
    page = await (await browser.new_context(**{"viewport": WIDE, **context})).new_page()
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{teams.base}/{address}")
    await expect(page.get_by_test_id("bridge-state")).to_contain_text("Bridge")
    return page, complaints


async def bot_says(teams: Stage, text: str = "", **more: Any) -> str:
    """Send a message of the bot to Alice, after her page installed the bot by opening the chat; give the id."""
    await until(lambda: teams.tenant.is_installed("personal-alice"))
    status, body = await teams.send("personal-alice", text, **more)
    assert status == 201, body
    return str(body.get("id", ""))


def card_message(body: list[Any], actions: list[Any] | None = None) -> dict[str, Any]:
    content = {"type": "AdaptiveCard", "version": "1.5", "body": body, "actions": actions or []}
    return {"attachments": [{"contentType": CARD, "content": content}]}


async def test_enter_sends_and_shift_enter_starts_a_new_line(browser: Browser, teams: Stage) -> None:
    page, complaints = await open_page(browser, teams, "#alice")

    await expect(page.get_by_test_id("composer")).to_be_focused()
    await page.keyboard.type("first")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("<b>second</b>")
    await page.keyboard.press("Enter")

    await expect(page.get_by_test_id("message-text")).to_have_text("first<b>second</b>")
    await expect(page.get_by_test_id("delivery")).to_have_text("Delivered")
    await expect(page.get_by_test_id("composer")).to_have_value("")
    assert complaints == []


async def test_answers_edits_labels_and_typing_appear_without_a_reload(browser: Browser, teams: Stage) -> None:
    page, complaints = await open_page(browser, teams, "#alice")
    await expect(page.get_by_test_id("log")).to_be_visible()
    await bot_says(teams, type="typing")
    await expect(page.get_by_test_id("typing")).to_contain_text("GoClaw is typing")

    message = await bot_says(teams, "Working on it", entities=[AI])
    answer = page.get_by_test_id("message").last
    await expect(answer).to_contain_text("Working on it")
    await expect(answer.get_by_test_id("ai-label")).to_have_text("AI generated")
    await expect(page.get_by_test_id("typing")).to_have_count(0)

    path = f"/{teams.conversation('personal-alice')}/activities/{message}"
    await teams.as_bot("PUT", path, {"type": "message", "text": "**Done**", "entities": [AI]})
    await expect(answer.get_by_test_id("edited")).to_be_visible()
    await expect(answer.locator("strong")).to_have_text("Done")

    await teams.as_bot("DELETE", path)
    await expect(answer).to_contain_text("This message has been deleted.")
    assert complaints == []


async def test_each_paragraph_has_the_direction_of_its_letters(browser: Browser, teams: Stage) -> None:
    page, complaints = await open_page(browser, teams, "#alice")
    await bot_says(teams, "שלום עולם.\n\n- שלום\n\nHello.\n\n```\nשלום\n```")
    for element, direction in (("p >> nth=0", "rtl"), ("ul", "rtl"), ("p >> nth=1", "ltr"), ("pre", "ltr")):
        await expect(page.get_by_test_id("message-text").locator(element)).to_have_css("direction", direction)
    assert complaints == []


async def test_hostile_markup_in_messages_and_cards_stays_text(browser: Browser, teams: Stage) -> None:
    page, complaints = await open_page(browser, teams, "#alice")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    script = "<img src=x onerror='document.title=1'><script>document.title=1</script>"
    await bot_says(teams, script, textFormat="xml")
    body = [
        {"type": "TextBlock", "text": f"{script} [press](javascript:document.title=1)"},
        {"type": "Image", "url": "https://other.example/pixel.png", "altText": "a pixel"},
        {"type": "constructor", "text": "x"},
        {"type": "FactSet", "facts": [{"title": script, "value": script}]},
    ]
    actions = [
        {"type": "Action.OpenUrl", "title": "script", "url": "javascript:document.title=1"},
        {"type": "Action.OpenUrl", "title": "plain", "url": "http://other.example/"},
        {"type": "Action.OpenUrl", "title": "good", "url": "https://other.example/"},
    ]
    await bot_says(teams, **card_message(body, actions))

    card = page.get_by_test_id("message").last
    await expect(card.get_by_test_id("card-action")).to_have_text(["good"])
    await expect(card.get_by_test_id("card-action")).to_have_attribute("rel", "noopener noreferrer")
    assert await page.locator("#log :is(script, [onerror], [href^='javascript'])").count() == 0
    assert await card.locator("img:not(.avatar)").count() == 0
    assert "GoClaw Teams Bridge" in await page.title()
    assert [url for url in requested if not url.startswith(teams.base)] == []
    assert complaints == []


async def test_a_button_reaches_the_bot_and_shows_the_result(browser: Browser, teams: Stage) -> None:
    page, complaints = await open_page(browser, teams, "#alice")
    inner = {"type": "ActionSet", "actions": [{"type": "Action.Execute", "title": "Inner", "verb": "inner"}]}
    hidden = {"type": "Container", "isVisible": False, "items": [inner]}
    own = [{"type": "Action.Execute", "title": "Ask again", "verb": "again"}]
    await bot_says(teams, **card_message([hidden, inner], own))

    await page.get_by_role("button", name="Ask again").click()
    await expect(page.get_by_test_id("action-note")).to_have_text("Answered with “Ask again”.")
    (invoke,) = teams.bot.of_type("invoke")
    assert invoke["value"]["action"]["verb"] == "again"

    async def refuse(_activity: dict[str, Any]) -> web.Response:
        return web.Response(status=500)

    teams.bot.answer = refuse
    await page.get_by_role("button", name="Inner").click()
    await expect(page.get_by_test_id("action-note")).to_have_text("Unable to reach app")
    assert [line for line in complaints if UNREACHED not in line] == []


async def test_a_message_to_a_bot_that_is_down_says_so_until_it_is_back(browser: Browser, teams: Stage) -> None:
    page, _ = await open_page(browser, teams, "#alice")
    await teams.bot.stop()
    await page.get_by_test_id("composer").fill("are you there?")
    await page.get_by_test_id("send").click()
    await expect(page.get_by_test_id("delivery")).to_contain_text("Teams tries again")
    await expect(page.get_by_test_id("banner")).to_contain_text("The bridge is down")
    await expect(page.get_by_test_id("kill-bridge")).to_be_hidden()  # the simulator does not control the bot's process

    await teams.bot.start()
    await expect(page.get_by_test_id("delivery")).to_have_text("Delivered", timeout=15_000)
    await expect(page.get_by_test_id("banner")).to_be_hidden()


async def test_a_channel_has_threads_and_a_mention_that_can_be_switched_off(browser: Browser, teams: Stage) -> None:
    page, complaints = await open_page(browser, teams, "#alice/general")
    await page.get_by_test_id("composer").fill("plan?")
    await page.get_by_test_id("send").click()
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("message")).to_have_count(1)
    await expect(thread.locator(".mention")).to_have_text("GoClaw")

    await thread.get_by_test_id("reply").click()
    await thread.get_by_test_id("reply-mention").click()
    await thread.get_by_test_id("reply-composer").fill("only for people")
    await page.keyboard.press("Enter")
    await expect(thread.get_by_test_id("message")).to_have_count(2)
    await expect(thread.locator(".mention")).to_have_count(1)
    assert [entry["type"] for entry in teams.bot.received].count("message") == 1
    assert complaints == []


async def test_two_tabs_are_two_people_and_unread_chats_are_marked(browser: Browser, teams: Stage) -> None:
    alice, _ = await open_page(browser, teams, "#alice/launch-team")
    bob, _ = await open_page(browser, teams, "#bob")

    await alice.get_by_test_id("composer").fill("hello Bob")
    await alice.get_by_test_id("send").click()

    await expect(bob.get_by_test_id("chat-groupChat")).to_have_attribute("data-unread", "1")
    await bob.get_by_test_id("chat-groupChat").click()
    await expect(bob.get_by_test_id("message").last).to_contain_text("hello Bob")
    await expect(bob.get_by_test_id("chat-groupChat")).to_have_attribute("data-unread", "0")
    assert await alice.locator(".from-person.mine").count() == 1
    assert await bob.locator(".from-person.mine").count() == 0


async def test_on_a_phone_list_and_conversation_take_turns_and_nothing_sticks_out(
    browser: Browser, teams: Stage
) -> None:
    page, complaints = await open_page(browser, teams, "#alice/personal-alice", viewport=PHONE)
    await bot_says(teams, f"```\n{'wide ' * 60}\n```")
    await expect(page.locator(".code-box")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert await page.evaluate("document.getElementById('log').scrollWidth") <= PHONE["width"]

    await page.get_by_test_id("back").click()
    await expect(page.get_by_test_id("log")).to_be_hidden()
    await page.get_by_test_id("person-chen").click()
    await page.get_by_test_id("chat-groupChat").click()
    await expect(page.get_by_test_id("log")).to_be_visible()
    assert page.url.endswith("#chen/launch-team")
    assert complaints == []


async def test_the_theme_follows_the_system_until_it_is_chosen(browser: Browser, teams: Stage) -> None:
    page, _ = await open_page(browser, teams, "#alice", color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)

    await page.get_by_test_id("theme").click()
    light = await page.evaluate(ground)
    await page.reload()

    assert light != dark
    assert await page.evaluate(ground) == light
