"""The checker on edits, deletions, clicks and streams: each violation is found, each fact explains its own only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.checker import check
from chaos.records import (
    LINE,
    BotMessage,
    GatewayRun,
    History,
    LiveMessage,
    PersonAction,
    PersonMessage,
    ProcessorWait,
    StreamRefusal,
    Trouble,
)

NOTES = ("I was restarted", "Stopped.")
Q = PersonMessage("m1", "ann", "t1", 0.0, 0.1)
RUN = GatewayRun("ann", ("t1",), 2.0, 2.9, "answered")
ANSWER = BotMessage(3.0, "ann", "re [t1]", "m1")
AGAIN, ANSWER_AGAIN = replace(RUN, began=5.0, ended=5.9), replace(ANSWER, at=6.0)
STOPPED = BotMessage(3.0, "ann", "Stopped. The agent may …", "m1")
LATE = PersonMessage("m2", "ann", "t2", 3.0, 3.1)
EDIT, DELETE = PersonAction("edit", "m1", 1.0, 1.1), PersonAction("delete", "m1", 1.0, 1.1)
CLICK = PersonAction("click", "m1", 4.0, 4.1)
STREAM = LiveMessage("s1", "ann", 2.5, 3.0)
REFUSAL = StreamRefusal(2.8, "ann", "API calls quota exceeded!", "s1")
WAITED = {"m1": [1.9]}


def kinds(history: History) -> list[str]:
    return [violation.kind for violation in check(replace(history, outcome_notes=NOTES)).violations]


def test_a_good_history_has_no_violations() -> None:
    edited = replace(RUN, edited=("t1",))
    assert kinds(History([Q], [ANSWER], [edited], actions=[EDIT], live_messages=[STREAM], claims=WAITED)) == []


@pytest.mark.parametrize(
    ("history", "kind"),
    [
        (History([Q], [ANSWER], [RUN], actions=[EDIT], claims=WAITED), "asked with old words"),
        (History([Q], [ANSWER], [RUN], actions=[DELETE], claims=WAITED), "asked after deletion"),
        (History([Q], [], [], actions=[EDIT]), "lost"),
        (History([replace(Q, file=True)], [ANSWER], [RUN]), "asked without its file"),
        (History([Q], [ANSWER, ANSWER_AGAIN], [RUN, AGAIN], actions=[EDIT], claims={"m1": [0.1]}), "asked twice"),
        (History([Q], [ANSWER], [RUN, AGAIN], actions=[CLICK]), "lost"),
        (History([Q], [ANSWER, ANSWER_AGAIN, replace(ANSWER, at=9.0)], [RUN, AGAIN], actions=[CLICK]), "doubled"),
        (History([Q], [ANSWER, STOPPED], [RUN]), "two outcomes"),
        (History([Q], [ANSWER], [RUN], live_messages=[replace(STREAM, ended=None)]), "progress left"),
        (History([Q], [ANSWER], [RUN], live_messages=[STREAM], refusals=[REFUSAL]), "stream rule"),
    ],
)
def test_each_violation_is_found(history: History, kind: str) -> None:
    assert kind in kinds(history)


def test_an_edit_or_deletion_counts_if_acknowledged_before_the_claim() -> None:
    for action in (EDIT, DELETE):
        assert kinds(History([Q], [ANSWER], [RUN], actions=[action], claims={"m1": [1.05]})) == []
        assert kinds(History([Q], [ANSWER], [RUN], actions=[replace(action, acked=None)], claims=WAITED)) == []
    # released and claimed again, the question is asked with the text at the second claim
    assert kinds(History([Q], [ANSWER], [RUN], actions=[EDIT], claims={"m1": [0.5, 1.9]})) == ["asked with old words"]
    # a click under way at the same moment may have read the old text
    for click, found in (((0.9, 1.05), []), ((0.5, 0.8), ["asked with old words"])):
        actions = [EDIT, PersonAction("click", "m1", *click)]
        assert kinds(History([Q], [ANSWER], [RUN], actions=actions, claims=WAITED)) == found


def test_a_deleted_question_needs_no_outcome_and_may_have_an_outcome() -> None:
    assert kinds(History([Q], [], [], actions=[DELETE])) == []
    running = replace(DELETE, at=2.5, acked=2.6)
    for shown in ([], [STOPPED], [ANSWER]):
        assert kinds(History([Q], shown, [replace(RUN, result="closed")], actions=[running], claims=WAITED)) == []
    # a deletion explains nothing about a different message
    assert kinds(History([Q, LATE], [ANSWER], [RUN], actions=[running], claims=WAITED)) == ["lost"]


def test_a_click_allows_one_more_run_and_one_more_outcome_at_the_end_of_the_lane() -> None:
    assert kinds(History([Q], [ANSWER, ANSWER_AGAIN], [RUN, AGAIN], actions=[CLICK])) == []
    restarted = BotMessage(3.0, "ann", "I was restarted …", "m1")
    assert kinds(History([Q], [restarted, ANSWER_AGAIN], [RUN, AGAIN], actions=[CLICK])) == []
    second = BotMessage(5.0, "ann", "re [t2]", "m2")
    instead = replace(CLICK, at=2.5, acked=2.6)
    assert kinds(History([Q, LATE], [second, ANSWER_AGAIN], [RUN, AGAIN], actions=[instead])) == []
    # a click about a merged message has the whole group asked again
    both, twice = [replace(RUN, tokens=("t1", "t2")), replace(AGAIN, tokens=("t1", "t2"))], [ANSWER, ANSWER_AGAIN]
    twice = [replace(shown, text="re [t1] [t2]") for shown in twice]
    first = replace(LATE, sent=0.2, acked=0.3)
    assert kinds(History([Q, first], twice, both, merged={"m1": "m2"}, actions=[CLICK])) == []
    assert "asked twice" in kinds(History([Q, first], twice, both, actions=[CLICK]))
    # a click without effect allows nothing; a click without a response may have worked
    assert kinds(History([Q], [ANSWER], [RUN, AGAIN], actions=[replace(CLICK, worked=False)])) == ["asked twice"]
    assert kinds(History([Q], [ANSWER], [RUN], actions=[replace(CLICK, acked=None)])) == []


def test_a_stopped_stream_leaves_one_outcome() -> None:
    closed = replace(RUN, result="closed")
    assert kinds(History([Q], [STOPPED], [closed], live_messages=[STREAM])) == []
    assert kinds(History([Q], [], [closed], live_messages=[STREAM])) == ["lost"]


def test_a_stream_stopped_in_the_client_needs_no_note_if_its_turn_was_stopped() -> None:
    closed = replace(RUN, result="closed")
    silent = History([Q], [], [closed], live_messages=[replace(STREAM, stopped=True)], stopped_runs=frozenset({"m1"}))
    assert kinds(silent) == []
    assert kinds(replace(silent, stopped_runs=frozenset())) == ["lost"]
    assert kinds(replace(silent, live_messages=[STREAM])) == ["lost"]
    assert kinds(replace(silent, live_messages=[replace(STREAM, stopped=True, lane="bob")])) == ["lost"]
    assert kinds(replace(silent, person_messages=[replace(Q, sent=2.7, acked=2.8)])) == ["lost"]


def test_a_file_whose_download_failed_may_be_missing_from_the_prompt() -> None:
    with_file = replace(Q, file=True)
    assert kinds(History([with_file], [ANSWER], [replace(RUN, files=("t1",))])) == []
    assert kinds(History([with_file], [ANSWER], [RUN], unfetched=frozenset({"t1"}))) == []
    assert kinds(History([with_file], [ANSWER], [RUN], unfetched=frozenset({"t2"}))) == ["asked without its file"]


def test_a_live_message_may_stay_where_its_id_was_lost_before_the_commit() -> None:
    left = replace(STREAM, ended=None)
    assert kinds(History(live_messages=[replace(left, faults=[2.5])])) == []
    assert kinds(History(live_messages=[replace(left, faults=[2.9])])) == ["progress left"]
    assert kinds(History(live_messages=[left], troubles=[Trouble("kill", 2.6, 4.0)])) == []
    assert kinds(History(live_messages=[left], troubles=[Trouble("kill", 9.0, 9.5)])) == ["progress left"]


def test_a_stream_rule_may_be_broken_after_an_unknown_result_or_a_lost_replica() -> None:
    broken = History(live_messages=[STREAM], refusals=[REFUSAL])
    assert kinds(replace(broken, troubles=[Trouble("kill", 2.6, 4.0)])) == []
    assert kinds(replace(broken, troubles=[Trouble("kill", 2.9, 4.0)])) == ["stream rule"]
    # the replica got its SIGTERM before the stream began, and ended after the begin
    assert kinds(replace(broken, troubles=[Trouble("term", 1.0, 4.0, 2.7)])) == []
    assert kinds(replace(broken, troubles=[Trouble("term", 1.0, 4.0, 1.5)])) == ["stream rule"]
    assert kinds(replace(broken, live_messages=[replace(STREAM, faults=[2.6])])) == []
    assert kinds(replace(broken, live_messages=[replace(STREAM, faults=[2.9])])) == ["stream rule"]


def test_a_doubled_note_leaves_the_outcome_allowed_by_the_click_on_the_note() -> None:
    note = BotMessage(3.0, "ann", "I was restarted while …", "m1", fault="502", source="turn 1")
    again = replace(note, at=4.5, fault="")
    cut = replace(RUN, result="closed")
    both = replace(AGAIN, began=5.0, ended=5.9)
    assert kinds(History([Q], [note, again, ANSWER_AGAIN], [both], actions=[CLICK])) == []
    assert kinds(History([Q], [replace(note, fault=""), again, ANSWER_AGAIN], [both], actions=[CLICK])) == ["doubled"]
    assert kinds(History([Q], [note, ANSWER_AGAIN], [cut, both], actions=[CLICK])) == []


def test_a_click_explains_no_second_outcome_of_the_same_run_or_turn() -> None:
    first, second = replace(ANSWER, source="run 1"), replace(ANSWER_AGAIN, source="run 2")
    assert kinds(History([Q], [first, second], [RUN, AGAIN], actions=[CLICK])) == []
    assert kinds(History([Q], [first, replace(second, source="run 1")], [RUN, AGAIN], actions=[CLICK])) == ["doubled"]
    below = BotMessage(6.0, "ann", f"re [t1]{LINE}Stopped. The agent may …", "m1", source="run 1")
    assert kinds(History([Q], [first, below], [RUN, AGAIN], actions=[CLICK])) == ["two outcomes"]
    # the first outcome twice by a fault and the second twice without: the last is too many in spite of the click
    lost, third = replace(first, fault="502"), replace(second, at=7.0)
    twice = [lost, replace(first, at=3.5), second, third]
    assert kinds(History([Q], twice, [RUN, AGAIN], actions=[CLICK])) == ["doubled"]
    assert kinds(History([Q], twice[:3], [RUN, AGAIN], actions=[CLICK])) == []
    # the note of an interrupted second turn names a turn of its own
    note = BotMessage(3.0, "ann", "I was restarted while …", "m1", source="turn 1")
    other = replace(note, at=6.0, source="turn 2")
    assert kinds(History([Q], [note, other], [RUN, AGAIN], actions=[CLICK])) == []


def test_a_deleted_question_may_be_asked_again_by_a_click_after_the_deletion() -> None:
    gone = replace(DELETE, at=3.2, acked=3.3)
    note = BotMessage(3.0, "ann", "I was restarted while …", "m1")
    history = History([Q], [note, ANSWER_AGAIN], [RUN, AGAIN], actions=[gone, CLICK], claims={"m1": [1.9, 4.9]})
    assert kinds(history) == []
    # the click came first, or had no effect, or the claim came before the click
    assert kinds(replace(history, actions=[gone, replace(CLICK, at=3.0, acked=3.1)])) == ["asked after deletion"]
    assert "asked after deletion" in kinds(replace(history, actions=[gone, replace(CLICK, worked=False)]))
    assert kinds(replace(history, claims={"m1": [1.9, 3.5]})) == ["asked after deletion"]


def test_of_a_merged_group_a_deleted_message_is_asked_again_only_if_all_were_deleted() -> None:
    other = replace(Q, id="m0", token="t0")
    gone, first = replace(DELETE, at=3.2, acked=3.3), PersonAction("delete", "m0", 3.0, 3.1)
    both = [replace(run, tokens=("t0", "t1")) for run in (RUN, AGAIN)]
    shown = [BotMessage(3.0, "ann", "I was restarted while …", "m1"), replace(ANSWER_AGAIN, text="re [t0] [t1]")]
    claims = {"m0": [1.9, 4.9], "m1": [1.9, 4.9]}
    history = History([other, Q], shown, both, merged={"m0": "m1"}, actions=[gone, CLICK], claims=claims)
    assert kinds(history) == ["asked after deletion"]
    assert kinds(replace(history, actions=[first, CLICK])) == ["asked after deletion"]
    # all deleted: the message deleted last is asked again
    assert kinds(replace(history, actions=[first, gone, CLICK])) == ["asked after deletion"]
    last = replace(history, runs=[both[0], AGAIN], actions=[first, gone, CLICK])
    assert kinds(replace(last, bot_messages=[shown[0], ANSWER_AGAIN])) == []


def test_one_note_of_an_early_stop_is_the_outcome_of_all_messages_merged_into_the_stopped_turn() -> None:
    other, early = replace(Q, id="m0", token="t0"), BotMessage(4.6, "ann", "Stopped before the agent …", "m9")
    instead = replace(CLICK, at=2.5, acked=2.6)
    history = History([other, Q], [], [RUN], merged={"m0": "m1"}, actions=[instead], claims=WAITED)
    assert kinds(history) == ["lost", "lost"]
    stopped = replace(history, stopped_early={"m0": 4.5, "m1": 4.5})
    assert kinds(replace(stopped, bot_messages=[early])) == []
    # no note, a note before the stop, or a single note for two stops
    assert kinds(stopped) == ["lost", "lost"]
    assert kinds(replace(stopped, bot_messages=[replace(early, at=4.0)])) == ["lost", "lost"]
    assert kinds(replace(stopped, stopped_early={"m0": 4.5, "m1": 4.4}, bot_messages=[early])) == ["lost"]
    # an answer after the note is an outcome too many
    assert kinds(replace(stopped, bot_messages=[early, ANSWER_AGAIN], actions=[])) == ["two outcomes"]


def test_a_second_turn_stopped_early_leaves_the_outcome_of_the_first_turn() -> None:
    note, early = (
        BotMessage(3.0, "ann", "I was restarted …", "m1"),
        BotMessage(4.6, "ann", "Stopped before the agent …", "m9"),
    )
    history = History([Q], [note, early], [RUN], actions=[CLICK], stopped_early={"m1": 4.5})
    assert kinds(history) == []
    assert kinds(replace(history, bot_messages=[note])) == ["lost"]


def test_a_note_below_the_agents_partial_text_is_an_outcome() -> None:
    stopped = replace(STOPPED, text=f"re{LINE}{STOPPED.text}")
    history = History([Q], [stopped], [replace(RUN, result="closed")])
    assert kinds(history) == []
    # not an outcome: unknown words above the line, words of a different run, no line, no run, a waiting note
    unknown = replace(history, bot_messages=[replace(stopped, text=f"what{LINE}{STOPPED.text}")])
    assert kinds(unknown) == ["lost", "raw words"]
    assert kinds(replace(history, bot_messages=[replace(stopped, text=f"re [t2]{LINE}{STOPPED.text}")])) == ["lost"]
    assert kinds(replace(history, bot_messages=[replace(stopped, text=f"re\n\n{STOPPED.text}")])) == ["lost"]
    assert kinds(replace(history, runs=[])) == ["lost"]
    assert kinds(replace(history, bot_messages=[replace(stopped, text=f"re{LINE}I'm still busy …")])) == ["lost"]
    # the answer and the note together are an outcome too many
    assert kinds(replace(history, bot_messages=[ANSWER, replace(stopped, at=4.0)])) == ["two outcomes"]


def test_a_long_outage_explains_messages_sent_before_the_owner_had_to_stop() -> None:
    left = History(live_messages=[replace(STREAM, ended=None)])
    twice = History([Q], [ANSWER, replace(ANSWER, at=60.0)], [RUN])
    for history, kind, at in ((left, "progress left", STREAM.began), (twice, "doubled", ANSWER.at)):
        for outage in (Trouble("outage", at + 0.5, at + 30.0), Trouble("outage", at - 14.0, at + 16.0)):
            assert kinds(replace(history, troubles=[outage])) == []
        for outage in (
            Trouble("outage", at - 1.0, at + 5.0),  # too short: the owner goes on and commits the id
            Trouble("outage", at + 2.0, at + 32.0),  # enough time to commit before the outage
            Trouble("outage", at - 18.0, at + 12.0),  # the owner had stopped sending before
        ):
            assert kinds(replace(history, troubles=[outage])) == [kind]
    broken = History(live_messages=[STREAM], refusals=[replace(REFUSAL, at=18.0)])
    assert kinds(replace(broken, troubles=[Trouble("outage", 2.6, 32.0)])) == []
    for outage in (Trouble("outage", 2.6, 8.0), Trouble("outage", 12.0, 42.0)):
        assert kinds(replace(broken, troubles=[outage])) == ["stream rule"]


def test_a_freeze_explains_a_doubled_answer_only_if_the_owner_lost_its_lease() -> None:
    twice = History([Q], [ANSWER, replace(ANSWER, at=60.0)], [RUN])
    assert kinds(replace(twice, troubles=[Trouble("freeze", 3.2, 5.2)])) == ["doubled"]
    assert kinds(replace(twice, troubles=[Trouble("freeze", 3.2, 25.0)])) == []
    assert kinds(replace(twice, troubles=[Trouble("freeze", 3.2, 8.0)], certain_seconds=3.0)) == []
    # a request prepared before the freeze leaves as the replica wakes
    assert kinds(replace(twice, troubles=[Trouble("freeze", -15.0, 2.9)])) == []
    assert kinds(replace(twice, troubles=[Trouble("freeze", -15.0, 2.0)])) == ["doubled"]
    assert kinds(replace(twice, troubles=[Trouble("freeze", 1.0, 2.9)])) == ["doubled"]


def test_a_kill_soon_after_an_outage_explains_a_message_id_not_yet_committed() -> None:
    twice = History([Q], [ANSWER, replace(ANSWER, at=60.0)], [RUN])
    outage = Trouble("outage", 2.9, 8.0)
    assert kinds(replace(twice, troubles=[outage, Trouble("kill", 12.0, 13.0)])) == []
    assert kinds(replace(twice, troubles=[Trouble("kill", 12.0, 13.0)])) == ["doubled"]
    assert kinds(replace(twice, troubles=[outage])) == ["doubled"]
    assert kinds(replace(twice, troubles=[outage, Trouble("kill", 20.0, 21.0)])) == ["doubled"]
    late = replace(outage, at=5.0)
    assert kinds(replace(twice, troubles=[late, Trouble("kill", 12.0, 13.0)])) == ["doubled"]


def test_time_for_which_a_replica_waited_for_a_processor_is_not_counted() -> None:
    twice = History([Q], [ANSWER, replace(ANSWER, at=60.0)], [RUN], troubles=[Trouble("kill", 6.0, 7.0)])
    assert kinds(twice) == ["doubled"]
    waits = [ProcessorWait(3.5, 0.4), ProcessorWait(4.3, 0.9), ProcessorWait(5.2, 0.9)]
    assert kinds(replace(twice, processor_waits=waits)) == []
    assert kinds(replace(twice, processor_waits=waits[1:])) == ["doubled"]
    assert kinds(replace(twice, processor_waits=[ProcessorWait(2.9, 9.0), ProcessorWait(20.0, 9.0)])) == ["doubled"]


def test_the_note_of_an_early_stop_in_a_thread_counts_once() -> None:
    early = BotMessage(4.6, "ann", "Stopped before the agent …", "m1")
    history = History([Q], [early], stopped_early={"m1": 4.5}, outcome_notes=(*NOTES, "Stopped before"))
    assert check(history).violations == ()


def test_an_arrival_recorded_late_by_a_busy_test_process_was_sent_before_a_kill() -> None:
    twice = History([Q], [ANSWER, replace(ANSWER, at=60.0)], [RUN], troubles=[Trouble("kill", 2.1, 4.0)])
    assert kinds(twice) == ["doubled"]
    lags = [ProcessorWait(2.9, 0.3), ProcessorWait(2.4, 0.2)]
    assert kinds(replace(twice, observer_lags=lags)) == []
    assert kinds(replace(twice, observer_lags=lags[1:])) == ["doubled"]
    assert kinds(replace(twice, observer_lags=[ProcessorWait(2.9, 0.3), ProcessorWait(1.9, 0.4)])) == ["doubled"]
    assert kinds(replace(twice, observer_lags=[ProcessorWait(3.9, 0.3)])) == ["doubled"]
