"""Messages and their actions on the chat page, in a real Chromium, with a tenant scripted by the test."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, FilePayload, Locator, Page, expect
from support.chromium import IN_BROWSER, PHONE, WIDE, chromium
from support.page_world import PageStage, page_stage
from support.simulator_world import until

pytestmark = [
    *IN_BROWSER,
    pytest.mark.asyncio(loop_scope="module"),
]
REFUSED = "status of 400"  # the browser's own console line about the request refused on purpose
LONG = "".join(f"<p>Line {number} of many.</p>" for number in range(60))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_chromium() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def browser(one_chromium: Browser) -> AsyncIterator[Browser]:
    """The browser shared by all tests, without the pages of earlier tests."""
    yield one_chromium
    for context in one_chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def staged() -> AsyncIterator[PageStage]:
    async with page_stage() as running:
        yield running


async def open_page(
    browser: Browser, staged: PageStage, address: str = "#alice/personal-alice", **context: Any
) -> tuple[Page, list[str]]:
    """Open a page in a new browser context; give the page and its list of script and CSP errors."""
    page = await (await browser.new_context(**{"viewport": WIDE, **context})).new_page()
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{staged.base}/{address}")
    await expect(page.get_by_test_id("composer")).to_be_visible()
    return page, complaints


def message(page: Page, message_id: str) -> Locator:
    return page.locator(f"[data-message-id='{message_id}']")


async def act(page: Page, message_id: str, what: str) -> None:
    """Press a button of the message's action bar, shown while the pointer hovers."""
    await message(page, message_id).locator(".bubble").hover()
    await page.get_by_test_id(f"do-{what}").click()


async def test_a_stream_grows_in_its_bubble_and_is_read_out_when_it_has_ended(
    browser: Browser, staged: PageStage
) -> None:
    page, complaints = await open_page(browser, staged)
    staged.show("7", "Searching the web…", html="", stream="informative")
    answer = message(page, "7")
    await expect(answer.get_by_test_id("informative")).to_have_text("Searching the web…")
    await expect(page.get_by_test_id("chat-personal")).to_contain_text("GoClaw is answering…")
    assert await answer.get_attribute("aria-live") == "off"
    assert await answer.get_attribute("aria-busy") == "true"

    staged.show("7", "First.", stream="streaming")
    await expect(answer.get_by_test_id("message-text")).to_have_text("First.")
    await expect(answer.get_by_test_id("informative")).to_have_count(0)
    first = await answer.locator("p").first.element_handle()
    staged.show("7", "First.\n\nSecond", html="<p>First.</p><p>Second</p>", stream="streaming")
    await expect(answer.locator(".rich p")).to_have_text(["First.", "Second"])
    assert first is not None
    assert await first.evaluate("node => node.isConnected")  # unchanged paragraphs are not drawn again

    staged.show("7", "First.\n\nSecond.", html="<p>First.</p><p>Second.</p>", ai=True)
    await expect(answer.get_by_test_id("stop-stream")).to_have_count(0)
    await expect(answer.get_by_test_id("ai-label")).to_be_visible()
    await expect(answer).not_to_have_attribute("aria-busy", "true")
    await expect(answer).not_to_have_attribute("aria-live", "off")
    assert complaints == []


async def test_a_growing_answer_leaves_the_reader_where_they_are(browser: Browser, staged: PageStage) -> None:
    staged.show("1", "long", html=LONG)
    page, _ = await open_page(browser, staged)
    log = page.get_by_test_id("log")
    at_end = "log => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    staged.show("2", "one", stream="streaming")
    await expect(message(page, "2")).to_be_in_viewport()
    assert await log.evaluate(at_end)

    await log.evaluate("log => { log.scrollTop = 300; }")
    await expect(message(page, "2")).not_to_be_in_viewport()
    staged.show("2", "one two", html=LONG, stream="streaming")
    await expect(message(page, "2").locator("p")).to_have_count(60)
    assert await log.evaluate("log => log.scrollTop") == 300

    await page.get_by_role("button", name="New messages").click()
    staged.show("2", "one two three", html=LONG + LONG, stream="streaming")
    await expect(message(page, "2").locator("p").last).to_be_in_viewport()


