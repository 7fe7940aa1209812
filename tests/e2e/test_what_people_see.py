"""The whole product with the chat page in a real Chromium: progress, late answers and Stop."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import pytest_asyncio
from playwright.async_api import expect
from support.chromium import IN_BROWSER
from support.page_viewer import BOT, SLOWEST, Onlooker, Scene, Sight, scene
from support.process_world import told

from bridge.simulator.gateway.script import Say, UseTool, Wait
from bridge.simulator.teams.faults import Fault

pytestmark = [*IN_BROWSER, pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SEARCH = UseTool("web_search", {"query": "penguins"}, "1 result", 1.5)
CARD = '{"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "A card."}]}'
PENGUINS = (
    "There are **18** kinds of penguins, *all* of them in the south. They are:\n\n",
    "- **Emperor**\n- King\n\n",
)
SO_FAR = Say("So far I know this much, and I am looking for more. \n\n")
VERY_LONG = (
    "\n\n".join(f"Paragraph {n} is one of many. " * 20 for n in range(120))
    + "\n\n```text\n"
    + "code\n" * 4000
    + "```\n\nThat is all."
)
SCRIPTS = {
    "grow": (SEARCH, Say(PENGUINS[0]), Wait(1.5), Say(PENGUINS[1]), Wait(0.5), Say("That is all.")),
    "announce": (SO_FAR, Wait(1.5), UseTool("web_search", {}, ""), Say("I have found nothing at all.")),
    "be quiet": (Say("<think>a secret thought</think>"), Wait(1.2), Say("NO_"), Wait(1.0), Say("REPLY")),
    "a card alone": (Wait(1.2), Say(f"```adaptive-card\n{CARD}\n```")),
    "a long one": (Wait(1.2), Say(VERY_LONG)),
    "nearly there": (Wait(4), Say("Here it is all the same.")),
    "two seconds": (Wait(2), Say("That is all.")),
    "four seconds": (Wait(4), Say("That is all.")),
    "six seconds": (SO_FAR, Wait(6), Say("That is all.")),
    "without end": (SO_FAR, *(Say("And there is more of it. "), Wait(1.5)) * 100),
    "say it quietly": (UseTool("web_search", {"query": "penguins"}, "", 4.0), Say("NO_REPLY")),
    "late": (UseTool("exec", {}, "", 21.5), Say("It is done.")),
    "read along": (SO_FAR, Wait(21), Say("That is all.")),
}
NOT_HERE = Fault(403, "ContentStreamNotAllowed", "Content stream is not allowed")
TOO_LATE = Fault(403, "ContentStreamNotAllowed", "Content stream finished due to exceeded streaming time.")


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """People with slow questions in further chats, asked before Alice's personal chat begins."""

    alice: Onlooker
    chen: Onlooker
    bob: Onlooker
    group: Onlooker
    channel: Onlooker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("seen") / "world", SCRIPTS, BRIDGE_AGENT_CARDS="true") as here:
        yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def meanwhile(stage: Scene) -> Meanwhile:
    chen, bob = await stage.person("chen"), await stage.person("bob")
    await chen.say("late")
    for words in ("announce", "be quiet", "a card alone", "a long one"):
        await bob.say(words)  # asked in sequence, since Bob's lane runs a single turn
    group, channel = await stage.person("alice", "launch-team"), await stage.person("alice", "general")
    await group.say("late")
    await expect(group.own("late").get_by_test_id("delivery")).to_have_text("Delivered", timeout=SLOWEST)
    await channel.say("six seconds")
    await channel.say("say it quietly")
    await channel.say("read along")
    await channel.say("without end")
    await channel.reply("without end", "What's my name?")
    await chen.page.goto(f"{stage.world.teams.base}/#chen/launch-team")
    return Meanwhile(await stage.person("alice"), chen, bob, group, channel)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(meanwhile: Meanwhile) -> Onlooker:
    return meanwhile.alice


def streamed_texts(forms: list[Sight]) -> list[str]:
    """The texts shown in a stream before the final, in order."""
    return [form.text for form in forms if form.stream == "streaming"]


async def test_a_quick_answer_is_one_message_with_its_label_and_buttons(alice: Onlooker) -> None:
    answer = await alice.ask("I'm Alice", "Hello Alice.")

    for form in await alice.forms(answer):
        assert (form.stream, form.labelled, form.rated) == ("", True, True)
    assert {"typing": True} in await alice.diary()


