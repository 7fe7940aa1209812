"""A turn from claim to outcome: the messages that people see, for each behaviour of the agent and Teams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from support.engine_world import BOB, EPOCH, WHOLE_TURN, World, stop_command, until, virtual_time

from bridge.core.edits import EditVerdict
from bridge.core.errors import (
    ConnectorForbids,
    ConnectorUnreachable,
    CredentialsRefused,
    DeliveryDelayed,
    DeliveryFailure,
    DeliveryRefused,
    DeliveryRejected,
    DeliveryUnknown,
    GatewayDown,
    RunLost,
    RunNotStarted,
    SessionNotDeleted,
    Throttled,
    TurnFailure,
)
from bridge.core.ports.agent import Answer, Thinking
from bridge.core.texts import ENGLISH, say
from bridge.core.turn import Activity, Kind, Outcome, Scope, State, StopVerdict
from bridge.engine.admission import Patience
from bridge.engine.dispatcher import Limits
from bridge.engine.progress import ProgressSwitches
from bridge.engine.run_control import RunControl, StopRequested

HOUR = 3600.0
STOP = stop_command()
# Three messages: a message holds under 80 KB (docs/reference/teams.md, "Size of a message").
LONG = "\n\n".join(f"paragraph {n} " + "x" * 900 for n in range(100))


def _leaves(root: type[TurnFailure]) -> Iterator[type[TurnFailure]]:
    for child in root.__subclasses__():
        yield from _leaves(child)
    if not root.__subclasses__():
        yield root


FAILURES = sorted(_leaves(TurnFailure), key=lambda failure: failure.label)


def failure_text(key: str, turn: str = "T-1") -> str:
    """The text of a failed turn: the sentence and the turn's name in small print; on a card the summary's sentence."""
    on_a_card = any(failure.label == key and failure.again for failure in FAILURES)
    return ENGLISH[key] if on_a_card else f"{ENGLISH[key]}\n\n*{turn}*"


def test_every_failure_of_the_error_tree_has_a_label_of_its_own() -> None:
    assert len(FAILURES) > 10
    assert len({failure.label for failure in FAILURES}) == len(FAILURES)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: str(failure.label))
@virtual_time
async def test_each_failure_of_a_run_has_its_own_sentence(failure: type[TurnFailure]) -> None:
    async with World(limits=Limits(patience=Patience(queue=50))) as world:
        world.agent.answers["q"] = failure("HTTP 599 for operators only")
        await world.ask("q")
        row = await world.closed("q")
        assert (row.outcome, row.error) == (Outcome.FAILED, failure.label)
        assert world.channel.texts() == [failure_text(failure.label)]
        assert "599" not in world.channel.texts()[0]
        # asked again only where the run cannot have started
        assert (world.agent.asked == ["q"]) is not issubclass(failure, RunNotStarted)


@virtual_time
async def test_a_passing_failure_has_a_button_to_ask_again_and_the_turns_name_in_small_print() -> None:
    async with World() as world:
        world.agent.answers["q"] = RunLost("")
        await world.ask("q")
        await world.closed("q")
        (request,) = world.channel.sent
        card = request.activity["attachments"][0]["content"]
        assert [block["text"] for block in card["body"]] == [ENGLISH["run_lost"], "T-1"]
        assert [(action["verb"], action["data"]) for action in card["actions"]] == [("askAgain", {"turn": 1})]


@virtual_time
async def test_a_withdrawn_run_ends_without_a_message() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.agent.asked)
        assert (await world.dispatcher.edits.withdraw(world.row("q"))).verdict is EditVerdict.STOPPING
        await world.ask("next")
        await world.closed("q", "next")
        assert world.row("q").outcome is Outcome.WITHDRAWN
        assert (world.agent.cancelled, world.channel.texts()) == (["q"], ["echo next"])
        # the gateway may still be at work for a moment, as after any stop
        assert world.agent.times["next"] - world.agent.times["q"] >= 3.0


@virtual_time
async def test_a_run_withdrawn_before_a_crash_gets_no_note_of_the_interruption() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await until(lambda: world.agent.asked)
        await world.memory.withdraw(world.row("q"), EPOCH)
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.WITHDRAWN
        assert world.channel.texts() == []


@virtual_time
async def test_a_fault_of_the_bridge_has_a_sentence_without_the_exceptions_words() -> None:
    async with World() as world:
        world.agent.answers["q"] = ZeroDivisionError("secret words")
        await world.ask("q")
        assert (await world.closed("q")).error == "internal_error"
        assert world.channel.texts() == [failure_text("internal_error")]
        await world.ask("next")
        assert (await world.closed("next")).outcome is Outcome.DELIVERED


@virtual_time
async def test_an_answer_is_stored_before_it_is_shown() -> None:
    async with World() as world:
        states: list[State] = []

        async def look(_: Activity) -> None:
            states.append(world.row("q").state)

        world.channel.on_send = look
        await world.ask("q")
        row = await world.closed("q")
        assert states == [State.ANSWERED]
        assert (row.outcome, row.delivered, world.channel.texts()) == (Outcome.DELIVERED, ("m1",), ["echo q"])


@virtual_time
async def test_a_silent_answer_is_a_short_note_in_a_personal_chat_and_no_message_in_a_group() -> None:
    async with World() as world:
        world.agent.answers["q"] = Answer("", silent=True)
        await world.ask("alone", "q")
        await world.ask("group", "q", lane="team", scope=Scope.GROUP)
        await world.closed("alone", "group")
        assert [world.row(id_).outcome for id_ in ("alone", "group")] == [Outcome.SILENT, Outcome.SILENT]
        assert world.channel.texts() == [say("silent")]
        assert world.channel.texts("team") == []


@virtual_time
async def test_an_answer_without_visible_words_is_reported_as_empty() -> None:
    async with World() as world:
        world.agent.answers["q"] = Answer(" \n\t\n")
        await world.ask("q")
        assert (await world.closed("q")).error == "answer_empty"
        assert world.channel.texts() == [failure_text("answer_empty")]


@virtual_time
async def test_a_ready_note_is_shown_without_asking_the_agent() -> None:
    async with World() as world:
        await world.ask("n", kind=Kind.NOTE, activities=({"type": "message", "text": "hello"},))
        assert (await world.closed("n")).outcome is Outcome.DELIVERED
        assert (world.channel.texts(), world.agent.asked, world.channel.typed) == (["hello"], [], [])


@virtual_time
async def test_new_deletes_the_session_and_confirms() -> None:
    async with World() as world:
        await world.ask("n", kind=Kind.NEW)
        await world.closed("n")
        assert world.agent.forgotten == [("helper", "user-chat")]
        assert world.channel.texts() == [say("new_done")]


@virtual_time
async def test_a_failed_new_is_never_confirmed() -> None:
    async with World() as world:
        world.agent.forgets.append(SessionNotDeleted())
        await world.ask("n", kind=Kind.NEW)
        assert (await world.closed("n")).outcome is Outcome.FAILED
        assert world.channel.texts() == [failure_text("session_not_deleted")]


@virtual_time
async def test_a_run_past_the_turn_time_out_is_ended_noted_and_settled() -> None:
    async with World() as world:
        world.agent.takes["q"] = 10 * WHOLE_TURN
        await world.ask("q")
        await world.ask("next")
        assert (await world.closed("q", seconds=2 * WHOLE_TURN)).error == "run_timed_out"
        await world.closed("next")
        assert world.agent.cancelled == ["q"]
        assert world.channel.sent[0].at == pytest.approx(WHOLE_TURN)
        assert world.agent.times["next"] == pytest.approx(WHOLE_TURN + 3, abs=0.1)


# typing


@virtual_time
async def test_typing_begins_with_the_run_is_renewed_and_never_follows_the_answer() -> None:
    async with World() as world:
        world.agent.takes["q"] = 10
        await world.ask("q")
        await world.closed("q")
        await asyncio.sleep(30)
        assert [request.at for request in world.channel.typed] == pytest.approx([0, 4, 8])
        assert world.agent.times["q"] == pytest.approx(0, abs=0.01)
        assert world.channel.sent[0].at == pytest.approx(10, abs=0.01)


@virtual_time
async def test_the_agent_does_not_wait_for_the_typing_indicator() -> None:
    async with World() as world:
        world.channel.typing_seconds = 1.0
        await world.ask("q")
        await world.closed("q")
        assert world.agent.times["q"] < 0.1
        # the answer waits for the indicator under way
        assert world.channel.typed[0].at < 0.1
        assert world.channel.sent[0].at == pytest.approx(1, abs=0.1)
        await asyncio.sleep(30)
        assert len(world.channel.typed) == 1


@virtual_time
async def test_a_hanging_typing_indicator_delays_the_answer_by_two_seconds_at_most() -> None:
    async with World() as world:
        world.channel.typing_seconds = 1000.0
        await world.ask("q")
        await world.closed("q")
        assert world.channel.sent[0].at == pytest.approx(2, abs=0.1)
        await asyncio.sleep(1500)
        assert world.channel.typed == []


@pytest.mark.parametrize("failure", [DeliveryRefused(), Throttled(), ZeroDivisionError()], ids=repr)
@pytest.mark.parametrize("seconds", [0.0, 1.0])
@virtual_time
async def test_a_failing_typing_indicator_does_not_harm_the_answer(failure: Exception, seconds: float) -> None:
    async with World() as world:
        world.channel.typing_failure = failure
        world.channel.typing_seconds = seconds
        world.agent.takes["q"] = 0.5
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert world.channel.texts() == ["echo q"]


@pytest.mark.parametrize(("scope", "count"), [(Scope.PERSONAL, 3), (Scope.GROUP, 3), (Scope.CHANNEL, 0)])
@virtual_time
async def test_typing_is_shown_where_teams_shows_it(scope: Scope, count: int) -> None:
    async with World() as world:
        world.agent.takes["q"] = 10
        await world.ask("q", scope=scope)
        await world.closed("q")
        assert len(world.channel.typed) == count
        assert "echo q" in world.channel.texts()[0]


@virtual_time
async def test_typing_slows_down_as_more_people_wait() -> None:
    """All progress of a tenant together stays under 30 requests a second."""
    async with World() as world:
        for n in range(300):
            world.agent.takes[f"q{n}"] = 60
            await world.ask(f"q{n}", lane=f"lane-{n}")
        await world.closed(*(f"q{n}" for n in range(300)), seconds=120)
        moments = [request.at for request in world.channel.typed if 5 < request.at < 55]
        assert len(moments) / 50 <= 30
        assert len(moments) / 50 > 15


# delivery


@pytest.mark.parametrize(
    "failure", [Throttled(), ConnectorUnreachable(), CredentialsRefused(), ConnectorForbids()], ids=repr
)
@virtual_time
async def test_a_delayed_delivery_is_retried_with_growing_pauses(failure: DeliveryFailure) -> None:
    async with World() as world:
        world.channel.failures = [failure] * 4
        await world.ask("q")
        await world.ask("next")
        row = await world.closed("q", "next")
        assert row.outcome is Outcome.DELIVERED
        assert world.channel.texts() == ["echo q", "echo next"]
        tries = [request.at for request in world.channel.tries if request.text == "echo q"]
        assert [round(b - a) for a, b in pairwise(tries)] == [1, 2, 5, 15]
        assert world.agent.asked == ["q", "next"]


@virtual_time
async def test_an_answer_that_may_be_visible_is_sent_again_after_one_and_five_minutes_only() -> None:
    async with World() as world:
        world.channel.failures = [DeliveryUnknown()] * 9
        await world.ask("q")
        row = await world.closed("q", seconds=HOUR)
        assert row.outcome is Outcome.UNDELIVERED
        tries = [request.at for request in world.channel.tries]
        assert [round(b - a) for a, b in pairwise(tries)] == [60, 300]


@virtual_time
async def test_a_long_retry_after_is_obeyed() -> None:
    async with World() as world:
        world.channel.failures = [Throttled(retry_after=120.0)]
        await world.ask("q")
        await world.closed("q", seconds=HOUR)
        tries = [request.at for request in world.channel.tries]
        assert [round(b - a) for a, b in pairwise(tries)] == [120]


@virtual_time
async def test_a_shutdown_does_not_wait_for_a_delivery_between_retries() -> None:
    async with World() as world:
        world.channel.failures = [CredentialsRefused()] * 50
        await world.ask("q")
        await until(lambda: len(world.channel.tries) == 5, HOUR)
        before = asyncio.get_running_loop().time()
        await world.dispatcher.drain(120.0)
        assert asyncio.get_running_loop().time() - before < 1
        assert world.row("q").state is State.ANSWERED


@virtual_time
async def test_a_failed_new_says_that_the_old_session_may_still_be_there() -> None:
    async with World() as world:
        world.agent.forgets = [GatewayDown() for _ in range(20)]
        await world.ask("n", kind=Kind.NEW)
        row = await world.closed("n")
        assert row.outcome is Outcome.FAILED
        assert row.error == "gateway_down"
        assert world.channel.texts() == [failure_text("session_not_deleted")]


@virtual_time
async def test_a_delivery_is_given_up_after_a_day_and_the_lane_goes_on() -> None:
    async with World() as world:
        world.channel.failures = [ConnectorUnreachable()] * 1000
        # a day counted from the first failure, not from acceptance: a turn held by a pause has a whole day, too
        await world.ask("q", accepted=EPOCH - 48 * HOUR)
        await asyncio.sleep(23.5 * HOUR)
        assert world.row("q").state is State.ANSWERED
        row = await world.closed("q", seconds=HOUR)
        assert row.outcome is Outcome.UNDELIVERED
        assert row.closed == pytest.approx(EPOCH + 24 * HOUR, abs=600)
        world.channel.failures.clear()
        await world.ask("next")
        assert (await world.closed("next")).outcome is Outcome.DELIVERED


@virtual_time
async def test_a_conversation_that_refuses_for_good_is_not_tried_again() -> None:
    async with World() as world:
        world.channel.failures = [DeliveryRefused()]
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.UNDELIVERED
        assert len(world.channel.tries) == 1
        assert world.clock.now() < EPOCH + 1


@virtual_time
async def test_when_a_403_without_a_word_heals_people_get_what_waited() -> None:
    async with World() as world:
        world.channel.failures = [ConnectorForbids("HTTP 403")] * 1000
        await world.ask("q")
        await world.ask("next")
        await asyncio.sleep(3 * 3600)
        assert (world.channel.texts(), world.agent.asked) == ([], ["q"])
        world.channel.failures.clear()
        await world.closed("q", "next", seconds=600)
        assert world.channel.texts() == ["echo q", "echo next"]


@virtual_time
async def test_an_answer_rejected_three_times_is_sent_as_plain_text() -> None:
    async with World() as world:
        world.agent.answers["q"] = Answer("# Title\n\n**bold**")
        world.channel.failures = [DeliveryRejected()] * 3
        await world.ask("q")
        row = await world.closed("q")
        assert (row.outcome, row.attempts) == (Outcome.DELIVERED, 3)
        forms = [request.activity["textFormat"] for request in world.channel.tries]
        assert forms == ["markdown", "markdown", "markdown", "plain"]
        assert "attachments" not in world.channel.sent[0].activity
        assert "bold" in world.channel.texts()[0]


@virtual_time
async def test_an_answer_rejected_five_times_is_undelivered() -> None:
    async with World() as world:
        world.channel.failures = [DeliveryRejected()] * 100
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.UNDELIVERED
        assert len(world.channel.tries) == 5


@virtual_time
async def test_rejections_are_counted_over_restarts() -> None:
    async with World() as world:
        world.channel.failures = [DeliveryRejected()] * 100
        await world.ask("q")
        await until(lambda: world.row("q").attempts == 2)
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.UNDELIVERED
        assert len(world.channel.tries) == 5


@virtual_time
async def test_a_fault_in_the_channel_does_not_lose_the_answer() -> None:
    async with World() as world:
        world.channel.failures = [ZeroDivisionError()]
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert world.channel.texts() == ["echo q"]
        assert world.agent.asked == ["q"]


@virtual_time
async def test_a_lasting_fault_in_the_channel_ends_the_turn_without_asking_twice() -> None:
    async with World() as world:
        world.channel.failures = [ZeroDivisionError() for _ in range(100)]
        await world.ask("q")
        assert (await world.closed("q")).outcome is Outcome.UNDELIVERED
        world.channel.failures.clear()
        await asyncio.sleep(60)
        assert (world.agent.asked, world.channel.texts()) == (["q"], [])


@virtual_time
async def test_a_long_answer_is_recorded_part_by_part() -> None:
    async with World() as world:
        recorded: list[tuple[str, ...]] = []

        async def look(_: Activity) -> None:
            recorded.append(world.row("q").delivered)

        world.channel.on_send = look
        world.agent.answers["q"] = Answer(LONG)
        await world.ask("q")
        row = await world.closed("q")
        assert recorded == [(), ("m1",), ("m1", "m2")]
        assert row.delivered == ("m1", "m2", "m3")
        text = "\n\n".join(world.channel.texts())
        assert all(f"paragraph {n} " in text for n in range(100))


@virtual_time
async def test_after_a_restart_between_parts_only_the_missing_parts_are_sent() -> None:
    async with World() as world:
        world.agent.answers["q"] = Answer(LONG)
        world.channel.send_seconds = 1.0
        await world.ask("q")
        await until(lambda: world.row("q").delivered == ("m1",))
        await world.restart()
        row = await world.closed("q")
        assert (row.outcome, row.delivered) == (Outcome.DELIVERED, ("m1", "m2", "m3"))
        assert len(set(world.channel.texts())) == len(world.channel.texts()) == 3
        assert world.agent.asked == ["q"]


# the store away


@pytest.mark.parametrize("method", ["record_answer", "close_turn", "record_delivered"])
@virtual_time
async def test_an_answer_is_held_while_the_store_is_unavailable_and_written_later(method: str) -> None:
    async with World() as world:
        world.agent.answers["q"] = Answer(LONG)
        world.memory.outages[method] = 25
        await world.ask("q")
        row = await world.closed("q", seconds=600)
        assert row.outcome is Outcome.DELIVERED
        assert len(world.channel.texts()) == 3
        assert world.agent.asked == ["q"]
        assert world.clock.now() > EPOCH + 20


@virtual_time
async def test_an_answer_is_not_shown_before_it_is_stored() -> None:
    async with World() as world:
        world.memory.outages["record_answer"] = 10**6
        await world.ask("q")
        await asyncio.sleep(300)
        assert world.channel.tries == []
        world.memory.outages["record_answer"] = 0
        await world.closed("q")
        assert world.channel.texts() == ["echo q"]


# stop


@virtual_time
async def test_stop_closes_the_request_shows_a_note_and_lets_the_gateway_settle() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        await world.ask("next", who=BOB)
        await asyncio.sleep(5)
        assert await world.dispatcher.stop(world.row("q").lane, STOP, "Ann") is StopVerdict.STOPPING
        row = await world.closed("q")
        await world.closed("next")
        assert (row.outcome, world.agent.cancelled) == (Outcome.STOPPED, ["q"])
        assert world.channel.texts() == [say("stopped"), "echo next"]
        assert world.channel.sent[0].at == pytest.approx(5, abs=0.1)
        assert world.agent.times["next"] == pytest.approx(8, abs=0.1)


@virtual_time
@pytest.mark.parametrize(("ends", "rest"), [(0.5, 0.5), (9.0, 9.0), (60.0, 15.0)])
async def test_a_lane_waits_for_the_stopped_runs_end_event_but_not_for_ever(ends: float, rest: float) -> None:
    async with World(switches=ProgressSwitches()) as world:
        world.agent.takes["q"] = 100
        world.agent.events["q"] = (Thinking(),)
        world.agent.run_ends["q"] = ends
        await world.ask("q")
        await world.ask("next", who=BOB)
        await asyncio.sleep(5)
        await world.dispatcher.stop(world.row("q").lane, STOP, "Ann")
        await world.closed("q", "next", seconds=30)
        assert world.channel.texts()[-1] == "echo next"
        assert world.agent.times["next"] == pytest.approx(5 + rest, abs=0.1)


@virtual_time
async def test_in_a_group_the_note_says_who_stopped() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q", scope=Scope.GROUP)
        await until(lambda: world.agent.asked)
        await world.dispatcher.stop(world.row("q").lane, STOP, "Bob")
        await world.closed("q")
        assert world.channel.texts() == [say("stopped_for", name="Bob", owner="Ann")]


@virtual_time
async def test_a_stop_before_the_request_leaves_ends_the_turn() -> None:
    async with World() as world:
        world.agent.takes["q"] = 100
        await world.ask("q")
        assert world.agent.asked == []
        await world.dispatcher.stop(world.row("q").lane, STOP, "Ann")
        assert (await world.closed("q")).outcome is Outcome.STOPPED
        assert world.channel.texts() == [say("stopped")]


@virtual_time
async def test_a_run_stopped_before_its_begin_ends_at_its_first_await() -> None:
    control = RunControl()
    control.stop("Ann")

    async def run() -> None:
        async with control.limit(100):
            await asyncio.sleep(50)

    with pytest.raises(StopRequested):
        await run()
    assert asyncio.get_running_loop().time() < 1


@virtual_time
async def test_a_stop_during_the_last_part_finds_nothing_to_stop() -> None:
    async with World() as world:
        world.channel.send_seconds = 5
        await world.ask("q")
        await world.in_state("q", State.ANSWERED)
        assert await world.dispatcher.stop(world.row("q").lane, STOP, "Ann") is StopVerdict.NOTHING
        assert (await world.closed("q")).outcome is Outcome.DELIVERED
        assert world.channel.texts() == ["echo q"]


@pytest.mark.parametrize("moment", [0.999, 1.0, 1.001, 1.01])
@virtual_time
async def test_a_race_of_stop_and_answer_has_one_winner(moment: float) -> None:
    async with World() as world:
        world.memory.latency = 0.004
        world.agent.takes["q"] = 1.0
        await world.ask("q")
        await asyncio.sleep(moment)
        verdict = await world.dispatcher.stop(world.row("q").lane, STOP, "Ann")
        row = await world.closed("q")
        stopped = verdict is StopVerdict.STOPPING
        assert row.outcome is (Outcome.STOPPED if stopped else Outcome.DELIVERED)
        assert world.channel.texts() == [say("stopped") if stopped else "echo q"]


@virtual_time
async def test_a_stop_between_parts_replaces_the_rest_by_a_note() -> None:
    async with World() as world:
        world.agent.answers["q"] = Answer(LONG)
        world.channel.send_seconds = 1.0
        await world.ask("q")
        await until(lambda: world.row("q").delivered == ("m1",))
        assert await world.dispatcher.stop(world.row("q").lane, STOP, "Ann") is StopVerdict.STOPPING
        row = await world.closed("q")
        assert row.outcome is Outcome.STOPPED
        # the part under way during the stop still arrives
        assert len(world.channel.texts()) == 3
        assert world.channel.texts()[-1] == say("stopped")
        assert "paragraph 99 " not in "".join(world.channel.texts())


@virtual_time
async def test_dropped_parts_stay_dropped_after_a_restart() -> None:
    async with World() as world:
        world.agent.answers["q"] = Answer(LONG)
        world.channel.send_seconds = 1.0
        await world.ask("q")
        await until(lambda: world.row("q").delivered == ("m1",))
        await world.dispatcher.stop(world.row("q").lane, STOP, "Ann")
        await world.restart()
        assert (await world.closed("q")).outcome is Outcome.STOPPED
        assert "paragraph 99 " not in "".join(world.channel.texts())
        assert world.channel.texts()[-1] == say("stopped")


def test_the_retry_test_covers_every_delayed_delivery() -> None:
    assert set(DeliveryDelayed.__subclasses__()) == {
        Throttled,
        ConnectorUnreachable,
        CredentialsRefused,
        ConnectorForbids,
    }