async def test_stop_is_requested_once_and_its_effect_is_shown(browser: Browser, staged: PageStage) -> None:
    page, complaints = await open_page(browser, staged)
    staged.show("7", "One two", stream="streaming")
    await page.get_by_test_id("stop-stream").dblclick()
    await expect(page.get_by_test_id("stop-stream")).to_have_text("Stopping…")
    await page.get_by_test_id("stop-stream").dispatch_event("click")
    assert staged.asked == [("POST", "personal-alice/messages/7/stop", {"as": "alice"})]

    staged.show("7", "One two", stopped=True)
    await expect(message(page, "7").get_by_test_id("stopped")).to_have_text("You stopped this answer.")
    await expect(message(page, "7")).to_be_focused()  # the focused Stop button is gone
    await expect(page.get_by_test_id("stop-stream")).to_have_count(0)
    assert complaints == []


async def test_reactions_are_counted_named_and_taken_back(browser: Browser, staged: PageStage) -> None:
    staged.show("1", "hello", who="alice", reactions=[{"type": "1f440_eyes", "by": ["bot"]}])
    staged.show("2", "Hello Alice.", reactions=[{"type": "like", "by": ["bob", "alice"]}, {"type": "heart", "by": []}])
    page, complaints = await open_page(browser, staged)
    seen = message(page, "1").get_by_test_id("reaction")
    await expect(seen).to_have_attribute("title", "GoClaw reacted with Eyes")
    liked = message(page, "2").get_by_test_id("reaction")
    await expect(liked).to_have_count(1)
    await expect(liked).to_have_attribute("title", "You and Bob Tran reacted with Like")
    await expect(liked).to_have_attribute("data-count", "2")

    await liked.click()
    await act(page, "2", "react-laugh")
    await until(lambda: len(staged.asked) == 2)
    path = "personal-alice/messages/2/reactions"
    assert staged.asked == [
        ("POST", path, {"as": "alice", "type": "like", "on": False}),
        ("POST", path, {"as": "alice", "type": "laugh", "on": True}),
    ]
    staged.show(
        "2", "Hello Alice.", reactions=[{"type": "laugh", "by": ["alice"]}, {"type": "2705_mark", "by": ["bob"]}]
    )
    await expect(liked).to_have_count(2)
    await expect(liked.last).to_contain_text("✅")
    assert complaints == []


async def test_the_keyboard_reaches_every_message_and_its_actions(browser: Browser, staged: PageStage) -> None:
    staged.show("1", "mine", who="alice")
    staged.show("2", "answer")
    page, complaints = await open_page(browser, staged)
    await expect(message(page, "2")).to_be_visible()
    await message(page, "2").focus()
    await page.keyboard.press("ArrowUp")
    await expect(message(page, "1")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_test_id("do-react-like")).to_be_focused()
    await page.keyboard.press("End")
    await expect(page.get_by_test_id("do-delete")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(message(page, "1")).to_be_focused()
    assert await page.locator(".message[tabindex='0']").count() == 1  # the whole log is a single stop of Tab

    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await until(lambda: staged.asked)
    assert staged.asked[0][2] == {"as": "alice", "type": "like", "on": True}
    assert complaints == []


async def test_a_quote_is_shown_taken_back_and_sent(browser: Browser, staged: PageStage) -> None:
    staged.show("1", "**All** of it", html="<p><strong>All</strong> of it</p>")
    page, complaints = await open_page(browser, staged)
    await act(page, "1", "quote")
    await expect(page.get_by_test_id("quote-bar")).to_contain_text("All of it")
    await expect(page.get_by_test_id("composer")).to_be_focused()
    await page.get_by_test_id("drop-quote").click()
    await expect(page.get_by_test_id("quote-bar")).to_have_count(0)

    await act(page, "1", "quote")
    await page.get_by_test_id("composer").fill("which part?")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("quote-bar")).to_have_count(0)
    await until(lambda: staged.asked)
    body = {"as": "alice", "text": "which part?", "mention": False, "thread": None, "quote": "1"}
    assert staged.asked == [("POST", "personal-alice/messages", body)]

    staged.show("2", "which part?", who="alice", quoted={"id": "1", "name": "GoClaw", "text": "<b>All</b> of it"})
    await expect(message(page, "2").get_by_test_id("quoted")).to_have_text("GoClawAll of it")
    await message(page, "2").get_by_test_id("quoted").click()
    await expect(message(page, "1")).to_be_focused()
    assert complaints == []


