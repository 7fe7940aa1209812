"""Promises of each turn store to the engine (`core.ports.store.TurnStore`; docs/architecture.md, "A turn's states")."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.engine_world import ANN, BOB, EPOCH, new_turn, stop_command
from support.turn_stores import AT, CHAT, ME, OTHER, answered, closed, queued, reply, row, running, stop

from bridge.core.history import steps
from bridge.core.ports.heartbeat import Orphans, Stalled
from bridge.core.ports.store import TurnFilter, TurnStore
from bridge.core.texts import say
from bridge.core.turn import DropVerdict, Kind, Lane, NewTurn, Outcome, State, StopVerdict, Ticket, Turn


async def test_a_turn_comes_back_as_it_was_accepted(store: TurnStore) -> None:
    new = new_turn(
        "a", "Grüße \u0000 \U0001f600 'quoted'; DROP TABLE turns; --", activities=({"type": "message", "x": [1]},)
    )
    found = await row(store, (await store.accept(new, ME, claim=False)).n)
    assert found.payload == new.payload
    assert (found.id, found.kind, found.lane, found.accepted) == (new.id, new.kind, new.lane, new.accepted)
    assert (found.state, found.owner, found.fence, found.stop, found.attempts) == (State.QUEUED, ME, 0, False, 0)
    assert (found.reply, found.delivered, found.outcome, found.closed) == (None, (), None, None)


async def test_numbers_grow_in_the_order_of_acceptance(store: TurnStore) -> None:
    numbers = await queued(store, "a", "b", "c")
    assert numbers == sorted(set(numbers))


async def test_a_repeated_id_changes_nothing_in_any_state(store: TurnStore) -> None:
    ticket = await running(store)
    for step in ("running", "answered", "closed"):
        again = await store.accept(replace(new_turn("a"), lane=Lane("elsewhere")), ME, claim=True)
        assert again.duplicate
        assert again.n == ticket.n
        assert again.claimed is None
        assert (await row(store, ticket.n)).state == step
        if step == "running":
            await store.record_answer(ticket, reply())
        else:
            await store.close_turn(ticket, Outcome.DELIVERED, (), AT)


async def test_an_idle_lane_is_claimed_at_acceptance(store: TurnStore) -> None:
    ticket = await running(store)
    found = await row(store, ticket.n)
    assert (found.state, found.ticket) == (State.RUNNING, ticket)
    assert (ticket.owner, ticket.fence) == (ME, 1)


async def test_a_turn_accepted_without_an_owner_is_not_claimed(store: TurnStore) -> None:
    accepted = await store.accept(new_turn("a"), ME, claim=False)
    assert accepted.claimed is None
    assert (await row(store, accepted.n)).state is State.QUEUED


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.ANSWERED])
async def test_a_lane_with_anything_open_is_not_idle(store: TurnStore, state: State) -> None:
    if state is State.QUEUED:
        await queued(store, "a")
    else:
        await (running(store) if state is State.RUNNING else answered(store))
    assert (await store.accept(new_turn("b"), ME, claim=True)).claimed is None
    assert (await store.accept(new_turn("c", lane="other"), ME, claim=True)).claimed is not None


async def test_a_lane_whose_turns_are_closed_is_idle(store: TurnStore) -> None:
    await closed(store)
    assert (await store.accept(new_turn("b"), ME, claim=True)).claimed is not None


async def test_a_claim_takes_the_head_and_only_the_head(store: TurnStore) -> None:
    a, b = await queued(store, "a", "b")
    first = await store.claim(CHAT, ME)
    assert first is not None
    assert (first.n, first.state, first.owner, first.fence) == (a, State.RUNNING, ME, 1)
    assert await store.claim(CHAT, ME) is None
    assert await store.claim(CHAT, OTHER) is None
    assert await store.record_answer(first.ticket, reply())
    assert await store.claim(CHAT, ME) is None
    assert await store.close_turn(first.ticket, Outcome.DELIVERED, (), AT)
    second = await store.claim(CHAT, ME)
    assert second is not None
    assert second.n == b


async def test_an_empty_lane_gives_no_claim(store: TurnStore) -> None:
    await queued(store, "a")
    assert await store.claim(Lane("empty"), ME) is None


async def test_of_many_claims_at_once_one_succeeds(store: TurnStore) -> None:
    await queued(store, "a", "b", "c")
    claims = await asyncio.gather(*(store.claim(CHAT, f"owner-{n}") for n in range(20)))
    assert len([claim for claim in claims if claim]) == 1


async def test_a_released_turn_is_queued_again_in_its_old_place(store: TurnStore) -> None:
    ticket = await running(store, "a")
    await queued(store, "b")
    assert await store.release(ticket)
    again = await store.claim(CHAT, ME)
    assert again is not None
    assert (again.n, again.fence) == (ticket.n, ticket.fence + 1)


async def test_neither_an_answered_nor_a_stopped_turn_is_released(store: TurnStore) -> None:
    ticket = await answered(store)
    assert not await store.release(ticket)
    other = await running(store, "b", lane="other")
    await stop(store, Lane("other"))
    assert not await store.release(other)


async def _old_ticket(store: TurnStore, how: str, state: State) -> tuple[Ticket, Turn]:
    """A ticket made void by a newer claim of the same or a different owner, and the present row."""
    old = await running(store)
    if how == "reclaimed":
        await store.release(old)
        await store.claim(CHAT, ME)
    else:
        await store.take_over(OTHER)
    if state is State.ANSWERED:
        assert await store.record_answer((await row(store, old.n)).ticket, reply(3))
    return old, await row(store, old.n)


@pytest.mark.parametrize("how", ["reclaimed", "taken over"])
@pytest.mark.parametrize("state", [State.RUNNING, State.ANSWERED])
async def test_writes_with_an_old_ticket_are_refused(store: TurnStore, how: str, state: State) -> None:
    old, now = await _old_ticket(store, how, state)
    for void in (old, replace(now.ticket, owner="nobody"), replace(now.ticket, fence=now.fence + 1)):
        assert not await store.record_answer(void, reply())
        assert not await store.record_answer(void, reply(), even_if_stopped=True)
        assert not await store.record_smaller_parts(void, reply())
        assert not await store.record_delivered(void, ("stolen",))
        assert await store.count_attempt(void) == 0
        assert not await store.close_turn(void, Outcome.DELIVERED, ("stolen",), AT)
        assert not await store.release(void)
        assert await row(store, old.n) == now


async def test_a_stop_before_the_answer_refuses_the_answer(store: TurnStore) -> None:
    ticket = await running(store)
    await stop(store)
    assert not await store.record_answer(ticket, reply())
    assert (await row(store, ticket.n)).state is State.RUNNING
    assert await store.record_answer(ticket, reply(outcome=Outcome.STOPPED), even_if_stopped=True)
    assert (await row(store, ticket.n)).state is State.ANSWERED


async def test_an_answer_is_stored_once(store: TurnStore) -> None:
    ticket = await running(store)
    assert await store.record_answer(ticket, reply(2))
    # a repetition, since the caller may not have got the result: true, and the first answer stays
    assert await store.record_answer(ticket, reply(1))
    assert (await row(store, ticket.n)).reply == reply(2)


async def test_smaller_parts_replace_the_answer_during_delivery(store: TurnStore) -> None:
    ticket = await running(store)
    assert not await store.record_smaller_parts(ticket, reply(3))
    await store.record_answer(ticket, reply(1))
    for _ in range(2):
        assert await store.record_smaller_parts(ticket, reply(3))
    found = await row(store, ticket.n)
    assert (found.reply, found.state) == (reply(3), State.ANSWERED)
    # a reply with parts still to be sent can be stopped: the number of parts counts
    assert await store.record_delivered(ticket, ("m1",))
    assert (await stop(store)).verdict is StopVerdict.STOPPING


async def test_delivered_parts_and_failed_attempts_are_recorded_during_delivery(store: TurnStore) -> None:
    ticket = await running(store)
    assert not await store.record_delivered(ticket, ("early",))
    assert await store.count_attempt(ticket) == 0
    await store.record_answer(ticket, reply(3))
    assert await store.record_delivered(ticket, ("m1",))
    assert await store.record_delivered(ticket, ("m1", "m2"))
    assert [await store.count_attempt(ticket) for _ in range(3)] == [1, 2, 3]
    found = await row(store, ticket.n)
    assert (found.delivered, found.attempts) == (("m1", "m2"), 3)


async def test_a_closed_turn_has_its_outcome_and_is_never_opened_again(store: TurnStore) -> None:
    ticket = await answered(store)
    assert await store.close_turn(ticket, Outcome.FAILED, ("m1",), AT, "run_lost")
    found = await row(store, ticket.n)
    assert (found.state, found.outcome, found.delivered) == (State.CLOSED, Outcome.FAILED, ("m1",))
    assert (found.closed, found.error) == (AT, "run_lost")
    assert not await store.close_turn(ticket, Outcome.DELIVERED, (), AT)
    assert not await store.record_answer(ticket, reply(), even_if_stopped=True)
    assert not await store.release(ticket)
    assert not await store.record_delivered(ticket, ())
    assert await store.claim(CHAT, ME) is None
    assert await store.take_over(OTHER) == Orphans()
    assert await row(store, ticket.n) == found


async def test_stop_marks_the_running_turn(store: TurnStore) -> None:
    ticket = await running(store)
    await queued(store, "b")
    stopped = await stop(store)
    assert (stopped.verdict, stopped.n) == (StopVerdict.STOPPING, ticket.n)
    assert (await row(store, ticket.n)).stop


async def test_stop_ends_all_questions_of_the_person_in_the_conversation(store: TurnStore) -> None:
    ticket = await running(store)
    b, c = await queued(store, "b", "c")
    stopped = await stop(store)
    assert (stopped.verdict, stopped.n, stopped.waiting) == (StopVerdict.STOPPING, ticket.n, (b, c))
    for n in (b, c):
        found = await row(store, n)
        assert (found.state, found.outcome, found.closed) == (State.CLOSED, Outcome.STOPPED, AT)
        assert (found.stop, found.stopped_by) == (False, "")
    found = await row(store, ticket.n)
    assert (found.state, found.stop, found.stopped_by, found.outcome) == (State.RUNNING, True, "Ann", None)
    (note,) = (await _note(store)).payload.activities
    assert note["text"] == say("stopped_early", questions="“b”, “c”")
    assert (await stop(store)).verdict is StopVerdict.DUPLICATE


async def test_stop_leaves_questions_of_other_people_and_other_conversations_alone(store: TurnStore) -> None:
    ticket = await running(store)
    bobs = await store.accept(new_turn("b", who=BOB), ME, claim=False)
    elsewhere = await store.accept(new_turn("c", where="another chat"), ME, claim=False)
    stopped = await stop(store)
    assert (stopped.verdict, stopped.n, stopped.waiting) == (StopVerdict.STOPPING, ticket.n, ())
    await store.close_turn(ticket, Outcome.STOPPED, (), AT)
    for n in (bobs.n, elsewhere.n):
        found = await store.claim(CHAT, ME)
        assert found is not None
        assert (found.n, found.stop) == (n, False)
        await store.close_turn(found.ticket, Outcome.DELIVERED, (), AT)


async def test_stop_by_a_person_with_a_waiting_question_leaves_the_running_question_of_another_alone(
    store: TurnStore,
) -> None:
    ticket = await running(store)
    bobs = await store.accept(new_turn("b", who=BOB), ME, claim=False)
    stopped = await store.stop(CHAT, stop_command(who=BOB), "Bob", AT)
    assert (stopped.verdict, stopped.n, stopped.waiting) == (StopVerdict.WITHDRAWN, 0, (bobs.n,))
    assert not (await row(store, ticket.n)).stop


async def test_stop_by_a_person_without_a_question_stops_the_running_one_and_no_waiting_one(store: TurnStore) -> None:
    ticket = await running(store)
    (b,) = await queued(store, "b")
    stopped = await store.stop(CHAT, stop_command(who=BOB), "Bob", AT)
    assert (stopped.verdict, stopped.n, stopped.waiting) == (StopVerdict.STOPPING, ticket.n, ())
    assert ((await row(store, ticket.n)).stopped_by, (await row(store, b)).state) == ("Bob", State.QUEUED)
    await store.close_turn(ticket, Outcome.STOPPED, (), AT)
    assert (await store.stop(CHAT, stop_command("again", who=BOB), "Bob", AT)).verdict is StopVerdict.NOTHING


async def test_a_person_is_the_same_in_every_spelling_of_the_id(store: TurnStore) -> None:
    (a,) = await queued(store, "a")
    shouted = replace(ANN, aad_id=ANN.aad_id.upper(), name="ANN")
    assert (await store.stop(CHAT, stop_command(who=shouted), "ANN", AT)).waiting == (a,)


async def test_a_call_to_the_owner_of_an_idle_or_busy_lane_changes_no_row(store: TurnStore) -> None:
    await store.call_owner(CHAT)
    ticket = await running(store)
    found = await row(store, ticket.n)
    await store.call_owner(CHAT)
    assert await row(store, ticket.n) == found


async def test_stop_leaves_a_withdrawn_run_withdrawn(store: TurnStore) -> None:
    ticket = await running(store)
    await store.withdraw(await row(store, ticket.n), AT)
    assert (await stop(store)).verdict is StopVerdict.STOPPING
    assert (await row(store, ticket.n)).withdrawn


@pytest.mark.parametrize("first", ["claim", "stop"])
async def test_a_claim_and_a_stop_at_once_leave_no_question_that_runs_on(store: TurnStore, first: str) -> None:
    a, b = await queued(store, "a", "b")
    work = [store.claim(CHAT, ME, merge=True), stop(store)]
    await asyncio.gather(*(work if first == "claim" else reversed(work)))
    for n in (a, b):
        found = await row(store, n)
        assert found.stop or found.outcome in (Outcome.STOPPED, Outcome.MERGED)


async def _note(store: TurnStore) -> Turn:
    """The note that waits in the conversation."""
    note = await store.head(Lane("notice:chat"))
    assert note is not None
    return note


@pytest.mark.parametrize(
    ("parts", "shown", "verdict"),
    [
        (3, 0, StopVerdict.STOPPING),
        (3, 1, StopVerdict.STOPPING),
        (2, 0, StopVerdict.STOPPING),
        (3, 2, StopVerdict.NOTHING),
        (2, 1, StopVerdict.NOTHING),
        (1, 0, StopVerdict.NOTHING),
    ],
)
async def test_stop_marks_an_answer_with_undelivered_parts(
    store: TurnStore, parts: int, shown: int, verdict: StopVerdict
) -> None:
    ticket = await answered(store, parts=parts)
    await store.record_delivered(ticket, tuple(f"m{n}" for n in range(shown)))
    assert (await stop(store)).verdict is verdict
    assert (await row(store, ticket.n)).stop is (verdict is StopVerdict.STOPPING)


async def test_stop_with_nothing_open_says_so_and_leaves_its_id_free(store: TurnStore) -> None:
    await closed(store)
    assert (await stop(store)).verdict is StopVerdict.NOTHING
    assert not (await store.accept(new_turn("stop"), ME, claim=False)).duplicate


async def test_stop_does_not_touch_other_lanes(store: TurnStore) -> None:
    ticket = await running(store, lane="other")
    assert (await stop(store)).verdict is StopVerdict.NOTHING
    assert not (await row(store, ticket.n)).stop


@pytest.mark.parametrize("kind", [Kind.NEW, Kind.NOTE, Kind.NOTIFY, Kind.WELCOME])
async def test_only_questions_are_stopped(store: TurnStore, kind: Kind) -> None:
    ticket = await running(store, kind=kind)
    assert (await stop(store)).verdict is StopVerdict.NOTHING
    assert not (await row(store, ticket.n)).stop


async def test_a_repeated_stop_never_hits_the_next_turn(store: TurnStore) -> None:
    ticket = await running(store)
    (b,) = await queued(store, "b")
    await stop(store)
    await store.close_turn(ticket, Outcome.STOPPED, (), AT)
    await store.claim(CHAT, ME)
    assert (await stop(store)).verdict is StopVerdict.DUPLICATE
    assert not (await row(store, b)).stop


async def test_a_takeover_voids_the_tickets_of_the_earlier_owner(store: TurnStore) -> None:
    a = await running(store, "a", lane="one")
    b = await running(store, "b", lane="two")
    assert await store.record_answer(b, reply(2))
    assert await store.record_delivered(b, ("m1",))
    await store.accept(new_turn("c", lane="two"), ME, claim=False)
    await store.accept(new_turn("d", lane="three"), ME, claim=False)
    orphans = await store.take_over(OTHER)
    assert {turn.n: (turn.state, turn.owner, turn.fence) for turn in orphans.turns} == {
        a.n: (State.RUNNING, OTHER, 2),
        b.n: (State.ANSWERED, OTHER, 2),
    }
    assert [(turn.reply, turn.delivered) for turn in orphans.turns if turn.n == b.n] == [(reply(2), ("m1",))]
    assert set(orphans.lanes) == {"two", "three"}


async def test_a_takeover_leaves_the_owners_own_rows_unchanged(store: TurnStore) -> None:
    ticket = await running(store)
    orphans = await store.take_over(ME)
    assert orphans.turns == ()
    assert (await row(store, ticket.n)).ticket == ticket


async def test_stalled_names_only_the_owners_old_claims_and_old_heads(store: TurnStore) -> None:
    async def accept(id_: str, owner: str, accepted: float, *, claim: bool = True) -> int:
        return (await store.accept(new_turn(id_, lane=id_, accepted=accepted), owner, claim=claim)).n

    old = await accept("old", ME, EPOCH)
    await accept("young", ME, EPOCH + 10)
    await accept("foreign", OTHER, EPOCH)
    await accept("waits", ME, EPOCH + 7, claim=False)
    await accept("just-came", ME, EPOCH + 10, claim=False)
    await closed(store, "done")
    assert await store.stalled(ME, EPOCH + 5, EPOCH + 8) == Stalled(((old, Lane("old")),), (Lane("waits"),))
    # the clock was set back by an hour: all rows are from before
    set_back = await store.stalled(ME, EPOCH - 3595, EPOCH - 3592)
    assert (old, Lane("old")) in set_back.claimed
    assert Lane("waits") in set_back.lanes


async def test_a_turn_is_asked_again_at_most_once(store: TurnStore) -> None:
    n = await closed(store)
    first = await store.accept(new_turn("click-1", again_of=n), ME, claim=False)
    second = await store.accept(new_turn("click-2", again_of=n), ME, claim=False)
    assert not first.duplicate
    assert (second.duplicate, second.n) == (True, first.n)
    assert (await row(store, first.n)).again_of == n


async def test_no_turn_is_found_under_an_unknown_number(store: TurnStore) -> None:
    assert await store.find(4711) is None
    assert await store.find(2**63 - 1) is None


async def test_the_status_of_a_lane_names_running_queued_and_last_turns(store: TurnStore) -> None:
    assert (await store.lane_status(CHAT)).last is None
    done = await closed(store, "done")
    ticket = await running(store)
    waiting = await queued(store, "b", "c")
    await store.accept(new_turn("elsewhere", lane="other"), ME, claim=True)
    status = await store.lane_status(CHAT)
    assert (status.running, status.since, status.waiting) == (f"T-{ticket.n}", EPOCH, 2)
    assert status.queued == tuple(f"T-{n}" for n in waiting)
    assert status.last == f"T-{done}"


async def test_the_status_of_a_lane_names_the_first_few_queued_turns(store: TurnStore) -> None:
    waiting = await queued(store, *"abcdefg")
    status = await store.lane_status(CHAT)
    assert (status.running, status.waiting) == (None, 7)
    assert status.queued == tuple(f"T-{n}" for n in waiting[:5])


async def test_the_last_turn_of_a_lane_is_a_question(store: TurnStore) -> None:
    done = await closed(store, "done")
    ticket = await running(store, "note", kind=Kind.NOTE)
    await store.close_turn(ticket, Outcome.DELIVERED, (), AT)
    assert (await store.lane_status(CHAT)).last == f"T-{done}"


async def test_old_texts_are_blanked_and_ids_still_dedupe(store: TurnStore) -> None:
    old, young = await closed(store, "old", AT), await closed(store, "young", AT + 100)
    await queued(store, "waits")
    assert await store.forget_old(AT + 50, 0) == 1
    blank = await row(store, old)
    assert (blank.payload.text, blank.payload.person.name, blank.reply) == ("", "", None)
    assert (blank.outcome, blank.state) == (Outcome.DELIVERED, State.CLOSED)
    assert (await row(store, young)).payload.text == "young"
    assert (await store.accept(new_turn("old"), ME, claim=True)).duplicate
    assert await store.forget_old(AT + 50, 0) == 0


async def test_old_closed_rows_are_deleted_and_open_rows_never(store: TurnStore) -> None:
    old = await closed(store, "old", AT)
    (waits,) = await queued(store, "waits")
    assert await store.forget_old(0, AT + 50) == 1
    assert await store.find(old) is None
    assert (await row(store, waits)).payload.text == "waits"
    assert await store.forget_old(AT + 10_000, AT + 10_000) == 0


async def test_a_number_is_never_given_twice(store: TurnStore) -> None:
    old = await closed(store, "old", AT)
    await store.forget_old(0, AT + 50)
    (new,) = await queued(store, "new")
    assert new > old


async def test_retention_works_in_batches(store: TurnStore) -> None:
    async def one(n: int) -> None:
        await store.accept(new_turn(f"id-{n}", lane=f"lane-{n}"), ME, claim=False)
        await stop(store, Lane(f"lane-{n}"), f"stop-{n}")

    await asyncio.gather(*(one(n) for n in range(510)))
    assert await store.forget_old(AT + 1, 0) == 500
    assert await store.forget_old(AT + 1, 0) == 10
    assert await store.forget_old(AT + 1, 0) == 0
    # an answer still to be delivered stays, however old
    done = [await store.forget_old(0, AT + 1) for _ in range(6)]
    assert sum(done) == 510
    assert max(done) <= 500


async def test_a_cancelled_caller_does_not_undo_its_write(store: TurnStore) -> None:
    caller = asyncio.ensure_future(store.accept(new_turn("a"), ME, claim=True))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    for _ in range(500):
        if await store.find(1) is not None:
            break
        await asyncio.sleep(0.01)
    again = await store.accept(new_turn("a"), ME, claim=True)
    assert again.duplicate
    assert (await row(store, again.n)).state is State.RUNNING


async def test_many_turns_accepted_at_once_are_kept_once_and_claimed_once_in_each_lane(store: TurnStore) -> None:
    news = [new_turn(f"id-{n}", lane=f"lane-{n % 20}") for n in range(200)]
    twice: list[NewTurn] = [*news, *news]
    accepted = await asyncio.gather(*(store.accept(new, ME, claim=True) for new in twice))
    assert len({one.n for one in accepted}) == 200
    assert [one.duplicate for one in accepted] == [False] * 200 + [True] * 200
    assert len([one for one in accepted if one.claimed]) == 20


# owners


async def test_heartbeats_count_joined_owners_and_not_owners_that_left(store: TurnStore) -> None:
    await store.join(ME)
    heartbeats = [await store.heartbeat(ME, 3) for _ in range(3)]
    assert all(heartbeat.alive for heartbeat in heartbeats)
    assert set(heartbeats[-1].counters) == {ME}
    assert heartbeats[-1].running == 3
    await store.leave(ME)
    await store.leave(ME)
    assert ME not in (await store.heartbeat(ME, 0)).counters


async def test_a_heartbeat_tells_the_number_of_queued_turns_and_the_turns_to_stop(store: TurnStore) -> None:
    await store.join(ME)
    ticket = await running(store)
    await queued(store, "b", "c")
    await store.accept(new_turn("greeting", kind=Kind.WELCOME), ME, claim=False)
    assert ((await store.heartbeat(ME, 1)).waiting, (await store.heartbeat(ME, 1)).stops) == (2, ())
    await stop(store)
    assert (await store.heartbeat(ME, 1)).stops == (ticket.n,)
    assert (await store.heartbeat(OTHER, 1)).stops == ()


async def test_rows_of_an_owner_that_left_are_orphans_until_a_takeover(store: TurnStore) -> None:
    await store.join(ME)
    await store.join(OTHER)  # in a file of a single process, joining removes all further owners
    await running(store)
    await queued(store, "b")
    await store.leave(ME)
    assert (await store.heartbeat(OTHER, 0)).orphans
    orphans = await store.take_over(OTHER)
    assert [turn.owner for turn in orphans.turns] == [OTHER]
    assert orphans.lanes == (CHAT,)
    assert not (await store.heartbeat(OTHER, 0)).orphans
    assert await store.take_over(OTHER) == Orphans()


async def test_the_pause_is_known_to_all_and_survives(store: TurnStore) -> None:
    await store.join(ME)
    assert not (await store.heartbeat(ME, 0)).paused
    await store.pause(True)
    await store.pause(True)
    assert (await store.heartbeat(ME, 0)).paused
    await store.pause(False)
    assert not (await store.heartbeat(ME, 0)).paused


# room, head, merging


async def test_a_full_lane_refuses_new_turns_and_still_recognises_repeated_ones(store: TurnStore) -> None:
    await running(store)
    new = [await store.accept(new_turn(id_), ME, claim=True, room=2) for id_ in ("b", "c", "d", "c")]
    assert [accepted.full for accepted in new] == [False, False, True, False]
    assert new[3].duplicate
    assert not (await store.accept(new_turn("e", lane="other"), ME, claim=True, room=2)).full
    assert await store.find(new[2].n) is None


async def test_the_head_is_the_turn_that_a_claim_would_take(store: TurnStore) -> None:
    assert await store.head(CHAT) is None
    a, _ = await queued(store, "a", "b")
    head = await store.head(CHAT)
    assert head is not None
    assert (head.n, head.payload.text) == (a, "a")
    await store.claim(CHAT, ME)
    assert await store.head(CHAT) is None


async def test_messages_that_belong_together_are_claimed_as_one_question(store: TurnStore) -> None:
    a, b, c = await queued(store, "a", "b", "c")
    await store.accept(new_turn("new", kind=Kind.NEW), ME, claim=False)
    claimed = await store.claim(CHAT, ME, merge=True)
    assert claimed is not None
    assert (claimed.n, claimed.payload.text, claimed.state) == (c, "a\n\nb\n\nc", State.RUNNING)
    assert [(await row(store, n)).outcome for n in (a, b)] == [Outcome.MERGED, Outcome.MERGED]
    assert (await row(store, c)).payload.text == "a\n\nb\n\nc"
    assert await store.record_answer(claimed.ticket, reply())
    assert await store.close_turn(claimed.ticket, Outcome.DELIVERED, (), AT)
    following = await store.claim(CHAT, ME, merge=True)
    assert following is not None
    assert following.kind is Kind.NEW


async def test_a_single_head_is_claimed_unchanged_with_merging_on(store: TurnStore) -> None:
    (a,) = await queued(store, "a")
    claimed = await store.claim(CHAT, ME, merge=True)
    assert claimed is not None
    assert (claimed.n, claimed.payload.text) == (a, "a")


# stop and drop tell people


async def test_stopping_a_queued_head_queues_its_note(store: TurnStore) -> None:
    (a,) = await queued(store, "a")
    stopped = await stop(store)
    assert (stopped.verdict, stopped.n, stopped.waiting) == (StopVerdict.WITHDRAWN, 0, (a,))
    note = await _note(store)
    assert (note.id, note.kind, note.state) == ("stop", Kind.NOTE, State.QUEUED)
    assert (await stop(store)).verdict is StopVerdict.DUPLICATE


async def test_the_name_of_the_person_who_stopped_is_kept_until_the_texts_are_blanked(store: TurnStore) -> None:
    ticket = await running(store)
    await stop(store)
    assert (await row(store, ticket.n)).stopped_by == "Ann"
    await store.record_answer(ticket, reply(), even_if_stopped=True)
    await store.close_turn(ticket, Outcome.STOPPED, (), AT)
    await store.forget_old(AT + 1, 0)
    assert (await row(store, ticket.n)).stopped_by == ""


async def test_dropping_closes_queued_and_answered_turns_and_marks_a_running_turn(store: TurnStore) -> None:
    ticket = await running(store)
    (b,) = await queued(store, "b")
    note = new_turn("drop", lane="notice", kind=Kind.NOTE)
    assert await store.drop(b, note, AT) is DropVerdict.DROPPED
    assert ((await row(store, b)).outcome, (await row(store, b)).closed) == (Outcome.DROPPED, AT)
    assert await store.head(Lane("notice")) is not None
    assert await store.drop(ticket.n, replace(note, id="drop-2"), AT) is DropVerdict.STOPPING
    assert (await row(store, ticket.n)).stop
    await store.record_answer(ticket, reply(), even_if_stopped=True)
    assert await store.drop(ticket.n, replace(note, id="drop-3"), AT) is DropVerdict.DROPPED
    assert not await store.close_turn(ticket, Outcome.DELIVERED, (), AT)
    for n in (ticket.n, b, 4711):
        assert await store.drop(n, replace(note, id=f"drop-{n}"), AT) is DropVerdict.NOTHING


# turns for operators


async def test_the_history_tells_every_state_in_order(store: TurnStore) -> None:
    ticket = await running(store)
    await store.release(ticket)
    claimed = await store.claim(CHAT, ME)
    assert claimed is not None
    await store.take_over(OTHER)
    ticket = (await row(store, claimed.n)).ticket
    await store.record_answer(ticket, reply())
    await store.count_attempt(ticket)
    await store.close_turn(ticket, Outcome.DELIVERED, (), AT)
    history = steps((await row(store, claimed.n)).history)
    assert [(step.what, step.by) for step in history] == [
        ("running", ME),
        ("released", ""),
        ("running", ME),
        ("adopted", OTHER),
        ("answered", ""),
        ("attempted", ""),
        ("closed:delivered", ""),
    ]
    assert [step.at for step in history] == sorted(step.at for step in history)


async def test_turns_are_listed_newest_first_and_without_their_texts(store: TurnStore) -> None:
    done = await closed(store, "done")
    ticket = await running(store)
    waits, other = (await queued(store, "b"))[0], await running(store, "n", kind=Kind.NOTE, lane="other")
    everything = await store.turns(TurnFilter(), 10)
    assert [turn.n for turn in everything] == [other.n, waits, ticket.n, done]
    assert all(turn.payload.text == "" and turn.reply is None for turn in everything)
    assert everything[0].session == "agent:helper:http:direct:user-other"

    async def found(wanted: TurnFilter) -> list[int]:
        return [turn.n for turn in await store.turns(wanted, 10)]

    assert await found(TurnFilter(state=State.QUEUED)) == [waits]
    assert await found(TurnFilter(outcome=Outcome.DELIVERED)) == [done]
    assert await found(TurnFilter(kind=Kind.NOTE)) == [other.n]
    assert await found(TurnFilter(user="user-other")) == [other.n]
    assert await found(TurnFilter(user="other")) == []
    assert await found(TurnFilter(before=ticket.n)) == [done]
    assert [turn.n for turn in await store.turns(TurnFilter(), 2)] == [other.n, waits]


# budgets


async def test_a_budget_gives_a_burst_and_then_a_slot_each_interval(store: TurnStore) -> None:
    taken = [await store.spend("b", 60.0, 3) for _ in range(40)]
    # the first calls may find no budget of the name yet
    assert [wait for wait in taken if wait == 0.0] == [0.0] * 3
    assert 55.0 < await store.spend("b", 60.0, 3) <= 60.0
    await store.refund("b", 60.0)
    assert await store.spend("b", 60.0, 3) == 0.0
    assert await store.spend("b", 60.0, 3) > 0.0
    assert await store.spend("other", 60.0, 3) < 1.0


@pytest.mark.parametrize("jump", [16.0, 60.0, 3600.0, 400 * 86400.0])
async def test_a_clock_set_back_holds_no_budget_for_longer_than_it_takes_to_fill(store: TurnStore, jump: float) -> None:
    """An exhausted budget of a larger burst leaves the same row as a clock that was set back by `jump` seconds."""
    await store.exhaust("b", 1.0, 3)
    await store.exhaust("b", jump + 3.0, 1)
    waits = [await store.spend("b", 1.0, 3) for _ in range(4)]
    assert waits[:3] == [0.0] * 3
    assert 0.0 < waits[3] <= 1.0
    await store.refund("b", 1.0)
    assert await store.spend("b", 1.0, 3) == 0.0


async def test_a_budget_refunded_after_a_clock_was_set_back_is_a_full_budget(store: TurnStore) -> None:
    await store.exhaust("b", 3600.0, 1)
    await store.refund("b", 1.0)
    assert [wait for wait in [await store.spend("b", 1.0, 2) for _ in range(3)] if wait == 0.0] == [0.0] * 2


async def test_an_exhausted_budget_gives_the_next_slot_after_an_interval(store: TurnStore) -> None:
    await store.exhaust("b", 60.0, 5)
    assert 55.0 < await store.spend("b", 60.0, 5) <= 60.0


# stops of a given turn


async def test_a_stop_for_a_given_turn_stops_only_that_turn(store: TurnStore) -> None:
    ticket = await running(store, "a")
    await queued(store, "b")
    assert (await store.stop(CHAT, stop_command("s1"), "Ann", AT, only=ticket.n + 1)).n == 0
    assert not (await row(store, ticket.n)).stop
    stopped = await store.stop(CHAT, stop_command("s2"), "Ann", AT, only=ticket.n)
    assert (stopped.verdict, stopped.n) == (StopVerdict.STOPPING, ticket.n)
