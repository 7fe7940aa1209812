"""The checker on what people do afterwards, and on streams: each fault is found, each fact explains what it should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.checker import check
from chaos.records import LINE, Asked, Deed, History, Progress, Refusal, Sent, Shown, Trouble

NOTES = ("I was restarted", "Stopped.")
Q = Sent("m1", "ann", "t1", 0.0, 0.1)
RUN = Asked("ann", ("t1",), 2.0, 2.9, "answered")
ANSWER = Shown(3.0, "ann", "re [t1]", "m1")
AGAIN, ANSWER_AGAIN = replace(RUN, began=5.0, ended=5.9), replace(ANSWER, at=6.0)
STOPPED = Shown(3.0, "ann", "Stopped. The agent may …", "m1")
LATE = Sent("m2", "ann", "t2", 3.0, 3.1)
EDIT, DELETE = Deed("edit", "m1", 1.0, 1.1), Deed("delete", "m1", 1.0, 1.1)
CLICK = Deed("click", "m1", 4.0, 4.1)
STREAM = Progress("s1", "ann", 2.5, 3.0)
REFUSAL = Refusal(2.8, "ann", "API calls quota exceeded!", "s1")
WAITED = {"m1": [1.9]}


def kinds(history: History) -> list[str]:
    return [violation.kind for violation in check(replace(history, notes=NOTES)).violations]


def test_a_good_history_has_no_violations() -> None:
    edited = replace(RUN, edited=("t1",))
    assert kinds(History([Q], [ANSWER], [edited], deeds=[EDIT], progress=[STREAM], claims=WAITED)) == []


@pytest.mark.parametrize(
    ("history", "kind"),
    [
        (History([Q], [ANSWER], [RUN], deeds=[EDIT], claims=WAITED), "asked with old words"),
        (History([Q], [ANSWER], [RUN], deeds=[DELETE], claims=WAITED), "asked after deletion"),
        (History([Q], [], [], deeds=[EDIT]), "lost"),
        (History([replace(Q, file=True)], [ANSWER], [RUN]), "asked without its file"),
        (History([Q], [ANSWER, ANSWER_AGAIN], [RUN, AGAIN], deeds=[EDIT], claims={"m1": [0.1]}), "asked twice"),
        (History([Q], [ANSWER], [RUN, AGAIN], deeds=[CLICK]), "lost"),
        (History([Q], [ANSWER, ANSWER_AGAIN, replace(ANSWER, at=9.0)], [RUN, AGAIN], deeds=[CLICK]), "doubled"),
        (History([Q], [ANSWER, STOPPED], [RUN]), "two outcomes"),
        (History([Q], [ANSWER], [RUN], progress=[replace(STREAM, ended=None)]), "progress left"),
        (History([Q], [ANSWER], [RUN], progress=[STREAM], refusals=[REFUSAL]), "stream rule"),
    ],
)
def test_each_fault_is_found(history: History, kind: str) -> None:
    assert kind in kinds(history)


def test_words_stand_from_the_moment_when_the_question_was_claimed() -> None:
    for deed in (EDIT, DELETE):
        assert kinds(History([Q], [ANSWER], [RUN], deeds=[deed], claims={"m1": [1.05]})) == []
        assert kinds(History([Q], [ANSWER], [RUN], deeds=[replace(deed, acked=None)], claims=WAITED)) == []
    # put back and claimed again, it is asked as it says then
    assert kinds(History([Q], [ANSWER], [RUN], deeds=[EDIT], claims={"m1": [0.5, 1.9]})) == ["asked with old words"]
    # a click that was on its way at the same moment had read the old words
    for click, found in (((0.9, 1.05), []), ((0.5, 0.8), ["asked with old words"])):
        deeds = [EDIT, Deed("click", "m1", *click)]
        assert kinds(History([Q], [ANSWER], [RUN], deeds=deeds, claims=WAITED)) == found


def test_a_question_that_was_taken_back_needs_no_outcome_and_may_have_one() -> None:
    assert kinds(History([Q], [], [], deeds=[DELETE])) == []
    running = replace(DELETE, at=2.5, acked=2.6)
    for shown in ([], [STOPPED], [ANSWER]):
        assert kinds(History([Q], shown, [replace(RUN, how="closed")], deeds=[running], claims=WAITED)) == []
    # that of another explains nothing
    assert kinds(History([Q, LATE], [ANSWER], [RUN], deeds=[running], claims=WAITED)) == ["lost"]


def test_a_click_allows_one_more_run_and_one_more_outcome_at_the_end_of_the_line() -> None:
    assert kinds(History([Q], [ANSWER, ANSWER_AGAIN], [RUN, AGAIN], deeds=[CLICK])) == []
    restarted = Shown(3.0, "ann", "I was restarted …", "m1")
    assert kinds(History([Q], [restarted, ANSWER_AGAIN], [RUN, AGAIN], deeds=[CLICK])) == []
    second = Shown(5.0, "ann", "re [t2]", "m2")
    instead = replace(CLICK, at=2.5, acked=2.6)
    assert kinds(History([Q, LATE], [second, ANSWER_AGAIN], [RUN, AGAIN], deeds=[instead])) == []
    # a click about one of a group has all of it asked
    both, twice = [replace(RUN, tokens=("t1", "t2")), replace(AGAIN, tokens=("t1", "t2"))], [ANSWER, ANSWER_AGAIN]
    twice = [replace(shown, text="re [t1] [t2]") for shown in twice]
    first = replace(LATE, sent=0.2, acked=0.3)
    assert kinds(History([Q, first], twice, both, merged={"m1": "m2"}, deeds=[CLICK])) == []
    assert "asked twice" in kinds(History([Q, first], twice, both, deeds=[CLICK]))
    # one that did not work allows nothing; one whose answer was lost may have worked
    assert kinds(History([Q], [ANSWER], [RUN, AGAIN], deeds=[replace(CLICK, worked=False)])) == ["asked twice"]
    assert kinds(History([Q], [ANSWER], [RUN], deeds=[replace(CLICK, acked=None)])) == []


def test_a_stopped_stream_leaves_one_outcome() -> None:
    closed = replace(RUN, how="closed")
    assert kinds(History([Q], [STOPPED], [closed], progress=[STREAM])) == []
    assert kinds(History([Q], [], [closed], progress=[STREAM])) == ["lost"]


def test_a_file_that_was_not_given_out_may_be_missing() -> None:
    with_file = replace(Q, file=True)
    assert kinds(History([with_file], [ANSWER], [replace(RUN, files=("t1",))])) == []
    assert kinds(History([with_file], [ANSWER], [RUN], unfetched=frozenset({"t1"}))) == []
    assert kinds(History([with_file], [ANSWER], [RUN], unfetched=frozenset({"t2"}))) == ["asked without its file"]


def test_progress_may_stay_where_nobody_could_know_its_id() -> None:
    left = replace(STREAM, ended=None)
    assert kinds(History(progress=[replace(left, faults=[2.5])])) == []
    assert kinds(History(progress=[replace(left, faults=[2.9])])) == ["progress left"]
    assert kinds(History(progress=[left], troubles=[Trouble("kill", 2.6, 4.0)])) == []
    assert kinds(History(progress=[left], troubles=[Trouble("kill", 9.0, 9.5)])) == ["progress left"]


def test_a_rule_of_streams_may_be_broken_by_who_did_not_see_what_was_shown() -> None:
    broken = History(progress=[STREAM], refusals=[REFUSAL])
    assert kinds(replace(broken, troubles=[Trouble("kill", 2.6, 4.0)])) == []
    assert kinds(replace(broken, troubles=[Trouble("kill", 2.9, 4.0)])) == ["stream rule"]
    # what was asked to end before the stream began had ended after it
    assert kinds(replace(broken, troubles=[Trouble("term", 1.0, 4.0, 2.7)])) == []
    assert kinds(replace(broken, troubles=[Trouble("term", 1.0, 4.0, 1.5)])) == ["stream rule"]
    assert kinds(replace(broken, progress=[replace(STREAM, faults=[2.6])])) == []
    assert kinds(replace(broken, progress=[replace(STREAM, faults=[2.9])])) == ["stream rule"]


def test_a_note_that_was_doubled_takes_nothing_from_the_click_on_it() -> None:
    note = Shown(3.0, "ann", "I was restarted while …", "m1", fault="502", of="turn 1")
    again = replace(note, at=4.5, fault="")
    cut = replace(RUN, how="closed")
    both = replace(AGAIN, began=5.0, ended=5.9)
    assert kinds(History([Q], [note, again, ANSWER_AGAIN], [both], deeds=[CLICK])) == []
    assert kinds(History([Q], [replace(note, fault=""), again, ANSWER_AGAIN], [both], deeds=[CLICK])) == ["doubled"]
    assert kinds(History([Q], [note, ANSWER_AGAIN], [cut, both], deeds=[CLICK])) == []


def test_a_click_explains_no_second_outcome_of_the_same_run_or_turn() -> None:
    first, second = replace(ANSWER, of="run 1"), replace(ANSWER_AGAIN, of="run 2")
    assert kinds(History([Q], [first, second], [RUN, AGAIN], deeds=[CLICK])) == []
    assert kinds(History([Q], [first, replace(second, of="run 1")], [RUN, AGAIN], deeds=[CLICK])) == ["doubled"]
    below = Shown(6.0, "ann", f"re [t1]{LINE}Stopped. The agent may …", "m1", of="run 1")
    assert kinds(History([Q], [first, below], [RUN, AGAIN], deeds=[CLICK])) == ["two outcomes"]
    # once with a fault and once more: one of the three is too many, whatever was clicked
    lost, third = replace(first, fault="502"), replace(second, at=7.0)
    twice = [lost, replace(first, at=3.5), second, third]
    assert kinds(History([Q], twice, [RUN, AGAIN], deeds=[CLICK])) == ["doubled"]
    assert kinds(History([Q], twice[:3], [RUN, AGAIN], deeds=[CLICK])) == []
    # the note of a second try that was cut off names a turn of its own
    note = Shown(3.0, "ann", "I was restarted while …", "m1", of="turn 1")
    other = replace(note, at=6.0, of="turn 2")
    assert kinds(History([Q], [note, other], [RUN, AGAIN], deeds=[CLICK])) == []


def test_who_deletes_a_question_and_has_it_asked_once_more_gets_an_answer() -> None:
    gone = replace(DELETE, at=3.2, acked=3.3)
    note = Shown(3.0, "ann", "I was restarted while …", "m1")
    told = History([Q], [note, ANSWER_AGAIN], [RUN, AGAIN], deeds=[gone, CLICK], claims={"m1": [1.9, 4.9]})
    assert kinds(told) == []
    # the click came first, or did not work, or what was asked had been claimed before it
    assert kinds(replace(told, deeds=[gone, replace(CLICK, at=3.0, acked=3.1)])) == ["asked after deletion"]
    assert "asked after deletion" in kinds(replace(told, deeds=[gone, replace(CLICK, worked=False)]))
    assert kinds(replace(told, claims={"m1": [1.9, 3.5]})) == ["asked after deletion"]


def test_of_a_group_what_was_deleted_is_not_asked_once_more_while_something_is_left() -> None:
    other = replace(Q, id="m0", token="t0")
    gone, first = replace(DELETE, at=3.2, acked=3.3), Deed("delete", "m0", 3.0, 3.1)
    both = [replace(run, tokens=("t0", "t1")) for run in (RUN, AGAIN)]
    shown = [Shown(3.0, "ann", "I was restarted while …", "m1"), replace(ANSWER_AGAIN, text="re [t0] [t1]")]
    claims = {"m0": [1.9, 4.9], "m1": [1.9, 4.9]}
    told = History([other, Q], shown, both, merged={"m0": "m1"}, deeds=[gone, CLICK], claims=claims)
    assert kinds(told) == ["asked after deletion"]
    assert kinds(replace(told, deeds=[first, CLICK])) == ["asked after deletion"]
    # all of them deleted: the last that went is what is left
    assert kinds(replace(told, deeds=[first, gone, CLICK])) == ["asked after deletion"]
    last = replace(told, asked=[both[0], AGAIN], deeds=[first, gone, CLICK])
    assert kinds(replace(last, shown=[shown[0], ANSWER_AGAIN])) == []


def test_who_was_asked_together_with_a_question_that_was_stopped_before_its_second_try_is_told_with_it() -> None:
    other, early = replace(Q, id="m0", token="t0"), Shown(4.6, "ann", "Stopped before the agent …", "m9")
    instead = replace(CLICK, at=2.5, acked=2.6)
    told = History([other, Q], [], [RUN], merged={"m0": "m1"}, deeds=[instead], claims=WAITED)
    assert kinds(told) == ["lost", "lost"]
    stopped = replace(told, withdrawn={"m0": 4.5, "m1": 4.5})
    assert kinds(replace(stopped, shown=[early])) == []
    # nobody was told, or of another stop, or the one note was for two stops
    assert kinds(stopped) == ["lost", "lost"]
    assert kinds(replace(stopped, shown=[replace(early, at=4.0)])) == ["lost", "lost"]
    assert kinds(replace(stopped, withdrawn={"m0": 4.5, "m1": 4.4}, shown=[early])) == ["lost"]
    # and it is not answered after all
    assert kinds(replace(stopped, shown=[early, ANSWER_AGAIN], deeds=[])) == ["two outcomes"]


def test_a_second_try_that_was_stopped_early_leaves_the_outcome_of_the_first() -> None:
    note, early = Shown(3.0, "ann", "I was restarted …", "m1"), Shown(4.6, "ann", "Stopped before the agent …", "m9")
    told = History([Q], [note, early], [RUN], deeds=[CLICK], withdrawn={"m1": 4.5})
    assert kinds(told) == []
    assert kinds(replace(told, shown=[note])) == ["lost"]


def test_a_note_below_what_the_agent_had_said_is_an_outcome() -> None:
    stopped = replace(STOPPED, text=f"re{LINE}{STOPPED.text}")
    told = History([Q], [stopped], [replace(RUN, how="closed")])
    assert kinds(told) == []
    # words of nobody, another's, or without the line between are none
    assert kinds(replace(told, shown=[replace(stopped, text=f"what{LINE}{STOPPED.text}")])) == ["lost"]
    assert kinds(replace(told, shown=[replace(stopped, text=f"re [t2]{LINE}{STOPPED.text}")])) == ["lost"]
    assert kinds(replace(told, shown=[replace(stopped, text=f"re\n\n{STOPPED.text}")])) == ["lost"]
    assert kinds(replace(told, asked=[])) == ["lost"]
    assert kinds(replace(told, shown=[replace(stopped, text=f"re{LINE}Please wait.")])) == ["lost"]
    # and one outcome is enough
    assert kinds(replace(told, shown=[ANSWER, replace(stopped, at=4.0)])) == ["two outcomes"]


def test_an_outage_explains_what_was_shown_while_a_life_could_go_on_without_the_database() -> None:
    left = History(progress=[replace(STREAM, ended=None)])
    twice = History([Q], [ANSWER, replace(ANSWER, at=60.0)], [RUN])
    for history, kind, at in ((left, "progress left", STREAM.began), (twice, "doubled", ANSWER.at)):
        for outage in (Trouble("outage", at + 0.5, at + 30.0), Trouble("outage", at - 14.0, at + 16.0)):
            assert kinds(replace(history, troubles=[outage])) == []
        for outage in (
            Trouble("outage", at - 1.0, at + 5.0),  # its life goes on, and writes it down
            Trouble("outage", at + 2.0, at + 32.0),  # there was time before
            Trouble("outage", at - 18.0, at + 12.0),  # nothing is sent any more
        ):
            assert kinds(replace(history, troubles=[outage])) == [kind]
    broken = History(progress=[STREAM], refusals=[replace(REFUSAL, at=18.0)])
    assert kinds(replace(broken, troubles=[Trouble("outage", 2.6, 32.0)])) == []
    for outage in (Trouble("outage", 2.6, 8.0), Trouble("outage", 12.0, 42.0)):
        assert kinds(replace(broken, troubles=[outage])) == ["stream rule"]


def test_a_freeze_that_is_shorter_than_a_life_lasts_without_a_beat_explains_nothing() -> None:
    twice = History([Q], [ANSWER, replace(ANSWER, at=60.0)], [RUN])
    assert kinds(replace(twice, troubles=[Trouble("freeze", 3.2, 5.2)])) == ["doubled"]
    assert kinds(replace(twice, troubles=[Trouble("freeze", 3.2, 25.0)])) == []
    assert kinds(replace(twice, troubles=[Trouble("freeze", 3.2, 8.0)], certain=3.0)) == []
    # what was about to be sent leaves as it wakes
    assert kinds(replace(twice, troubles=[Trouble("freeze", -15.0, 2.9)])) == []
    assert kinds(replace(twice, troubles=[Trouble("freeze", -15.0, 2.0)])) == ["doubled"]
    assert kinds(replace(twice, troubles=[Trouble("freeze", 1.0, 2.9)])) == ["doubled"]


def test_what_could_not_be_written_in_an_outage_may_be_lost_with_its_process_soon_after_it() -> None:
    twice = History([Q], [ANSWER, replace(ANSWER, at=60.0)], [RUN])
    outage = Trouble("outage", 2.9, 8.0)
    assert kinds(replace(twice, troubles=[outage, Trouble("kill", 12.0, 13.0)])) == []
    assert kinds(replace(twice, troubles=[Trouble("kill", 12.0, 13.0)])) == ["doubled"]
    assert kinds(replace(twice, troubles=[outage])) == ["doubled"]
    assert kinds(replace(twice, troubles=[outage, Trouble("kill", 20.0, 21.0)])) == ["doubled"]
    late = replace(outage, at=5.0)
    assert kinds(replace(twice, troubles=[late, Trouble("kill", 12.0, 13.0)])) == ["doubled"]