async def test_an_own_message_is_edited_in_place_and_escape_leaves_it(browser: Browser, staged: PageStage) -> None:
    staged.show("1", "helo", who="alice")
    staged.show("2", "Hello.")
    page, complaints = await open_page(browser, staged)
    await act(page, "1", "edit")
    await page.get_by_test_id("editor").fill("something else")
    await page.keyboard.press("Escape")
    await expect(message(page, "1").get_by_test_id("message-text")).to_have_text("helo")

    await page.get_by_test_id("composer").focus()
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_test_id("editor")).to_be_focused()
    staged.show("2", "Hello, still.", edited=True)  # an update of a different message keeps the half-typed text
    await page.get_by_test_id("editor").fill("hello")
    await expect(message(page, "2")).to_contain_text("Hello, still.")
    staged.refusal = "This message is too old to be edited."
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("toast")).to_contain_text("too old to be edited")
    await expect(page.get_by_test_id("editor")).to_have_value("hello")

    staged.refusal = None
    await page.get_by_test_id("editor-save").click()
    await expect(page.get_by_test_id("editor")).to_have_count(0)
    assert staged.asked[-1] == ("PUT", "personal-alice/messages/1", {"as": "alice", "text": "hello"})
    await message(page, "2").locator(".bubble").hover()
    await expect(page.get_by_test_id("do-copy")).to_be_visible()
    await expect(page.get_by_test_id("do-edit")).to_have_count(0)  # a person cannot edit the bot's message
    assert [line for line in complaints if REFUSED not in line] == []


async def test_a_deleted_message_can_be_brought_back_by_its_sender(browser: Browser, staged: PageStage) -> None:
    staged.show("1", "oops", who="alice")
    staged.show("2", "", deleted=True)
    page, complaints = await open_page(browser, staged)
    await expect(message(page, "2").get_by_test_id("undo")).to_have_count(0)
    await act(page, "1", "delete")
    await until(lambda: staged.asked)
    staged.show("1", "", who="alice", deleted=True)
    await expect(message(page, "1")).to_contain_text("This message has been deleted.")

    await message(page, "1").get_by_test_id("undo").click()
    await until(lambda: len(staged.asked) == 2)
    assert staged.asked == [
        ("DELETE", "personal-alice/messages/1", {"as": "alice"}),
        ("POST", "personal-alice/messages/1/undelete", {"as": "alice"}),
    ]
    assert complaints == []


async def test_feedback_takes_words_and_shows_the_rating(browser: Browser, staged: PageStage) -> None:
    staged.show("1", "An answer.", feedback=True)
    staged.show("2", "A note.")
    page, complaints = await open_page(browser, staged)
    await expect(page.get_by_test_id("feedback-dislike")).to_have_count(1)
    await page.get_by_test_id("feedback-dislike").click()
    await expect(page.get_by_test_id("feedback-text")).to_be_focused()
    await page.keyboard.type("It is wrong.")
    staged.show("1", "An answer.", feedback=True, reactions=[{"type": "like", "by": ["bob"]}])
    await expect(page.get_by_test_id("reaction")).to_be_visible()
    await expect(page.get_by_test_id("feedback-text")).to_have_value("It is wrong.")
    await page.get_by_test_id("feedback-send").click()
    await expect(page.get_by_test_id("feedback-form")).to_have_count(0)
    await expect(page.get_by_test_id("feedback-dislike")).to_be_focused()
    body = {"as": "alice", "reaction": "dislike", "text": "It is wrong."}
    assert staged.asked == [("POST", "personal-alice/messages/1/feedback", body)]

    staged.show("1", "An answer.", feedback=True, feedback_given={"alice": "dislike", "bob": "like"})
    await expect(page.get_by_test_id("feedback-dislike")).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_test_id("feedback-like")).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_test_id("feedback-given")).to_be_visible()
    assert complaints == []


