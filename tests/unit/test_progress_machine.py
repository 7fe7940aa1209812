"""The progress machine: rules of streams, placeholders, and the message that the answer replaces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.live_message import LiveMessage
from bridge.core.ports.agent import TextCame, TextWithdrawn, Thinking, ToolBegan, ToolEnded
from bridge.core.ports.channel import Chunk
from bridge.core.progress.machine import CloseStream, PostPlaceholder, ProgressMachine, Step, UpdatePlaceholder
from bridge.core.turn import Scope

Sent = list[tuple[float, Step]]


def progress(scope: Scope = Scope.PERSONAL, *, streaming: bool = True, interval: float = 1.5) -> ProgressMachine:
    return ProgressMachine(scope, "en-US", 0.0, streaming=streaming, interval=lambda: interval)


def play(machine: ProgressMachine, until: float, news: dict[float, object] | None = None, *, now: float = 0.0) -> Sent:
    """Drive the machine as the engine does, without real waiting; `news`: the agent's events by time in seconds."""
    sent: Sent = []
    waiting = sorted((news or {}).items())
    while now < until:
        pause = machine.wait(now)
        if pause is None:
            break
        now = min(now + pause, *(at for at, _ in waiting[:1]), until)
        while waiting and waiting[0][0] <= now:
            machine.on_event(waiting.pop(0)[1])  # type: ignore[arg-type]
        step = machine.step(now)
        if step is not None:
            sent.append((now, step))
            machine.sent(step, "m1", now)
    return sent


def texts(sent: Sent) -> list[str]:
    return [step.line if isinstance(step, PostPlaceholder | UpdatePlaceholder) else step.text for _, step in sent]


def test_an_answer_within_a_second_has_no_progress_before() -> None:
    assert play(progress(), 0.99) == []
    assert progress().live_message(0.9, notify=True) is None


def test_a_stream_begins_with_the_activity_line_and_counts_its_requests() -> None:
    machine = progress()
    sent = play(
        machine, 12.0, {0.2: Thinking(), 3.0: ToolBegan("web_search", "penguins"), 5.0: ToolEnded("x", failed=False)}
    )
    chunks = [step for _, step in sent if isinstance(step, Chunk)]
    assert [step.sequence for step in chunks] == [1, 2, 3, 4]
    assert (chunks[0].stream, {step.stream for step in chunks[1:]}) == ("", {"m1"})
    assert all(step.informative for step in chunks)
    assert texts(sent) == ["Thinking …", "Searching: penguins …", "Working on it …", "Working on it · 10 s"]


def test_requests_keep_their_distance_whatever_the_number_of_events() -> None:
    news = {n / 10: TextCame(f"word{n} ") for n in range(10, 400)}
    sent = play(progress(), 40.0, dict(news))
    assert all(later - earlier >= 1.5 for (earlier, _), (later, _) in pairwise(sent))
    slow = play(progress(interval=10.0), 40.0, dict(news))
    assert all(later - earlier >= 10.0 for (earlier, _), (later, _) in pairwise(slow))


def test_only_the_first_event_after_a_request_shortens_the_wait() -> None:
    machine = progress()
    assert not machine.on_event(TextCame("All "))  # the first step is due anyway
    first = machine.step(1.0)
    assert first is not None
    machine.sent(first, "m1", 1.0)
    idle = machine.wait(2.0)
    assert machine.on_event(TextCame("is "))
    due = machine.wait(2.0)
    assert due is not None
    assert idle is not None
    assert due < idle
    assert not machine.on_event(TextCame("well."))
    assert machine.wait(2.0) == due


@pytest.mark.parametrize("news", [{}, {1.5: TextCame("All is well so far, dear Ann.\n\nAnd")}])
def test_a_stream_without_news_asks_every_ten_seconds_whether_it_was_stopped(news: dict[float, object]) -> None:
    sent = play(progress(), 360.0, dict(news))
    moments = [at for at, step in sent if isinstance(step, Chunk | CloseStream)]
    assert max(later - earlier for earlier, later in pairwise(moments)) <= 10.1
    chunks = [step for _, step in sent if isinstance(step, Chunk)]
    assert [step.sequence for step in chunks] == list(range(1, len(chunks) + 1))
    assert all(later.text.startswith(earlier.text) for earlier, later in pairwise(chunks) if not earlier.informative)


