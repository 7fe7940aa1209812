"""The whole product with the chat page in Chromium: answers, files, failures, edits and switched-off features."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Locator, expect
from support.chromium import IN_BROWSER
from support.page_viewer import BOT, SLOWEST, Onlooker, Scene, scene
from support.process_world import told

from bridge.simulator.gateway.script import Fail, Say, UseTool, Wait
from bridge.simulator.teams.world import PEOPLE

pytestmark = [*IN_BROWSER, pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CARD = (
    '{"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "Lunch is at noon."}],'
    ' "actions": [{"type": "Action.OpenUrl", "title": "Menu", "url": "https://example.com/menu"}]}'
)
WIDE_TABLE = """| Name of the city | What it is known for by everybody | Where to read more of it |
|---|---|---|
| Tokyo | the largest city of the world | [its page](https://example.com/tokyo) |"""
HOSTILE = """The formula $E = mc^2$ is <b>bold</b>.<br>Next line. <at>Bob Tran</at> <script>alert(1)</script>

[press](javascript:alert) ![a pixel](https://other.example/pixel.png)

```html-widget
<p>a program</p>
```"""
DOT = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
PLAN = FilePayload(name="plan.md", mimeType="text/markdown", buffer=b"the plan is blue")
SHEET = FilePayload(name="sheet.xlsx", mimeType="application/octet-stream", buffer=b"PK\x03\x04\x00\xff")
SWITCHED_OFF = {
    f"BRIDGE_{feature}": "false" for feature in ("STREAMING", "NOTIFY", "REACTIONS", "FEEDBACK", "AGENT_CARDS")
}
SO_FAR = Say("So far I know this much, and I am looking for more. \n\n")
SCRIPTS = {
    "wide": (Say(WIDE_TABLE),),
    "hostile": (Say(HOSTILE),),
    "html": (
        Say(
            "<ol>\n<li>First<ul><li>Inner</li></ul></li>\n\n<li>Second</li>\n</ol>\n"
            "<table><tr><th>Name</th><th>Sum</th></tr><tr><td>Ann</td><td>12</td></tr></table>\n\n"
            "| a | b |\n|---|---|\n| 1 | 2 |\nThat was the table.\n"
        ),
    ),
    "重要": (Say("**提醒：**请在周五之前交报告。これは**「大切」**な点です。**중요(필독):**내용을 확인하세요。"),),
    "card": (Say(f"Here is a card:\n\n```adaptive-card\n{CARD}\n```"),),
    "picture": (Say("![a dot](/v1/files/workspace/dot.png) and [lost](/v1/files/workspace/lost.txt)"),),
    "search": (UseTool("web_search", {"query": "chim"}, "", 1.5), Say("It is done.")),
    "without end": (SO_FAR, Wait(300)),
    "late": (UseTool("exec", {}, "", 21), Say("It is done.")),
    "four seconds": (Wait(4), Say("That is all.")),
    "break down": (SO_FAR, Wait(1.3), Fail(400, "the raw words of a provider")),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    data = tmp_path_factory.mktemp("done") / "world"
    settings = {"BRIDGE_AGENT_CARDS": "true", "BRIDGE_STARTERS": "What's my name?;show me a table"}
    async with scene(data, SCRIPTS, **settings) as here:
        (data / "gateway" / "workspace").mkdir(parents=True, exist_ok=True)
        (data / "gateway" / "workspace" / "dot.png").write_bytes(DOT)
        yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(stage: Scene) -> Onlooker:
    return await stage.person("alice")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bob(stage: Scene) -> Onlooker:
    """Bob, who asks much: in his chat progress may be skipped, as Teams' limits leave no room."""
    return await stage.person("bob")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Bob's chat with deleted questions, Chen's chat with the bot removed, and the number of answers in both before."""

    bob: Onlooker
    chen: Onlooker
    answers: tuple[int, int]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def withdrawn(stage: Scene, bob: Onlooker) -> Withdrawn:
    chen = await stage.person("chen", "launch-team")
    await bob.ask("I'm Bob", "Hello Bob.")
    await chen.say("without end")
    await bob.ask("without end", "So far I know this much")
    answers = await bob.answers.count(), await chen.answers.count()
    await bob.act(bob.own("without end"), "delete")
    await bob.act(bob.own("I'm Bob"), "delete")
    await chen.page.get_by_test_id("app-menu").click()
    await chen.page.get_by_test_id("app-remove").click()
    await chen.page.get_by_test_id("app-add-again").click()
    await expect(chen.page.get_by_test_id("app-add-again")).to_have_count(0)
    return Withdrawn(bob, chen, answers)


async def test_everybody_is_greeted_once_in_their_own_language(stage: Scene, alice: Onlooker, bob: Onlooker) -> None:
    for person, greeting in ((alice, "Hello! I connect you with the agent demo."), (bob, "Xin chào! Tôi kết nối bạn")):
        await expect(person.answers).to_have_count(1)
        await expect(person.newest).to_contain_text(greeting)
        await expect(person.newest.locator("li").last).to_have_text("show me a table")
        await expect(person.newest.get_by_test_id("ai-label")).to_have_count(0)

    await bob.ask("/help", "Tôi chuyển tin nhắn của bạn đến trợ lý")
    answer = await bob.ask("search", "It is done.")
    assert "Đang tìm" in (await bob.forms(answer))[0].text
    chen = await stage.person("chen", "launch-team")
    await chen.ask("/status", "没有任务在运行")


@pytest.mark.usefixtures("withdrawn")  # first, so that the withdrawn runs end during the test
async def test_edits_and_deletions_of_running_and_waiting_questions(alice: Onlooker) -> None:
    await alice.ask("I'm Alice", "Hello Alice.")
    await alice.ask("without end", "So far I know this much")
    for words in ("first words", "never mind", "to become a command"):
        await alice.say(words)
        await expect(alice.own(words).get_by_test_id("delivery")).to_have_text("Delivered", timeout=SLOWEST)
    await alice.edit("first words", "What's my name?")
    await alice.edit("to become a command", "/help")
    await alice.act(alice.own("never mind"), "delete")
    await alice.edit("without end", "show me a table")
    offer = await alice.reads("You changed your message, but I had already asked the agent with the old text.")
    await offer.get_by_role("button", name="Use new text").click()
    await expect(offer).to_contain_text("Asking with your new text instead.", timeout=SLOWEST)
    await alice.reads("São Paulo")
    await expect(alice.answers.nth(-2)).to_contain_text("Your name is Alice.")
    await expect(alice.page.locator(BOT).filter(has_text="never mind")).to_have_count(0)
    await expect(alice.page.locator(BOT).filter(has_text="to become a command")).to_have_count(0)
    await alice.page.get_by_test_id("undo").click()  # the restored question was never asked, so the bridge asks now
    await alice.reads("never mind")
    await alice.edit("never mind", "What's my name?")
    again = await alice.reads("I can ask the agent again with the new text.")
    await again.get_by_role("button", name="Ask again with your edit").click()
    await alice.reads("Your name is Alice.")


async def test_a_failure_has_a_sentence_and_a_button_and_keeps_the_text_shown_before(alice: Onlooker) -> None:
    note = await alice.ask("break down", "The agent's language model failed.")
    await expect(note).to_contain_text("So far I know this much")
    assert "raw words" not in " ".join(str(entry.get("text")) for entry in await alice.diary())
    failed = await alice.ask("let the provider fail with 400", "The agent's language model failed.")
    await expect(failed.locator(".card")).to_contain_text("T-")
    before = await alice.answers.count()
    await failed.get_by_role("button", name="Ask again").dblclick()
    await expect(alice.answers).to_have_count(before + 1, timeout=SLOWEST)
    await expect(failed.locator(".card")).to_contain_text("Asked again.")
    await expect(failed.get_by_role("button", name="Ask again")).to_have_count(0)
    await alice.reads("The agent's language model failed.")


async def test_a_deleted_question_and_a_removed_bot_end_their_runs_silently(stage: Scene, withdrawn: Withdrawn) -> None:
    await stage.world.idle()
    bob, chen = withdrawn.bob, withdrawn.chen
    assert (await bob.answers.count(), await chen.answers.count()) == withdrawn.answers
    await expect(bob.answers.nth(-2)).to_contain_text("Hello Bob.")
    await expect(bob.newest).to_contain_text("So far I know this much")


async def test_only_the_asker_may_ask_again(stage: Scene) -> None:
    alice, bob = await stage.person("alice", "launch-team"), await stage.person("bob", "launch-team")
    await alice.ask("let the provider fail with 400", "The agent's language model failed.")
    await bob.newest.get_by_role("button", name="Ask again").click()
    await expect(bob.newest.get_by_test_id("action-note")).to_have_text(told("bob", "again_not_yours"))
    await expect(alice.newest.get_by_role("button", name="Ask again")).to_be_visible()


async def test_markdown_becomes_what_teams_shows(bob: Onlooker) -> None:
    answer = await bob.ask("show me markdown", "Characters that must survive: < > & \" ' * 😀 日本語 👩‍👩‍👧.")

    await expect(answer.locator("p > strong")).to_have_text(["A heading", "bold", "Lists"])
    for mark, words in (("em", "italic"), ("s", "struck"), ("p code", "code"), ("a", "link"), ("ol ul li", "nested")):
        await expect(answer.locator(f".rich {mark}").first).to_have_text(words)
    await expect(answer.locator("li").filter(has_text="task")).to_have_text("☑ a done task")
    await expect(answer.locator("blockquote br")).to_have_count(1)
    await expect(answer.locator("p").filter(has_text="———")).to_be_visible()


async def test_tables_and_code_are_aligned_and_wide_tables_become_rows(bob: Onlooker) -> None:
    answer = await bob.ask("show me a table", "São Paulo")
    header, _, tokyo, *_ = (await answer.locator("pre").inner_text()).splitlines()
    assert header.index("Country") == tokyo.index("Japan")
    answer = await bob.ask("show me code", "Here is a function")
    await expect(answer.locator("pre code").first).to_have_class("language-python")
    answer = await bob.ask("wide", "Where to read more of it: its page")
    await expect(answer.locator("pre")).to_have_count(0)
    await expect(answer.get_by_role("link", name="its page")).to_have_attribute("href", "https://example.com/tokyo")


async def test_bold_text_beside_chinese_japanese_and_korean_is_bold(bob: Onlooker) -> None:
    answer = await bob.ask("重要", "내용을")

    await expect(answer.locator("strong")).to_have_text(
        [re.compile("提醒："), re.compile("「大切」"), re.compile("중요")]
    )
    assert "*" not in await answer.locator(".rich").inner_text()


async def test_lists_and_tables_in_html_are_shown_as_such(bob: Onlooker) -> None:
    answer = await bob.ask("html", "That was the table.")

    await expect(answer.locator("ol > li")).to_have_count(2)
    await expect(answer.locator("ol ul li")).to_have_text("Inner")
    await expect(answer.locator("pre")).to_have_text([re.compile(r"Name\s+Sum"), re.compile(r"a\s+b")])
    await expect(answer.locator("p").filter(has_text="That was the table.")).to_be_visible()
    assert "<" not in await answer.locator(".rich").inner_text()


async def test_a_models_text_is_shown_complete_and_harmless(bob: Onlooker) -> None:
    answer = await bob.ask("hostile", "<p>a program</p>")

    words = await answer.locator(".rich").inner_text()
    assert "<at>Bob Tran</at> <script>alert(1)</script>" in words
    await expect(answer.locator("code").first).to_have_text("E = mc²")
    await expect(answer.locator("strong")).to_have_text("bold")
    await expect(answer.locator(".rich :is(img, script, .mention)")).to_have_count(0)
    await expect(answer.locator(".rich a")).to_have_text("a pixel")


async def test_a_card_of_the_agents_opens_pages_only(bob: Onlooker) -> None:
    answer = await bob.ask("card", "Lunch is at noon.")
    await expect(answer.locator(".card").get_by_role("link")).to_have_attribute("href", "https://example.com/menu")
    await expect(answer.get_by_test_id("ai-label")).to_be_visible()


async def test_a_picture_is_shown_and_a_missing_file_leaves_a_word(bob: Onlooker) -> None:
    await bob.say("picture")
    await expect(bob.newest.get_by_test_id("file-picture")).to_be_visible(timeout=SLOWEST)
    await expect(bob.answers.nth(-2)).to_contain_text(f"a dot and lost {told('bob', 'file_gone')}")


async def test_a_file_is_offered_and_saved_or_declined(alice: Onlooker) -> None:
    for word, outcome in (("accept", "is in your OneDrive now."), ("decline", "so I didn't save it.")):
        before = await alice.answers.count()
        await alice.ask("send me a file", "GoClaw would like to send you a file")
        await alice.newest.get_by_test_id(f"consent-{word}").click()
        offer = alice.answers.nth(before + 1)
        await expect(offer).to_contain_text(outcome, timeout=SLOWEST)
        await expect(offer.get_by_test_id("consent")).to_have_count(0)
        await expect(alice.answers).to_have_count(before + (3 if word == "accept" else 2))
    await expect(alice.page.locator(BOT).get_by_role("link", name="Download")).to_have_count(1)


async def test_a_persons_text_file_reaches_the_agent_and_a_binary_file_gets_a_note(alice: Onlooker) -> None:
    await alice.page.get_by_test_id("file-field").set_input_files([PLAN, SHEET])
    await expect(alice.page.get_by_test_id("attached")).to_have_count(2)
    await alice.say("read this")

    answer = alice.answers.filter(has_text="the plan is blue")
    await expect(answer).to_contain_text("The user also attached 1 file(s)", timeout=SLOWEST)
    note = alice.answers.filter(has_text="Not everything that you sent")
    await expect(note).to_contain_text("sheet.xlsx: I can pass on text only", timeout=SLOWEST)


async def test_in_a_group_files_are_behind_links_and_teams_keeps_peoples_files(stage: Scene) -> None:
    group = await stage.person("alice", "launch-team")
    await group.page.get_by_test_id("file-field").set_input_files([PLAN])
    await group.say("read this")
    for words in ("I read, from Alice Nguyen:", "Teams gives bots files in personal chats only."):
        await expect(group.answers.filter(has_text=words)).to_be_visible(timeout=SLOWEST)

    answer = await group.ask("send me a file", "Here are my notes:")
    link = str(await answer.get_by_role("link").get_attribute("href"))
    assert "Notes of the stand-in agent" in await (await group.page.request.get(link)).text()
    assert not (await group.page.request.get(link.replace("sig=", "sig=A"))).ok
    gina = await stage.person("gina", "general")
    await gina.ask("hello", "I only answer members of this organisation, and you are a guest here.")


async def test_answers_are_rated_with_words(bob: Onlooker) -> None:
    answer = await bob.ask("I'm Bob", "Hello Bob.")
    for thumb, thanks in (("dislike", "You were not content."), ("like", "You found this helpful.")):
        await answer.get_by_test_id(f"feedback-{thumb}").click()
        await answer.get_by_test_id("feedback-text").fill("my words")
        await answer.get_by_test_id("feedback-send").click()
        await expect(answer.get_by_test_id("feedback-given")).to_contain_text(thanks)
    await bob.act(answer, "react-heart")
    await expect(answer.get_by_test_id("reaction")).to_have_attribute("title", "You reacted with Heart")


async def test_a_command_is_a_whole_message_and_a_quote_is_sent_with_its_question(alice: Onlooker) -> None:
    note = await alice.ask("/halt", "I don't know the command /halt, so I did not pass it to the agent.")
    await expect(note.locator("li").first).to_contain_text("/new")
    await alice.ask("/stop it please", "I read:")
    await alice.ask("I'm Alice", "Hello Alice.")
    await alice.act(alice.own("I'm Alice"), "quote")
    answer = await alice.ask("and what of this?", "I read:")
    await expect(answer.locator("blockquote").first).to_contain_text("I'm Alice")
    await expect(answer).to_contain_text("and what of this?")


async def test_an_emoji_is_a_word_and_no_picture(alice: Onlooker) -> None:
    before = await alice.answers.count()
    answer = await alice.ask("is that a 👍 or a 🎉?", "I read:")
    await expect(answer).to_contain_text("is that a 👍 or a 🎉?")
    assert await alice.answers.count() == before + 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crashed(stage: Scene, alice: Onlooker) -> Locator:
    """The live message shown at a kill; the bridge is back with several features off."""
    shown = await alice.ask("without end", "So far I know this much")
    stage.world.bridge.kill()
    await stage.world.restart(**SWITCHED_OFF, BRIDGE_MERGE="true")
    return shown


async def test_after_a_crash_the_note_replaces_the_live_message(alice: Onlooker, crashed: Locator) -> None:
    await expect(crashed).to_contain_text("I was restarted while the agent was working", timeout=SLOWEST)
    await expect(crashed.get_by_role("button", name="Ask again")).to_be_visible()
    assert await alice.id_of(alice.newest) == await alice.id_of(crashed)


@pytest.mark.usefixtures("crashed")
async def test_each_feature_can_be_switched_off(alice: Onlooker, bob: Onlooker) -> None:
    before = await bob.answers.count()
    card = await alice.ask("card", "Lunch is at noon.")  # after the wait that follows the crash
    await expect(card.locator("pre")).to_contain_text("AdaptiveCard")
    await bob.say("late")
    await alice.say("four seconds")
    for words in ("one thing", "another thing"):
        await alice.say(words)
        await expect(alice.own(words).get_by_test_id("delivery")).to_have_text("Delivered", timeout=SLOWEST)
    answer = await alice.reads("another thing")
    await expect(answer).to_contain_text("one thing")
    await expect(answer.get_by_test_id("ai-label")).to_be_visible()
    await expect(answer.get_by_test_id("feedback-like")).to_have_count(0)
    placed, *_, final = await alice.forms(alice.answers.nth(-2))
    assert (placed.text, final.text) == ("Working on it …Stop", "That is all.")
    assert not any(form.marked for form in await alice.forms(alice.own("one thing")))
    late = await bob.reads("It is done.")  # replaces the placeholder, however late
    placed, *_, final = await bob.forms(late)
    assert (placed.edited, final.edited) == (False, True)
    await expect(bob.answers).to_have_count(before + 1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(stage: Scene) -> None:
    """Restart the bridge with most features off, texts kept for 0.4 s, two allowed people and a low rate limit."""
    stage.world.bridge.kill()
    few = f"{PEOPLE['alice'].aad_id},{PEOPLE['chen'].aad_id}"
    small = {"BRIDGE_KEEP_TEXT_HOURS": "0.0001", "BRIDGE_MAX_WAITING_LANE": "1"}
    rate = {"GOCLAW_RATE_LIMIT": "1", "GOCLAW_RATE_BURST": "1"}
    shown = {"BRIDGE_PROGRESS": "false", "BRIDGE_WELCOME": "false", "BRIDGE_PEOPLE": few}
    await stage.world.restart(**shown, **small, **rate)


@pytest.mark.usefixtures("plain")
async def test_a_bot_with_most_features_off_and_few_allowed_people(stage: Scene, alice: Onlooker) -> None:
    chen, bob = await stage.person("chen", "personal-chen"), await stage.person("bob")
    answer = await chen.ask("search", "It is done.")
    assert len(await chen.forms(answer)) == 1
    assert {"typing": True} in await chen.diary()
    await expect(chen.answers).to_have_count(1)  # no greeting
    await bob.ask("search", PEOPLE["bob"].aad_id)
    await alice.ask("and I?", "your question is kept and number 1 in line, about 60 s to go.")
    await alice.ask("/stop", told("alice", "stopped_early"))

    async with stage.world.http.post(f"{stage.world.bridge.admin}/api/pause") as paused:
        assert paused.ok
    await chen.ask("and this?", told("chen", "waiting_paused"))
    await chen.ask("one too many", told("chen", "overloaded").partition("**")[0])
    await chen.ask("/stop", told("chen", "stopped_early"))


@pytest.mark.usefixtures("plain")
async def test_ask_again_says_so_when_the_text_is_gone(crashed: Locator) -> None:
    await crashed.get_by_role("button", name="Ask again").click()
    await expect(crashed.get_by_test_id("action-note")).to_have_text(told("alice", "again_gone"))