async def test_files_are_attached_taken_out_and_sent(browser: Browser, staged: PageStage) -> None:
    page, complaints = await open_page(browser, staged)
    plan = FilePayload(name="plan.md", mimeType="text/markdown", buffer=b"# plan")
    notes = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"x" * 2048)
    await page.get_by_test_id("file-field").set_input_files([plan, notes])
    await expect(page.get_by_test_id("attached")).to_have_text(["plan.md6 bytes", "notes.txt2 KB"])
    await page.get_by_role("button", name="Remove notes.txt").click()
    # a file from the clipboard, and a file dropped on the conversation
    await page.evaluate(
        """() => {
          const carry = (name, type) => {
            const data = new DataTransfer();
            data.items.add(new File(["bytes"], name, { type }));
            return data;
          };
          const box = document.getElementById("composer");
          const paste = { clipboardData: carry("shot.csv", "text/csv"), bubbles: true };
          box.dispatchEvent(new ClipboardEvent("paste", paste));
          const drop = { dataTransfer: carry("dropped.bin", ""), bubbles: true, cancelable: true };
          document.getElementById("log").dispatchEvent(new DragEvent("drop", drop));
        }"""
    )
    await expect(page.get_by_test_id("attached")).to_have_count(3)
    await page.get_by_test_id("send").click()  # files need no words
    await until(lambda: staged.asked)
    sent = staged.asked[0][2]
    assert (sent["text"], [file["name"] for file in sent["files"]]) == ("", ["plan.md", "shot.csv", "dropped.bin"])
    assert sent["files"][0] == {"name": "plan.md", "type": "text/markdown", "base64": b64encode(b"# plan").decode()}
    await expect(page.get_by_test_id("attached")).to_have_count(0)
    assert complaints == []


async def test_a_message_that_could_not_be_sent_comes_back_with_its_files_and_quote(
    browser: Browser, staged: PageStage, tmp_path: Path
) -> None:
    staged.show("1", "quoted")
    page, complaints = await open_page(browser, staged)
    await act(page, "1", "quote")
    (small, large) = (tmp_path / "small.bin", tmp_path / "large.bin")
    small.write_bytes(b"x")
    large.write_bytes(b"x" * (11 * 1024 * 1024))
    await page.get_by_test_id("file-field").set_input_files([small, large])
    await expect(page.get_by_role("alert")).to_contain_text("“large.bin” is too large")
    await page.get_by_test_id("composer").fill("look")
    staged.refusal = "Not now."
    await page.get_by_test_id("send").click()
    await expect(page.get_by_role("alert")).to_have_text("Not now.")
    await expect(page.get_by_test_id("composer")).to_have_value("look")
    await expect(page.get_by_test_id("attached")).to_have_text(["small.bin1 byte"])
    await expect(page.get_by_test_id("quote-bar")).to_be_visible()
    assert [line for line in complaints if REFUSED not in line] == []


def offered(**more: Any) -> dict[str, Any]:
    return {"name": "report.csv", "size": 2048, "type": "text/csv", "url": None, "state": "offered", **more}


async def test_a_file_is_accepted_and_downloaded(browser: Browser, staged: PageStage) -> None:
    staged.show("1", files=[offered()])
    staged.show("2", files=[offered(name="mark.svg", type="image/svg+xml", url="/static/mark.svg", state="sent")])
    page, complaints = await open_page(browser, staged)
    await expect(page.get_by_test_id("file-picture")).to_have_attribute("alt", "mark.svg")
    await expect(page.get_by_test_id("consent")).to_contain_text("report.csv")
    await page.get_by_test_id("consent-accept").click()
    await until(lambda: staged.asked)
    assert staged.asked == [("POST", "personal-alice/messages/1/consent", {"as": "alice", "action": "accept"})]

    staged.show("1", files=[offered(state="accepted", url="/api/files/report.csv")])
    chip = message(page, "1").get_by_test_id("file")
    await expect(chip).to_contain_text("2 KB")
    async with page.expect_download() as download:
        await chip.click()
    assert (await download.value).suggested_filename == "report.csv"
    assert complaints == []


