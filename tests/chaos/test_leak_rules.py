"""The checker on texts at the wrong person, words of providers and late outcomes, over histories written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.core.texts import ENGLISH, say
from chaos.allowed_words import MORE, is_allowed
from chaos.checker import check
from chaos.records import (
    LINE,
    BotMessage,
    GatewayRun,
    History,
    PersonAction,
    PersonMessage,
    SessionDeleted,
    Trouble,
    Violation,
)

NOTES = ("I was restarted", "Stopped.")
ANN, BOB = PersonMessage("m1", "ann", "t1", 0.0, 0.1), PersonMessage("m2", "bob", "t2", 1.0, 1.1)
TO_ANN, TO_BOB = BotMessage(2.0, "ann", "re [t1]", "m1"), BotMessage(3.0, "bob", "re [t2]", "m2")
RUN_ANN = GatewayRun("ann", ("t1",), 0.2, 1.9, "answered")
RUN_BOB = GatewayRun("bob", ("t2",), 2.1, 2.9, "answered")
GOOD = History([ANN, BOB], [TO_ANN, TO_BOB], [RUN_ANN, RUN_BOB])
RAW = 'internal error: openai: HTTP 429 {"error":{"type":"rate_limit_error"}}'


def found(history: History) -> list[Violation]:
    return list(check(replace(history, outcome_notes=NOTES)).violations)


def kinds(history: History) -> list[str]:
    return [violation.kind for violation in found(history)]


def also(shown: BotMessage) -> History:
    """The good history, and one more message of the bridge."""
    return replace(GOOD, bot_messages=[*GOOD.bot_messages, shown])


def test_a_good_history_has_no_violations() -> None:
    assert kinds(GOOD) == []


@pytest.mark.parametrize(
    "shown",
    [
        replace(TO_ANN, lane="bob"),
        replace(TO_ANN, lane="bob", reply_to="m2"),
        replace(TO_ANN, lane="bob", reply_to="", text=f"re [t1]{LINE}{ENGLISH['stopped']}"),
        BotMessage(4.0, "bob", ENGLISH["help_group"][:20] + " …", "m1"),
        BotMessage(4.0, "bob", '<quoted messageId="m1"/>re [t2]', "m2"),
        BotMessage(4.0, "bob", "<at>bobby</at> re [t2]", "m2"),
    ],
)
def test_a_text_about_a_message_of_a_different_lane_is_found(shown: BotMessage) -> None:
    assert ("another's answer", "bob") in {(violation.kind, violation.lane) for violation in found(also(shown))}
    # also as progress, and where a different text has replaced the message
    replaced = replace(GOOD, visible=[shown])
    assert [(violation.kind, violation.lane) for violation in found(replaced)] == [("another's answer", "bob")]


def test_a_quote_and_a_mention_of_the_own_people_is_no_leak() -> None:
    answer = replace(TO_BOB, text='<quoted messageId="m2"/><at>bob 2</at> re [t2]')
    assert kinds(replace(GOOD, bot_messages=[TO_ANN, answer])) == []


@pytest.mark.parametrize(
    "run",
    [
        replace(RUN_ANN, lane="bob"),
        replace(RUN_ANN, lane="bob", began=5.0, ended=6.0, result="refused"),
        replace(RUN_BOB, tokens=("t1", "t2"), began=5.0, ended=6.0),
        replace(RUN_BOB, files=("t1",), began=5.0, ended=6.0),
    ],
)
def test_a_question_or_file_in_a_different_session_is_found(run: GatewayRun) -> None:
    assert "another's session" in kinds(replace(GOOD, runs=[*GOOD.runs, run]))


def test_a_session_deleted_without_a_new_command_of_its_lane_is_found() -> None:
    command = PersonMessage("m3", "ann", "", 5.0, 5.1)
    done = BotMessage(6.0, "ann", ENGLISH["new_done"], "m3")
    history = replace(GOOD, person_messages=[ANN, BOB, command], bot_messages=[*GOOD.bot_messages, done])
    deleted = SessionDeleted("ann", 5.5)
    for sessions, expected in (
        ([deleted], []),
        ([replace(deleted, at=4.0)], ["another's session"]),
        ([deleted, replace(deleted, lane="bob")], ["another's session"]),
    ):
        told = replace(history, deleted_sessions=sessions, outcome_notes=(*NOTES, ENGLISH["new_done"]))
        assert [violation.kind for violation in check(told).violations] == expected


@pytest.mark.parametrize(
    "text",
    [
        RAW,
        f"re [t1]\n\n{RAW}",
        f"re [t1] {RAW}",
        f"{RAW}\n\nre [t1]",
        f"re [t1]{LINE}{RAW}",
        f"{ENGLISH['stopped']} {RAW}",
        f"{ENGLISH['provider_failed']}\n\n{RAW}\n\n*T-12*",
        f"*{RAW}*",
        "Traceback (most recent call last):",
        '{"error":{"message":"rate limit exceeded"}}',
        "<html><h1>502 Bad Gateway</h1></html>",
        "panic: runtime error: index out of range",
        "run.failed",
    ],
)
def test_words_of_a_provider_beside_an_answer_are_found(text: str) -> None:
    shown = BotMessage(2.5, "ann", text, "m1")
    assert not is_allowed(text)
    assert "raw words" in kinds(also(shown))
    assert kinds(replace(GOOD, visible=[shown])) == ["raw words"]


@pytest.mark.parametrize(
    "text",
    [
        "re [t1]",
        "re [t1] [t22] (run 3)",
        "re [t1] (run 3)\n\n" + "\n\n".join(MORE),
        f"re [t1{LINE}{ENGLISH['interrupted']}",
        f"re [t1] (run 3)\n\n{MORE[0]}\n\n*Searching …*",
        "*Thinking … · 12 s*",
        "✓ Searching · 25 s",
        "✓ 25 s",
        "✓",
        f"{ENGLISH['provider_failed']}\n\n*T-12*",
        "T-12",
        say("stopped_by", name="group-1 2"),
        say("waiting_time", place=3, time="2 min"),
        say("files_missed", files="- `t4.txt`: I couldn't fetch it. Please send it again."),
        f'<quoted messageId="17"/><at>group-1 2</at> re [t1] (run 3)\n\n*{ENGLISH["go_on_group"]}*',
    ],
)
def test_sentences_of_the_bridge_answers_and_progress_are_allowed(text: str) -> None:
    assert is_allowed(text)


@pytest.mark.parametrize("key", sorted(ENGLISH))
def test_each_sentence_is_allowed_and_no_word_may_follow(key: str) -> None:
    assert is_allowed(ENGLISH[key])
    if not ENGLISH[key].endswith(("}", "\n\n")):
        assert not is_allowed(f"{ENGLISH[key]} {RAW}")


def test_an_outcome_after_400_seconds_is_late() -> None:
    late = replace(GOOD, bot_messages=[replace(TO_ANN, at=402.0), TO_BOB])
    assert kinds(late) == ["late"]
    # a slow run, a trouble, and an earlier question of the lane are reasons to wait; a different lane is none
    assert kinds(replace(late, runs=[replace(RUN_ANN, ended=401.0), RUN_BOB])) == []
    assert kinds(replace(late, troubles=[Trouble("freeze", 200.0, 390.0)])) == []
    assert kinds(replace(late, troubles=[Trouble("freeze", 20.0, 200.0)])) == ["late"]
    assert kinds(replace(late, bot_messages=[replace(TO_ANN, at=402.0), replace(TO_BOB, at=401.0)])) == ["late", "late"]
    behind = PersonMessage("m3", "ann", "t3", 1.0, 1.1)
    third = BotMessage(402.5, "ann", "re [t3]", "m3")
    queued = replace(late, person_messages=[ANN, BOB, behind], bot_messages=[*late.bot_messages, third])
    assert [violation.about.split()[0] for violation in found(queued)] == ["m1"]


def test_a_note_after_400_seconds_is_late() -> None:
    note = BotMessage(402.0, "ann", "I was restarted …", "m1")
    assert kinds(replace(GOOD, bot_messages=[note, TO_BOB])) == ["late"]


def test_the_outcome_of_a_click_is_late_from_the_click_on() -> None:
    click = PersonAction("click", "m1", 4.0, 4.1)
    again = replace(RUN_ANN, began=4.2, ended=5.0)
    asked = replace(GOOD, runs=[*GOOD.runs, again], actions=[click])
    for at, expected in ((6.0, []), (410.0, ["late"])):
        assert kinds(replace(asked, bot_messages=[*GOOD.bot_messages, replace(TO_ANN, at=at)])) == expected


def test_a_message_that_a_slow_teams_showed_late_is_judged_by_its_arrival() -> None:
    """A kill during a slow send: the answer is sent again and shown at once, and the first request's answer later."""
    slow = replace(TO_ANN, at=3.5, arrived=2.0)
    again = replace(TO_ANN, at=2.9, arrived=2.9)
    killed = replace(GOOD, bot_messages=[slow, again, TO_BOB], troubles=[Trouble("kill", 2.1, 2.6, 2.2)])
    assert kinds(killed) == []
    assert kinds(replace(killed, troubles=[])) == ["doubled"]
    # the lane's next answer came later, and was shown earlier
    behind = PersonMessage("m3", "ann", "t3", 1.0, 1.1)
    third = BotMessage(3.0, "ann", "re [t3]", "m3", arrived=3.0)
    order = replace(GOOD, person_messages=[ANN, BOB, behind], bot_messages=[slow, third, TO_BOB])
    assert kinds(order) == []
    assert kinds(replace(order, bot_messages=[replace(slow, arrived=3.2), third, TO_BOB])) == ["out of order"]