async def test_an_answer_grows_in_a_stream_that_begins_with_an_activity_line(alice: Onlooker) -> None:
    before = await alice.answers.count()
    await alice.say("grow")
    await expect(alice.newest.get_by_test_id("stop-stream")).to_be_visible(timeout=SLOWEST)
    await alice.picture("stream")
    answer = await alice.reads("That is all.")
    await expect(answer.get_by_test_id("ai-label")).to_be_visible()
    await expect(answer.get_by_test_id("feedback-like")).to_be_visible()
    await expect(answer.locator("strong")).to_have_text(["18", "Emperor"])

    await alice.picture("answer")
    *shown, final = await alice.forms(answer)
    assert any("Searching: penguins" in form.text for form in shown)
    assert streamed_texts(shown)
    texts = [*streamed_texts(shown), final.text]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert not any("*" in text for text in texts)
    assert not any(form.labelled or form.rated or form.edited for form in shown)
    assert await alice.answers.count() == before + 1
    diary = await alice.diary()
    began = next(at for at, entry in enumerate(diary) if entry.get("stream"))
    assert {"typing": True} in diary[:began]
    assert {"typing": True} not in diary[began:]


async def test_an_answer_ready_before_the_bridge_hears_of_stop_is_still_shown(alice: Onlooker) -> None:
    await alice.say("nearly there")
    await alice.page.get_by_test_id("stop-stream").click()
    answer = await alice.reads("Here it is all the same.")

    await expect(alice.page.get_by_test_id("stopped").last).to_be_visible()
    assert [form.stream for form in await alice.forms(answer)] == [""]


async def test_stop_as_a_reply_keeps_the_shown_text_and_ends_the_waiting_question_too(alice: Onlooker) -> None:
    await alice.ask("I'm Alice", "Hello Alice.")
    answer = await alice.ask("without end", "So far I know this much")
    await alice.say("What's my name?")
    waiting = alice.own("What's my name?")
    await expect(waiting.get_by_test_id("reaction")).to_have_attribute("title", "GoClaw reacted with Eyes")
    await alice.picture("waiting")

    await alice.act(alice.own("I'm Alice"), "quote")
    await alice.say("/stop")
    await expect(answer).to_contain_text("Stopped. The agent may already have done part of the work.")
    await expect(answer).to_contain_text("So far I know this much")
    await alice.reads("Stopped before the agent was asked: “What's my name?”")
    await expect(waiting.get_by_test_id("reaction")).to_have_count(0)
    await alice.ask("What's my name?", "Your name is Alice.")


async def test_an_answer_may_replace_the_agents_announcement(meanwhile: Meanwhile) -> None:
    answer = meanwhile.bob.answers.filter(has_text="I have found nothing at all.")
    await expect(answer.get_by_test_id("edited")).to_be_visible(timeout=SLOWEST)
    forms = await meanwhile.bob.forms(answer)
    assert streamed_texts(forms)[-1] == "So far I know this much, and I am looking for more."
    assert forms[-1].text == "I have found nothing at all."


async def test_thoughts_and_chosen_silence_are_never_shown(meanwhile: Meanwhile) -> None:
    answer = meanwhile.bob.answers.filter(has_text=told("bob", "silent").strip("*"))
    await expect(answer).to_be_visible(timeout=SLOWEST)
    await expect(answer.get_by_test_id("ai-label")).to_have_count(0)
    shown = " ".join(str(entry.get("text")) for entry in await meanwhile.bob.diary())
    assert "NO_" not in shown
    assert "secret" not in shown


async def test_a_card_and_a_long_answer_replace_their_stream(meanwhile: Meanwhile) -> None:
    bob = meanwhile.bob
    card = bob.answers.filter(has_text="A card.")
    await expect(card.locator(".card")).to_have_text("A card.", timeout=SLOWEST)
    assert (await bob.forms(card))[0].stream == "informative"

    for place, buttons in (("(1/3)", 0), ("(2/3)", 0), ("(3/3)", 1)):
        part = bob.answers.filter(has_text=place)
        await expect(part.locator("p").last).to_have_text(place, timeout=SLOWEST)
        await expect(part.get_by_test_id("ai-label")).to_be_visible()
        await expect(part.get_by_test_id("feedback-like")).to_have_count(buttons)
        assert (await bob.forms(part))[0].stream == ("informative" if place == "(1/3)" else "")
        assert not any("```" in code for code in await part.locator("pre").all_inner_texts())


async def test_in_a_thread_the_answer_replaces_the_placeholder(meanwhile: Meanwhile) -> None:
    channel = meanwhile.channel
    answer = channel.thread("six seconds").locator(BOT)
    await expect(answer).to_have_count(1)
    await expect(answer).to_contain_text("Mention me to go on: I remember what is said to me in this thread.")
    await expect(answer.get_by_test_id("quoted")).to_have_text("Alice Nguyen@GoClaw six seconds")

    placed, grown, *_, final = await channel.forms(answer)
    assert placed.text == "Working on it …Stop"
    assert grown.text.startswith("So far I know this much")
    assert grown.text.endswith("Working on it …Stop")
    assert "That is all." in final.text
    assert (placed.labelled, grown.labelled, final.labelled) == (False, True, True)
    assert (placed.rated, grown.rated, final.rated) == (False, False, True)


