"""The stand-in agent: answers, memory, and honesty about being no model; cleaning of texts, JSON, rate limit."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.core.markdown.blocks import HEAD_COLUMNS
from bridge.simulator.gateway import go_json
from bridge.simulator.gateway.access import RateLimit
from bridge.simulator.gateway.agent import phrases, reply
from bridge.simulator.gateway.model import base_url
from bridge.simulator.gateway.sanitise import cut_for_model, sanitise, visible
from bridge.simulator.gateway.script import Deliver, Fail, Say, Script, Think, UseTool, Wait

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def answer(*said: str) -> Script:
    """The script for the last message of a session with the given earlier messages."""
    return reply(said[-1], [{"role": "user", "content": text} for text in said[:-1]], NOW)


def words(script: Script) -> str:
    return "".join(step.text for step in script if isinstance(step, Say))


@pytest.mark.parametrize(
    "told", ["I'm Alice", "I’m Alice.", "I am Alice!", "my name is Alice", "call me Alice, please"]
)
@pytest.mark.parametrize("asked", ["What's my name?", "what’s my name", "So, what is my name?"])
def test_the_agent_remembers_a_name_from_its_session(told: str, asked: str) -> None:
    assert words(answer(told, "something else", asked)) == "Your name is Alice."


def test_the_agent_knows_no_name_in_another_session() -> None:
    assert "I do not know your name" in words(answer("What's my name?"))


def test_a_mood_is_no_name() -> None:
    assert "I do not know your name" in words(answer("I'm tired", "What's my name?"))


def test_a_counting_answer_grows_line_by_line() -> None:
    script = answer("count to 60")

    assert words(script).endswith("This is number 60 of the 60 that I was asked to count.")
    assert all(len(line) > HEAD_COLUMNS for line in words(script).splitlines())
    assert len([step for step in script if isinstance(step, Wait)]) == 59


def test_the_last_name_counts() -> None:
    assert words(answer("I'm Alice", "I'm Bob", "What's my name?")) == "Your name is Bob."


def test_the_agent_recalls_the_facts_it_was_told_to_remember() -> None:
    told = ("I'm Alice", "Remember: the launch is on Friday", "Please remember that tea is green")
    recalled = words(answer(*told, "What did I tell you?"))
    assert recalled.splitlines()[2:] == ["- Your name is Alice.", "- the launch is on Friday", "- tea is green"]


def test_messages_asked_together_are_all_remembered() -> None:
    assert "Alice" in words(answer("I'm Alice\nRemember: x", "What's my name?"))


def test_in_a_group_everybody_has_their_own_name_and_facts_bear_theirs() -> None:
    told = ("[From: Ann Lee] I'm Annie", "[From: Bob] Remember: bring cake")
    assert words(answer(*told, "[From: Ann Lee] What's my name?")) == "Your name is Annie."
    assert "Teams says your name is Bob" in words(answer(*told, "[From: Bob] What's my name?"))
    assert "- Bob: bring cake" in words(answer(*told, "[From: Ann Lee] What did I tell you?"))


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("take 20 seconds", 20), ("please take 0.5 s", 0.5), ("take 2 minutes", 120), ("take 99999 seconds", 600)],
)
def test_the_agent_waits_as_long_as_asked_but_at_most_ten_minutes(asked: str, seconds: float) -> None:
    assert answer(asked)[0] == Wait(seconds)


def test_a_tool_is_announced_used_and_then_answered() -> None:
    before, tool, after = answer("what time is it?")
    assert isinstance(before, Say)
    assert isinstance(tool, UseTool)
    assert (tool.name, tool.result) == ("datetime", "2026-03-01T09:30:00+00:00")
    assert after == Say("The gateway's clock says 2026-03-01T09:30:00+00:00.")


def test_the_agent_researches_with_thoughts_a_search_and_a_missing_page() -> None:
    script = answer("please research sea birds")
    tools = [step for step in script if isinstance(step, UseTool)]
    assert isinstance(script[0], Think)
    assert [(tool.name, tool.failed) for tool in tools] == [("web_search", False), ("web_fetch", True)]
    assert tools[0].arguments == {"query": "sea birds"}


def test_a_failure_carries_raw_provider_words_and_the_asked_status() -> None:
    (step,) = answer("let the provider fail with 429")
    assert isinstance(step, Fail)
    assert step.status == 429
    assert "acct_4711" in step.words


def test_silence_and_an_empty_answer_are_raw_model_texts() -> None:
    assert answer("stay silent") == (Say("NO_REPLY"),)
    assert answer("say nothing") == (Say(""),)


def test_a_file_is_delivered_and_linked_under_a_name_of_its_content() -> None:
    deliver, said = answer("Remember: x", "send me a file")
    assert isinstance(deliver, Deliver)
    assert "- x" in deliver.text
    assert f"(/v1/files/workspace/{deliver.name})" in words((said,))
    assert answer("Remember: y", "send me a file")[0] != deliver


def test_the_long_answer_must_be_split_and_closes_its_code_fences() -> None:
    text = words(answer("write a long answer"))
    assert len(text.encode()) > 100_000
    assert text.count("```") % 2 == 0


@pytest.mark.parametrize("said", ["hello", "", "   ", "[From: Bob]", "<script>alert(1)</script>"])
def test_an_unknown_message_is_answered_by_an_agent_that_says_it_is_a_stand_in(said: str) -> None:
    assert "I am the stand-in agent, not a model" in words(answer(said))


def test_every_phrase_of_the_table_is_understood() -> None:
    assert [sorted(row) for row in phrases()] == [["say", "shows"]] * len(phrases())
    for row in phrases():
        assert "I read:" not in words(answer(row["say"])), row["say"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("<think>secret</think>Visible", "Visible"),
        ("<think>never closed", "..."),
        ("Here\nMEDIA:/workspace/foo.png\nend", "Here\nend"),
        ("NO_REPLY, really", ""),
        ("Fine. NO_REPLY", "Fine. NO_REPLY"),
        ("", "..."),
    ],
)
def test_a_models_text_is_cleaned_as_the_gateway_does(said: str, shown: str) -> None:
    assert visible(sanitise(said)) == shown


def test_a_text_over_32000_bytes_is_cut_with_a_remark() -> None:
    assert cut_for_model("x" * 32_000) == "x" * 32_000
    cut = cut_for_model("x" * 40_000)
    assert cut == "x" * 32_000 + (
        "\n\n[System: Message was truncated from 40000 to 32000 characters due to size limit. Please ask the user"
        " to send shorter messages or use the read_file tool for large content.]"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b'{"a":',
        b'{"a":"x',
        b"{'a':1}",
        b'{"a" 1}',
        b'{"a":1 "b"}',
        b"[1 2]",
        b"\x1f",
        b"NaN",
        b"[-Infinity]",
        b"[" * 200_000,
    ],
)
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(go_json.NotJsonError):
        go_json.decode(body)


def test_a_number_of_any_length_is_read() -> None:
    assert go_json.decode(b"1" * 10_000) == float("inf")


def test_the_first_value_of_a_body_is_read_and_bytes_behind_it_are_ignored() -> None:
    assert go_json.decode(b'{"a":[1,-2.5e1,true,null,"\\u00e9"]} junk') == {"a": [1, -25.0, True, None, "é"]}


def test_the_bucket_holds_five_and_refills_by_the_minute() -> None:
    limit = RateLimit(20)
    assert [limit.take("a", 100.0) for _ in range(6)] == [True] * 5 + [False]
    assert limit.take("b", 100.0), "another bearer has its own"
    assert not limit.take("a", 102.9)
    assert limit.take("a", 103.1)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://host:11434", "http://host:11434/v1"),
        ("http://host/v1/", "http://host/v1"),
        ("https://host/v1beta/openai", "https://host/v1beta/openai"),
        ("http://host/v1/chat/completions", "http://host/v1"),
    ],
)
def test_a_model_address_may_come_with_or_without_version(url: str, base: str) -> None:
    assert base_url(url) == base