async def test_markup_in_file_names_quotes_and_answers_stays_text(browser: Browser, staged: PageStage) -> None:
    script = "<img src=x onerror='document.title=1'>"
    bad = ["javascript:document.title=1", "http://other.example/x", "//other.example/x", "data:text/html,x"]
    staged.show(
        "1",
        "x",
        quoted={"id": "'] *", "name": script, "text": script},
        reactions=[{"type": script, "by": [script]}],
        files=[offered(name=script, url=url, state="sent", type="image/png") for url in bad],
    )
    staged.show("2", script, html="", stream="informative")
    staged.request(1, what=script, verdict=script, code=script, path=script, where=script, status=400)
    page, complaints = await open_page(browser, staged)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    await expect(message(page, "1").get_by_test_id("file")).to_have_count(len(bad))
    await message(page, "1").get_by_test_id("quoted").click()
    await page.get_by_test_id("traffic-open").click()
    await page.get_by_test_id("request").locator("summary").click()
    await expect(page.get_by_test_id("request")).to_contain_text("onerror")
    assert await page.locator("[onerror], #log a").count() == 0
    assert await message(page, "1").locator("img:not(.avatar)").count() == 0
    assert "GoClaw Teams Bridge" in await page.title()
    assert [url for url in requested if not url.startswith(staged.base)] == []
    assert complaints == []


async def test_a_notice_tells_of_other_chats_and_opens_them(browser: Browser, staged: PageStage) -> None:
    page, complaints = await open_page(browser, staged)
    await expect(page.get_by_test_id("chat-groupChat")).to_be_visible()
    staged.show("1", "in sight", notify=True)
    staged.show("2", "quiet", chat="launch-team", who="bob")
    staged.show("3", "**Done**, Alice.", chat="launch-team", notify=True)
    notice = page.get_by_test_id("message-toast")
    await expect(notice).to_have_text("GoClaw in Launch teamDone, Alice.")
    await expect(page.get_by_test_id("chat-groupChat")).to_have_attribute("data-unread", "2")
    await notice.locator("a").click()
    await expect(notice).to_have_count(0)
    assert page.url.endswith("#alice/launch-team")
    await expect(page.get_by_test_id("chat-groupChat")).to_have_attribute("data-unread", "0")
    assert complaints == []


async def test_in_a_hidden_tab_the_title_counts_and_the_notice_waits(browser: Browser, staged: PageStage) -> None:
    page, _ = await open_page(browser, staged, "#alice/launch-team")
    await expect(page.get_by_test_id("chat-personal")).to_be_visible()
    see = "state => { Object.defineProperty(document, 'visibilityState', { value: state, configurable: true }); }"
    await page.evaluate(see, "hidden")
    staged.show("1", "Lunch?", who="bob", chat="launch-team", notify=True)
    await expect(page.get_by_test_id("message-toast")).to_contain_text("Bob in Launch team")
    await expect(page).to_have_title("(1) Alice Nguyen · GoClaw Teams Bridge")

    await page.evaluate(see, "visible")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.get_by_test_id("message-toast")).to_have_count(0)  # its chat is open: the message counts as seen
    await expect(page).to_have_title("Alice Nguyen · GoClaw Teams Bridge")