def test_a_stream_on_whose_chat_a_person_writes_asks_at_once_and_then_each_second_whether_it_was_stopped() -> None:
    machine = progress()
    (opened, first), *_ = play(machine, 1.5)
    assert isinstance(first, Chunk)
    assert machine.listen()
    assert machine.wait(opened + 0.3) == pytest.approx(0.7)  # Teams allows one request a second
    times = [at for at, step in play(machine, 20.0, now=opened + 0.3) if isinstance(step, Chunk)]
    assert times[0] - opened <= 1.1
    assert all(1.0 <= later - earlier <= 1.2 for earlier, later in pairwise(times))


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=30))
def test_whenever_a_person_writes_the_stream_asks_within_a_second_and_never_twice_in_a_second(
    written: list[float],
) -> None:
    machine = progress()
    asked, now, waiting = [0.0], 0.0, sorted(written)
    while now < 109.0:
        now = min(now + (machine.wait(now) or 1.0), *waiting[:1], 109.0)
        if waiting and waiting[0] <= now:
            waiting.pop(0)
            machine.listen()
        step = machine.step(now)
        if step is not None:
            asked.append(now)
            machine.sent(step, "m1", now)
    assert all(later - earlier >= 1.0 - 1e-9 for earlier, later in pairwise(asked))
    behind = [min(at for at in asked if at >= moment) - moment for moment in written if asked[1] <= moment < 108.0]
    assert max(behind, default=0.0) <= 1.0 + 0.06


def test_a_person_who_writes_during_a_request_has_a_request_of_her_own() -> None:
    machine = progress()
    first = machine.step(1.0)
    assert first is not None
    machine.sent(first, "m1", 1.0)
    assert machine.listen()
    second = machine.step(2.0)
    assert second is not None
    machine.listen()  # the request is under way: Stop may come after Teams has answered
    machine.sent(second, "m1", 2.1)
    assert machine.step(3.1) is not None


def test_without_an_open_stream_there_is_no_stop_to_hear_of() -> None:
    assert not progress().listen()


def test_the_text_of_a_stream_only_grows() -> None:
    news = {1.5 + n / 5: TextCame(f"word{n} ") for n in range(100)}
    chunks = [s for _, s in play(progress(), 30.0, dict(news)) if isinstance(s, Chunk) and not s.informative]
    assert len(chunks) > 5
    assert all(later.text.startswith(earlier.text) for earlier, later in pairwise(chunks))


def test_a_visible_announcement_stays_and_the_answer_goes_below() -> None:
    news = {
        1.0: TextCame("Let me look. A moment.\n\nOk"),
        4.0: TextWithdrawn(),
        6.0: TextCame("It is late now.\n\nGood"),
    }
    machine = progress()
    sent = play(machine, 9.0, dict(news))
    content = [step.text for _, step in sent if isinstance(step, Chunk) and not step.informative]
    assert content[0].startswith("Let me look.")
    assert content[-1].startswith(content[0])
    assert "late" in content[-1]


def test_a_stream_ends_before_its_two_minutes_however_rarely_progress_may_be_shown() -> None:
    ((opened, chunk), (closed, close)) = play(progress(interval=166.0), 150.0, {0.5: TextCame("Hello.\n\n")})
    assert (type(chunk), type(close)) == (Chunk, CloseStream)
    assert closed - opened == 110.0


def test_a_stream_ends_before_its_two_minutes_and_goes_on_as_edits_of_its_message() -> None:
    machine = progress()
    sent = play(machine, 360.0)
    closed = [at for at, step in sent if isinstance(step, CloseStream)]
    assert len(closed) == 1
    assert 105 <= closed[0] <= 115
    assert all(isinstance(step, UpdatePlaceholder) and step.message == "m1" for at, step in sent if at > closed[0])
    after = [at for at, _ in sent if at > closed[0]]
    assert 3 <= len(after) <= 12
    assert machine.live_message(360.0, notify=True) == LiveMessage("m1", shrinks_to="✓ 6 min")


def test_in_groups_and_channels_a_placeholder_comes_after_three_seconds_and_is_edited() -> None:
    for scope in (Scope.GROUP, Scope.CHANNEL):
        sent = play(progress(scope), 30.0, {5.0: ToolBegan("read_file", "report.pdf")})
        assert isinstance(sent[0][1], PostPlaceholder)
        assert 3.0 <= sent[0][0] <= 3.1
        assert texts(sent)[1] == "Reading: report.pdf …"
        assert all(isinstance(step, UpdatePlaceholder) for _, step in sent[1:])


def test_without_streaming_a_personal_chat_has_a_placeholder_too() -> None:
    assert isinstance(play(progress(streaming=False), 5.0)[0][1], PostPlaceholder)


def test_an_early_answer_replaces_the_live_message() -> None:
    machine = progress()
    play(machine, 5.0)
    assert machine.live_message(5.0, notify=True) == LiveMessage("m1", stream=True)


def test_a_late_answer_without_text_before_is_a_new_message() -> None:
    machine = progress()
    play(machine, 45.0, {5.0: ToolBegan("web_search", "penguins"), 9.0: ToolEnded("web_search", failed=False)})
    assert machine.live_message(45.0, notify=True) == LiveMessage(
        "m1", stream=True, shrinks_to="✓ Searching: penguins · 45 s"
    )
    assert machine.live_message(45.0, notify=False) == LiveMessage("m1", stream=True)


def test_a_late_answer_with_visible_text_before_is_no_second_message() -> None:
    machine = progress()
    play(machine, 45.0, {5.0: TextCame("First of all, the good news.\n\nThen")})
    live = machine.live_message(45.0, notify=True)
    assert live is not None
    assert (live.shrinks_to, live.text[:5]) == ("", "First")