async def test_in_a_thread_chosen_silence_leaves_one_line(meanwhile: Meanwhile) -> None:
    answer = meanwhile.channel.thread("say it quietly").locator(BOT)
    await expect(answer).to_have_count(1)
    await expect(answer.locator(".bubble")).to_have_text(re.compile(r"✓ Searching: penguins · \d s"))


async def test_a_late_answer_is_a_new_message_with_a_mention_of_the_asker(meanwhile: Meanwhile) -> None:
    group, chen = meanwhile.group, meanwhile.chen
    answer = await group.reads("It is done.")
    await expect(answer.locator(".mention")).to_have_text("Alice Nguyen")
    await expect(answer.get_by_test_id("quoted")).to_have_text("Alice Nguyen@GoClaw late")
    await expect(answer).to_contain_text("Mention me to go on: I remember what is said to me in this chat.")
    await group.picture("group")
    progress = group.answers.nth(0)
    await expect(progress.locator(".bubble")).to_have_text(re.compile(r"✓ Running a program · 2\d s"))
    assert "Running a program · 10 s" in " ".join(form.text for form in await group.forms(progress))
    assert {"typing": True} in await group.diary()
    assert {"typing": True} not in await meanwhile.channel.diary()

    # chosen silence shows no message in a group, and a command may mention the bot
    await group.say("stay silent")
    await group.ask("What's my name?", "Teams says your name is Alice Nguyen.")
    await group.ask("/stop", "there is nothing to stop")
    await expect(group.answers).to_have_count(4)

    # Chen had a different chat open, and the client showed a notification
    assert any("It is done." in str(entry.get("toast")) for entry in await chen.diary())
    await chen.page.goto(f"{chen.page.url.partition('#')[0]}#chen/personal-chen")
    await chen.reads("It is done.")
    await expect(chen.answers.nth(1).locator(".bubble")).to_have_text(re.compile(r"✓ 正在运行程序 · 2\d 秒"))


async def test_an_answer_whose_text_was_readable_early_is_no_second_message(meanwhile: Meanwhile) -> None:
    answer = meanwhile.channel.thread("read along").locator(BOT)
    await expect(answer).to_contain_text("That is all.", timeout=SLOWEST)
    await expect(answer).to_have_count(1)


async def test_trouble_with_progress_never_costs_the_answer(stage: Scene, alice: Onlooker) -> None:
    stage.world.teams.faults.order("stream", Fault(500))
    answer = await alice.ask("two seconds", "That is all.")

    assert [form.stream for form in await alice.forms(answer)] == [""]


async def test_where_streams_are_refused_a_placeholder_is_shown(stage: Scene, alice: Onlooker) -> None:
    stage.world.teams.faults.order("stream", NOT_HERE)
    answer = await alice.ask("four seconds", "That is all.")

    placed, *_, final = await alice.forms(answer)
    assert placed.text.startswith("Working on it")
    assert (placed.edited, final.edited) == (False, True)
    await expect(answer.get_by_role("button", name="Stop")).to_have_count(0)


async def test_a_stream_ended_by_teams_goes_on_as_edits(stage: Scene, alice: Onlooker) -> None:
    await alice.say("grow")
    await expect(alice.newest.get_by_test_id("stop-stream")).to_be_visible(timeout=SLOWEST)
    stage.world.teams.faults.order("stream", TOO_LATE)
    answer = await alice.reads("That is all.")

    await expect(answer.get_by_test_id("ai-label")).to_be_visible()
    first, *_, final = await alice.forms(answer)
    assert (first.stream, first.edited, final.stream, final.edited) == ("informative", False, "", True)


async def test_the_clients_stop_button_ends_the_answer_and_keeps_its_text(alice: Onlooker) -> None:
    await alice.say("without end")
    answer = await alice.reads("So far I know this much")
    await answer.get_by_test_id("stop-stream").click()
    await expect(answer.get_by_test_id("stopped")).to_have_text("You stopped this answer.")
    await alice.reads("Stopped. The agent may already have done part of the work.")
    await expect(answer).to_contain_text("So far I know this much")


async def test_in_a_group_any_member_may_stop_a_run_and_the_note_names_them(stage: Scene, meanwhile: Meanwhile) -> None:
    bob = await stage.person("bob", "general")
    thread = bob.thread("without end")
    await expect(thread.locator(BOT).first).to_contain_text("So far I know this much")
    await meanwhile.channel.picture("channel")
    waits = thread.get_by_text("I'm still busy with the question before yours.")
    await expect(waits).to_have_count(1, timeout=2 * SLOWEST)  # one note after half a minute
    await thread.get_by_role("button", name="Stop").click()
    await expect(thread.locator(BOT).first).to_contain_text(
        "Bob Tran stopped Alice Nguyen's question.", timeout=SLOWEST
    )
    await expect(thread.get_by_test_id("action-note")).to_have_count(0)
    await bob.picture("stopped-by")
