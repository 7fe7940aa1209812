"""The checker over generated histories: a good history passes; any leak, raw word or late outcome in it is found."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.texts import ENGLISH
from chaos.allowed_words import is_allowed
from chaos.checker import check
from chaos.records import LINE, BotMessage, GatewayRun, History, PersonMessage, Violation
from chaos.scopes import conversation_of, lane_of_conversation, lane_of_user, sender_of

LANES = ("lane-1", "lane-10", "group-1", "group-10", "thread-10", "lane-2")
RAW = st.from_regex(r"[a-z]{3,12}(: [a-z]{3,12}| [0-9]{3} [a-z_]{3,12})( [a-z0-9_]{2,12}){0,5}", fullmatch=True)


@st.composite
def good(draw: st.DrawFn) -> History:
    """Some questions in two lanes or more, asked one after the other and answered in each lane's own order."""
    lanes = draw(st.lists(st.sampled_from(LANES), min_size=2, max_size=8))
    if len(set(lanes)) == 1:
        lanes.append("lane-3")
    history = History(outcome_notes=("Stopped.",))
    for number, lane in enumerate(lanes):
        at = 2.0 * number
        history.person_messages.append(PersonMessage(f"m{number}", lane, f"t{number}", at, at + 0.1))
        history.runs.append(GatewayRun(lane, (f"t{number}",), at + 0.2, at + 0.9, "answered"))
        quote = "" if lane.startswith("lane-") else f'<quoted messageId="m{number}"/><at>{lane} 2</at> '
        history.bot_messages.append(BotMessage(at + 1.0, lane, f"{quote}re [t{number}] (run 1)", f"m{number}"))
    return history


def found(history: History) -> set[Violation]:
    return set(check(history).violations)


@given(good())
def test_a_good_history_passes(history: History) -> None:
    assert found(history) == set()


@given(good(), st.data())
def test_a_text_of_any_lane_in_a_different_lane_is_found(history: History, data: st.DataObject) -> None:
    shown = data.draw(st.sampled_from(history.bot_messages))
    lane = data.draw(st.sampled_from(sorted({m.lane for m in history.person_messages} - {shown.lane})))
    text = data.draw(st.sampled_from([shown.text, f"{shown.text}{LINE}{ENGLISH['stopped']}", ENGLISH["stopped"]]))
    leak = replace(shown, lane=lane, text=text, at=shown.at + 0.5)
    for leaked in (
        replace(history, bot_messages=[*history.bot_messages, leak]),
        replace(history, visible=[leak]),
    ):
        assert ("another's answer", lane) in {(violation.kind, violation.lane) for violation in found(leaked)}


@given(good(), st.data())
def test_a_question_or_file_of_any_lane_in_a_different_session_is_found(history: History, data: st.DataObject) -> None:
    run = data.draw(st.sampled_from(history.runs))
    lane = data.draw(st.sampled_from(sorted({m.lane for m in history.person_messages} - {run.lane})))
    result = data.draw(st.sampled_from(["answered", "refused", "failed", "broken", "closed"]))
    astray = replace(run, lane=lane, result=result, began=100.0, ended=101.0)
    if data.draw(st.booleans()):
        astray = replace(astray, tokens=(), files=run.tokens)
    leaked = replace(history, runs=[*history.runs, astray])
    assert ("another's session", lane) in {(violation.kind, violation.lane) for violation in found(leaked)}


@given(RAW, st.sampled_from(["{raw}", "{said}\n\n{raw}", "{said} {raw}", "{raw}\n\n{said}", "{said}" + LINE + "{raw}"]))
def test_words_of_any_provider_are_found_wherever_they_stand(raw: str, form: str) -> None:
    for said in ("re [t1] (run 3)", "re [t1]", ENGLISH["stopped"], ENGLISH["provider_failed"], "*Thinking … · 3 s*"):
        assert not is_allowed(form.format(raw=raw, said=said))


@given(good(), st.data())
def test_any_outcome_without_a_reason_for_its_delay_is_late(history: History, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(history.bot_messages) - 1))
    delay = data.draw(st.floats(history.latest_seconds + 20.0, 5_000.0))
    last = history.bot_messages[number]
    others = [shown for shown in history.bot_messages if shown.lane != last.lane or shown.at < last.at]
    asked = [message for message in history.person_messages if message.id in {o.reply_to for o in (*others, last)}]
    late = replace(
        history,
        person_messages=asked,
        bot_messages=[*others, replace(last, at=last.at + delay)],
        runs=[run for run in history.runs if run.tokens[0] in {message.token for message in asked}],
    )
    assert [violation.kind for violation in check(late).violations] == ["late"]


@given(st.sampled_from(["lane", "group", "thread"]), st.integers(1, 10**13))
def test_a_conversation_and_its_session_lead_back_to_the_lane(kind: str, number: int) -> None:
    lane = f"{kind}-{number}"
    conversation = conversation_of(lane)
    assert lane_of_conversation(conversation) == lane
    if kind != "lane":
        escaped = "".join(c if c.isalnum() or c == "-" else f"_{ord(c):x}_" for c in conversation)
        assert lane_of_user(f"teams-{escaped}") == lane
        assert lane_of_user(sender_of(lane, "17")[1]) != lane