async def test_the_bots_requests_are_listed_live_filtered_and_explained(browser: Browser, staged: PageStage) -> None:
    staged.request(1, to="bot", path="/api/messages", status=200, chat="launch-team", what="message: hi")
    page, complaints = await open_page(browser, staged)
    await expect(page.get_by_test_id("traffic")).to_be_hidden()
    throttled = {"status": 429, "code": "Throttled", "verdict": "Refused: one request a second."}
    staged.request(2, what="stream 2", where="$.entities[0].streamSequence", **throttled)
    await expect(page.get_by_test_id("traffic-news")).to_have_text("1")

    await page.get_by_test_id("traffic-open").click()
    rows = page.get_by_test_id("request")
    await expect(rows).to_have_count(2)
    await expect(page.get_by_test_id("traffic-news")).to_be_hidden()
    await expect(rows.last).to_contain_text("Throttled Refused: one request a second.")
    await expect(rows.last.get_by_test_id("status-badge")).to_have_text("429")
    await expect(rows.last.get_by_text("streamSequence")).to_be_hidden()
    await rows.last.locator("summary").click()
    await expect(rows.last.get_by_text("$.entities[0].streamSequence")).to_be_visible()
    staged.request(3, status=None, to="bot", what="message: lost")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(1).get_by_text("$.entities[0].streamSequence")).to_be_visible()  # stays open
    await expect(rows.last.get_by_test_id("status-badge")).to_have_text("not reached")

    await page.get_by_test_id("traffic-refused").click()
    await expect(rows).to_have_count(2)
    await page.get_by_test_id("traffic-chat").click()
    await expect(rows).to_have_count(2)
    await page.goto(f"{staged.base}/#alice/launch-team")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("message: hi")
    await page.keyboard.press("Escape")
    await page.get_by_test_id("traffic-close").click()
    await expect(page.get_by_test_id("traffic-open")).to_be_focused()
    assert complaints == []


async def test_the_list_of_requests_keeps_its_scroll_position(browser: Browser, staged: PageStage) -> None:
    for number in range(1, 61):
        staged.request(number)
    page, _ = await open_page(browser, staged)
    await page.get_by_test_id("traffic-open").click()
    requests = page.get_by_test_id("traffic-list")
    await expect(page.get_by_test_id("request").last).to_be_in_viewport()
    await requests.evaluate("list => { list.scrollTop = 100; }")
    await expect(page.get_by_test_id("request").last).not_to_be_in_viewport()
    staged.request(61)
    await page.get_by_role("button", name="New requests").click()
    await expect(page.locator("[data-n='61']")).to_be_in_viewport()
    staged.request(62)
    await expect(page.locator("[data-n='62']")).to_be_in_viewport()


async def test_an_app_that_was_removed_can_be_added_again(browser: Browser, staged: PageStage) -> None:
    page, complaints = await open_page(browser, staged)
    await page.get_by_test_id("app-menu").click()
    await page.get_by_test_id("app-remove").click()
    await until(lambda: staged.asked)
    chat = staged.chats["personal-alice"] | {"app": "removed"}
    staged.news.announce({"type": "chat", "chat": chat})
    await expect(page.get_by_test_id("app-notice")).to_contain_text("GoClaw was removed from this chat")
    await page.get_by_test_id("app-add-again").click()
    await until(lambda: len(staged.asked) == 2)
    assert [body["action"] for _, _, body in staged.asked] == ["remove", "add"]
    assert complaints == []


async def test_on_a_phone_a_long_press_opens_the_actions_and_nothing_sticks_out(
    browser: Browser, staged: PageStage
) -> None:
    staged.show("1", "hold me", who="alice", quoted={"id": "0", "name": "GoClaw", "text": "long " * 60})
    staged.show("2", files=[offered(name="a-very-long-file-name-that-goes-on-and-on-for-ever.csv")], feedback=True)
    staged.request(1)
    page, complaints = await open_page(browser, staged, viewport=PHONE, has_touch=True, is_mobile=True)
    bubble = message(page, "1").get_by_test_id("message-text")
    await expect(bubble).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert await page.evaluate("document.getElementById('log').scrollWidth") <= PHONE["width"]

    box = await bubble.bounding_box()
    assert box is not None
    touches = await page.context.new_cdp_session(page)
    finger = {"x": box["x"] + 10, "y": box["y"] + 5}
    await touches.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [finger]})
    await expect(page.get_by_test_id("sheet")).to_be_visible()
    await touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await page.get_by_test_id("do-react-heart").click()
    await until(lambda: staged.asked)
    assert staged.asked[0][2] == {"as": "alice", "type": "heart", "on": True}
    await expect(page.get_by_test_id("sheet")).to_have_count(0)

    await page.get_by_test_id("traffic-open").click()
    await expect(page.get_by_test_id("request")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert complaints == []