def test_silence_shrinks_a_placeholder_to_a_line() -> None:
    machine = progress(Scope.GROUP)
    play(machine, 5.0)
    assert machine.live_message(5.0, notify=True, silent=True) == LiveMessage("m1", shrinks_to="✓ 5 s")


def test_after_a_refused_request_no_more_progress_is_sent() -> None:
    machine = progress()
    assert machine.step(1.0) is not None
    machine.refused()
    assert machine.wait(1.0) is None
    assert machine.live_message(2.0, notify=True) is None


def test_where_a_stream_cannot_begin_a_placeholder_follows() -> None:
    machine = progress()
    assert isinstance(machine.step(1.0), Chunk)
    machine.refused(stream_over=True)
    sent = play(machine, 10.0, now=1.0)
    assert isinstance(sent[0][1], PostPlaceholder)
    assert sent[0][0] == 3.0
    assert machine.live_message(10.0, notify=True) == LiveMessage("m1")


def test_a_stream_in_an_unknown_state_is_still_ended_as_a_stream() -> None:
    machine = progress()
    play(machine, 5.0, {1.0: TextCame("Hello there, friend.\n\nHow")})
    machine.refused()
    assert machine.wait(5.0) is None
    assert machine.live_message(6.0, notify=True) == LiveMessage("m1", stream=True, text=machine.visible_text)


@pytest.mark.parametrize("scope", Scope)
def test_the_time_in_the_activity_line_has_passed_not_long_ago(scope: Scope) -> None:
    sent = play(progress(scope), 590.0)
    lines = [(at, text.partition(" · ")[2]) for at, text in zip([at for at, _ in sent], texts(sent), strict=True)]
    timed = [(at, words) for at, words in lines if words]
    assert [words for _, words in timed][:6] == ["10 s", "20 s", "30 s", "40 s", "50 s", "1 min"]
    for at, words in timed:
        number = [int(part) for part in words.split() if part.isdigit()]
        seconds = sum(n * (60 if unit == "min" else 1) for n, unit in zip(number, words.split()[1::2], strict=True))
        assert 0 <= at - seconds < (10.0 if at < 60 else 30.0 if at < 300 else 60.0)


def test_a_skipped_request_is_tried_again_later() -> None:
    machine = progress()
    assert machine.step(1.0) is not None
    machine.skipped(1.0)
    assert machine.step(1.5) is None
    assert machine.step(2.6) is not None


def test_a_stream_that_the_user_has_stopped_is_left_alone() -> None:
    machine = progress()
    play(machine, 5.0, {1.0: TextCame("Hello there, friend.\n\nHow")})
    machine.unchangeable()
    assert machine.live_message(5.0, notify=True) is None


@pytest.mark.parametrize("earlier", [LiveMessage("m0", stream=True), LiveMessage("m0")])
def test_a_turn_claimed_again_goes_on_in_its_old_message(earlier: LiveMessage) -> None:
    machine = ProgressMachine(Scope.PERSONAL, "en", 0.0, streaming=True, interval=lambda: 1.5, earlier=earlier)
    sent = play(machine, 5.0)
    assert [step.message for _, step in sent if isinstance(step, UpdatePlaceholder)] == ["m0"]
    assert machine.live_message(5.0, notify=True) == earlier


def test_many_announcements_do_not_make_a_message_too_long() -> None:
    machine, now = progress(), 0.0
    for number in range(10):
        news = {now + 1.5: TextCame("word " * 3_600 + "\n\nAnd"), now + 4.0: TextWithdrawn()}
        play(machine, now + 8.0, dict(news), now=now)
        now += 8.0
        assert len(machine.visible_text) <= 40_000, number
    assert len(machine.visible_text) > 30_000


def test_a_stream_whose_first_answer_names_no_id_is_begun_once_more() -> None:
    machine = progress()
    first = machine.step(1.0)
    assert first is not None
    machine.sent(first, "", 1.0)
    (at, again), *later = play(machine, 6.0, {2.5: ToolBegan("exec", "")}, now=1.0)

    assert at <= 2.5
    assert (again, first) == (first, Chunk("Working on it …", 1, "", informative=True))
    assert all(isinstance(step, Chunk) and step.stream == "m1" for _, step in later)
    assert machine.live_message(6.0, notify=False) == LiveMessage("m1", stream=True)


def test_a_stream_that_is_never_named_gives_way_to_a_placeholder() -> None:
    machine = progress()
    for now in (1.0, 2.0):
        step = machine.step(now)
        assert isinstance(step, Chunk)
        machine.sent(step, "", now)
    (at, step), *_ = play(machine, 4.0, now=2.0)

    assert (at, step) == (3.0, PostPlaceholder("Working on it …"))


def test_a_placeholder_without_id_is_neither_edited_nor_posted_again() -> None:
    machine = progress(Scope.GROUP)
    step = machine.step(3.0)
    assert isinstance(step, PostPlaceholder)
    machine.sent(step, "", 3.0)

    assert machine.nameless
    assert machine.wait(3.0) is None
    assert machine.live_message(9.0, notify=True) is None
