"""Promises of each turn store about edits, deletions, a removed bot and ratings (`core.ports.store.TurnStore`)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
from support.engine_world import new_turn
from support.memory_store import MemoryStore
from support.turn_stores import AT, CHAT, ME, answered, closed, queued, reply, row, running, stop

from bridge.core.edits import EditResult, EditVerdict, MessageEdit
from bridge.core.feedback import After, Rating, Reaction
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.history import steps
from bridge.core.ports.store import TurnStore
from bridge.core.texts import say
from bridge.core.turn import Edit, Kind, Outcome, State, Ticket

SEEDS = 12

# -- edits, deletions, the bot removed --

ANN = "aad-ann"


def edit_to(text: str, stamp: float = 1.0, *, message: str = "a", person: str | None = ANN) -> MessageEdit:
    return MessageEdit(message, Edit(text, stamp), person)


async def words(store: TurnStore, n: int) -> str:
    return (await row(store, n)).payload.text


async def test_a_queued_question_is_asked_with_its_edited_words(store: TurnStore) -> None:
    (n,) = await queued(store, "a")
    assert await store.edit(edit_to("better"), AT) == EditResult(EditVerdict.USED, n)
    assert await words(store, n) == "better"
    claimed = await store.claim(CHAT, ME)
    assert claimed is not None
    assert claimed.payload.text == "better"


async def test_a_repeated_edit_and_an_edit_older_than_the_last_change_nothing(store: TurnStore) -> None:
    (n,) = await queued(store, "a")
    assert (await store.edit(edit_to("second", 2.0), AT)).verdict is EditVerdict.USED
    assert (await store.edit(edit_to("first", 1.0), AT)).verdict is EditVerdict.NOTHING
    assert (await store.edit(edit_to("second", 2.0), AT)).verdict is EditVerdict.USED
    assert await words(store, n) == "second"


async def test_a_repeated_edit_that_came_before_its_message_offers_nothing(store: TurnStore) -> None:
    assert (await store.edit(edit_to("better"), AT)).verdict is EditVerdict.KEPT
    (n,) = await queued(store, "a")
    claimed = await store.claim(CHAT, ME)
    assert claimed is not None
    assert claimed.payload.text == "better"
    assert await store.edit(edit_to("better"), AT) == EditResult(EditVerdict.NOTHING, n)


async def test_an_edit_without_new_words_is_ignored(store: TurnStore) -> None:
    ticket = await running(store)
    assert (await store.edit(edit_to("a"), AT)).verdict is EditVerdict.NOTHING
    assert (await row(store, ticket.n)).edit is None


async def test_only_the_asker_edits_a_question(store: TurnStore) -> None:
    await queued(store, "a")
    assert (await store.edit(edit_to("other", person="aad-bob"), AT)).verdict is EditVerdict.NOTHING
    # ids are GUIDs, which Teams writes in large or small letters
    assert (await store.edit(edit_to("other", person="AAD-Ann"), AT)).verdict is EditVerdict.USED


async def test_an_edit_of_an_asked_question_is_kept_beside_the_question(store: TurnStore) -> None:
    ticket = await running(store)
    late = EditResult(EditVerdict.LATE, ticket.n)
    assert await store.edit(edit_to("better"), AT) == late
    assert await store.edit(edit_to("better"), AT) == late
    found = await row(store, ticket.n)
    assert (found.payload.text, found.words, found.stop) == ("a", "better", False)
    restated = await store.current_question(ticket.n)
    assert restated is not None
    assert (restated[0].n, restated[1]) == (ticket.n, "better")


async def test_an_edit_that_comes_before_its_message_is_used_when_the_message_comes(store: TurnStore) -> None:
    assert (await store.edit(edit_to("better"), AT)).verdict is EditVerdict.KEPT
    accepted = await store.accept(new_turn("a"), ME, claim=True)
    assert not accepted.duplicate
    assert accepted.claimed is None  # the caller knows the old words
    assert await words(store, accepted.n) == "better"
    assert (await store.accept(new_turn("a"), ME, claim=True)).duplicate
    assert (await store.edit(edit_to("older", 0.5), AT)).verdict is EditVerdict.NOTHING


async def test_an_edit_before_a_message_for_a_full_lane_keeps_no_turn(store: TurnStore) -> None:
    await queued(store, "other")
    await store.edit(edit_to("better"), AT)
    assert (await store.accept(new_turn("a"), ME, claim=False, room=1)).full


async def test_an_edit_of_an_unknown_message_is_not_kept_unless_asked_for(store: TurnStore) -> None:
    change = replace(edit_to("better"), keep=False)
    assert (await store.edit(change, AT)).verdict is EditVerdict.NOTHING
    assert (await store.accept(new_turn("a"), ME, claim=True)).claimed is not None


async def test_a_message_deleted_before_it_came_is_not_asked(store: TurnStore) -> None:
    assert (await store.edit(edit_to("", person=None), AT)).verdict is EditVerdict.KEPT
    accepted = await store.accept(new_turn("a"), ME, claim=True)
    found = await row(store, accepted.n)
    assert (accepted.claimed, found.state, found.outcome) == (None, State.CLOSED, Outcome.WITHDRAWN)
    assert await store.claim(CHAT, ME) is None


async def test_a_deleted_queued_question_is_closed_as_withdrawn(store: TurnStore) -> None:
    (n,) = await queued(store, "a")
    deletion = edit_to("", person=None)
    assert await store.edit(deletion, AT) == EditResult(EditVerdict.WITHDRAWN, n)
    found = await row(store, n)
    assert (found.state, found.outcome, found.closed, found.stop) == (State.CLOSED, Outcome.WITHDRAWN, AT, False)
    assert steps(found.history)[-1].what == "closed:withdrawn"
    assert await store.edit(deletion, AT) == EditResult(EditVerdict.UNASKED, n)


async def test_a_deleted_running_question_is_marked_and_the_stop_announced_to_its_owner(store: TurnStore) -> None:
    await store.join(ME)
    ticket = await running(store)
    assert await store.edit(edit_to("", person=None), AT) == EditResult(EditVerdict.STOPPING, ticket.n)
    found = await row(store, ticket.n)
    assert (found.state, found.stop, found.withdrawn) == (State.RUNNING, True, True)
    assert ticket.n in (await store.heartbeat(ME, 1)).stops
    assert not await store.record_answer(ticket, reply())
    assert await store.record_answer(ticket, reply(0, Outcome.WITHDRAWN), even_if_stopped=True)


async def test_a_turn_claimed_since_it_was_read_is_not_withdrawn(store: TurnStore) -> None:
    _, last = await queued(store, "a", "b")
    seen = await row(store, last)
    claimed = await store.claim(CHAT, ME, merge=True)
    assert await store.withdraw(seen, AT) == EditResult(EditVerdict.NOTHING, last)
    assert claimed is not None
    assert await store.release(claimed.ticket)
    assert await store.withdraw(seen, AT) == EditResult(EditVerdict.NOTHING, last)
    assert await store.withdraw(await row(store, last), AT) == EditResult(EditVerdict.WITHDRAWN, last)


async def test_a_turn_released_since_it_was_read_is_withdrawn(store: TurnStore) -> None:
    ticket = await running(store)
    seen = await row(store, ticket.n)
    assert await store.release(ticket)
    assert await store.withdraw(seen, AT) == EditResult(EditVerdict.WITHDRAWN, ticket.n)
    found = await row(store, ticket.n)
    assert (found.state, found.outcome, found.closed, found.stop) == (State.CLOSED, Outcome.WITHDRAWN, AT, False)


async def test_a_stop_is_no_withdrawal(store: TurnStore) -> None:
    ticket = await running(store)
    await stop(store)
    assert (await store.edit(edit_to("", person=None), AT)).verdict is EditVerdict.NOTHING
    assert not (await row(store, ticket.n)).withdrawn


async def test_a_deleted_answered_question_stays_answered(store: TurnStore) -> None:
    ticket = await answered(store)
    assert (await store.edit(edit_to("", person=None), AT)).verdict is EditVerdict.NOTHING
    assert not (await row(store, ticket.n)).stop


async def test_undoing_the_deletion_of_an_answered_question_changes_nothing(store: TurnStore) -> None:
    n = await closed(store)
    await store.edit(edit_to("", person=None), AT)
    assert await restated(store, n) == ""
    assert await store.edit(edit_to("a", 2.0), AT) == EditResult(EditVerdict.NOTHING, n)
    assert await restated(store, n) == "a"


async def test_an_older_edit_that_comes_after_a_deletion_does_not_undo_the_deletion(store: TurnStore) -> None:
    (n,) = await queued(store, "a")
    await store.edit(edit_to("", 2.0, person=None), AT)
    assert await store.edit(edit_to("better", 1.0), AT) == EditResult(EditVerdict.NOTHING)
    assert await store.edit(edit_to("a", 3.0), AT) == EditResult(EditVerdict.UNASKED, n)
    again = await store.accept(new_turn("undone", "a", again_of=n), ME, claim=False)
    assert await restated(store, again.n) == "a"


async def test_a_queued_new_is_withdrawn_by_deletion_only(store: TurnStore) -> None:
    accepted = await store.accept(new_turn("a", kind=Kind.NEW), ME, claim=False)
    assert (await store.edit(edit_to(""), AT)).verdict is EditVerdict.NOTHING
    assert (await store.edit(edit_to("", person=None), AT)).verdict is EditVerdict.WITHDRAWN
    assert (await row(store, accepted.n)).outcome is Outcome.WITHDRAWN


async def test_notes_cannot_be_edited_or_deleted(store: TurnStore) -> None:
    await store.accept(new_turn("a", kind=Kind.NOTE), ME, claim=False)
    for change in (edit_to("better"), edit_to("", person=None)):
        assert (await store.edit(change, AT)).verdict is EditVerdict.NOTHING


async def test_each_of_merged_messages_keeps_its_own_words(store: TurnStore) -> None:
    _, last = await queued(store, "a", "b")
    claimed = await store.claim(CHAT, ME, merge=True)
    assert claimed is not None
    assert (claimed.n, claimed.payload.text, claimed.words) == (last, "a\n\nb", "b")
    assert await store.edit(edit_to("A"), AT) == EditResult(EditVerdict.LATE, last)
    assert await restated(store, last) == "A\n\nb"
    assert await store.edit(edit_to("B", message="b"), AT) == EditResult(EditVerdict.LATE, last)
    assert await restated(store, last) == "A\n\nB"


async def test_a_message_queued_behind_merged_messages_is_not_part_of_the_merge(store: TurnStore) -> None:
    await queued(store, "a", "b")
    await store.claim(CHAT, ME, merge=True)
    (behind,) = await queued(store, "c")
    assert await store.edit(edit_to("C", message="c"), AT) == EditResult(EditVerdict.USED, behind)
    assert await words(store, behind) == "C"
    assert await store.edit(edit_to("", 2.0, person=None, message="c"), AT) == EditResult(EditVerdict.WITHDRAWN, behind)


async def test_a_question_withdrawn_behind_merged_messages_and_asked_again_is_not_part_of_the_merge(
    store: TurnStore,
) -> None:
    await queued(store, "a", "b")
    await store.claim(CHAT, ME, merge=True)
    (behind,) = await queued(store, "c")
    await store.edit(edit_to("", person=None, message="c"), AT)
    again = await store.accept(new_turn("undone", "c", again_of=behind), ME, claim=False)
    assert await store.edit(edit_to("C", 2.0, message="c"), AT) == EditResult(EditVerdict.USED, again.n)
    assert await words(store, again.n) == "C"


async def test_deleting_the_last_of_merged_messages_ends_the_run(store: TurnStore) -> None:
    _, last = await queued(store, "a", "b")
    await store.claim(CHAT, ME, merge=True)
    deletion = [edit_to("", person=None, message=message) for message in ("b", "a")]
    assert await store.edit(deletion[0], AT) == EditResult(EditVerdict.LATE, last)
    assert await restated(store, last) == "a"
    assert await store.edit(deletion[1], AT) == EditResult(EditVerdict.STOPPING, last)


FILE = SharedFile("a.txt", "https://files.example/a", FileKind.DOWNLOAD)


async def only_a_file(store: TurnStore, id_: str) -> int:
    new = new_turn(id_)
    payload = replace(new.payload, text="", files=(FILE,))
    return (await store.accept(replace(new, payload=payload), ME, claim=False)).n


async def test_a_deleted_queued_file_message_is_not_asked(store: TurnStore) -> None:
    n = await only_a_file(store, "a")
    assert await store.edit(edit_to("", person=None), AT) == EditResult(EditVerdict.WITHDRAWN, n)


@pytest.mark.parametrize("file_last", [False, True])
async def test_a_file_without_words_stays_in_a_merged_question(store: TurnStore, file_last: bool) -> None:
    for makes in (queued, only_a_file) if file_last else (only_a_file, queued):
        await makes(store, "b" if makes is only_a_file else "a")
    claimed = await store.claim(CHAT, ME, merge=True)
    assert claimed is not None
    assert await store.edit(edit_to("", person=None), AT) == EditResult(EditVerdict.LATE, claimed.n)
    # put back before the file was fetched, as where runs are repeated after a crash
    assert await store.release(claimed.ticket)
    again = await store.claim(CHAT, ME, merge=True)
    assert again is not None
    assert (again.payload.text, again.payload.files) == ("", (FILE,))
    assert await store.edit(edit_to("", 2.0, person=None, message="b"), AT) == EditResult(
        EditVerdict.STOPPING, claimed.n
    )


async def test_a_file_in_a_merged_question_goes_with_its_own_message_and_stays_with_an_edit(store: TurnStore) -> None:
    files = {name: SharedFile(f"{name}.txt", f"https://x/{name}", FileKind.DOWNLOAD) for name in "abc"}
    first = await running(store, "first")
    for id_, file in files.items():
        question = new_turn(id_)
        payload = replace(question.payload, files=(file,))
        await store.accept(replace(question, payload=payload), ME, claim=False)
    assert await store.close_turn(first, Outcome.SILENT, (), AT)
    claimed = await store.claim(CHAT, ME, merge=True)
    assert claimed is not None
    assert claimed.payload.files == tuple(files.values())
    assert await store.release(claimed.ticket)
    await store.edit(edit_to("", message="a"), AT)
    await store.edit(edit_to("better", message="b"), AT)
    assert (await row(store, claimed.n)).payload.files == (files["b"], files["c"])
    await store.edit(edit_to("", message="c", stamp=2.0), AT)
    await store.edit(edit_to("best", message="b", stamp=3.0), AT)
    left = (await row(store, claimed.n)).payload
    assert (left.text, left.files) == ("best", (files["b"],))


async def test_a_file_that_was_read_stays_in_a_merged_question_without_words(store: TurnStore) -> None:
    await queued(store, "a")
    await only_a_file(store, "b")
    claimed = await store.claim(CHAT, ME, merge=True)
    assert claimed is not None
    read = replace(claimed.payload, text="a|FILE", files=(), inlined=("|FILE",))
    assert await store.replace_payload(claimed.ticket, read)
    assert (await store.edit(edit_to("", person=None), AT)).verdict is EditVerdict.LATE
    assert await store.release(claimed.ticket)
    assert await words(store, claimed.n) == say("files_alone") + "|FILE"
    assert (await store.edit(edit_to("", 2.0, person=None, message="b"), AT)).verdict is EditVerdict.WITHDRAWN


async def test_a_question_edited_during_its_run_is_asked_with_the_edited_words_after_a_release(
    store: TurnStore,
) -> None:
    _, last = await queued(store, "a", "b")
    claimed = await store.claim(CHAT, ME, merge=True)
    assert claimed is not None
    await store.edit(edit_to("", person=None, message="a"), AT)
    await store.edit(edit_to("B", message="b"), AT)
    assert await words(store, last) == "a\n\nb"
    assert await store.release(claimed.ticket)
    assert await words(store, last) == "B"
    again = await store.claim(CHAT, ME, merge=True)
    assert again is not None
    assert again.payload.text == "B"
    assert not await store.release(claimed.ticket)


async def test_merged_messages_that_were_released_are_edited_in_the_queue(store: TurnStore) -> None:
    _, last = await queued(store, "a", "b")
    claimed = await store.claim(CHAT, ME, merge=True)
    assert claimed is not None
    assert await store.release(claimed.ticket)
    assert await store.edit(edit_to("A"), AT) == EditResult(EditVerdict.USED, last)
    assert await words(store, last) == "A\n\nb"
    await queued(store, "c")
    again = await store.claim(CHAT, ME, merge=True)
    assert again is not None
    assert again.payload.text == "A\n\nb\n\nc"
    await store.edit(edit_to("B", message="b"), AT)
    assert await restated(store, again.n) == "A\n\nB\n\nc"


async def test_a_question_asked_again_goes_on_under_its_new_number(store: TurnStore) -> None:
    first = await closed(store)
    again = await store.accept(new_turn("again", "a", again_of=first), ME, claim=True)
    assert await store.edit(edit_to("better"), AT) == EditResult(EditVerdict.LATE, again.n)
    assert await restated(store, again.n) == "better"
    assert await store.edit(edit_to("", 2.0, person=None), AT) == EditResult(EditVerdict.STOPPING, again.n)


async def test_the_words_of_a_question_with_blanked_texts_are_not_known(store: TurnStore) -> None:
    first = await closed(store)
    await store.edit(edit_to("better"), AT)
    await store.forget_old(AT + 1, 0)
    assert await restated(store, first) == ""
    assert await store.current_question(10**6) is None


async def test_a_removed_bot_leaves_nothing_open_in_its_conversation(store: TurnStore) -> None:
    place = "msteams|19:x@thread"
    ids = (f"{place}|message|1", f"{place};messageid=7|message|1", f"{place}y|message|1", f"{place}|message|2")
    running_there = (await store.accept(new_turn(ids[0], lane="one"), ME, claim=True)).n
    numbers = [running_there] + [(await store.accept(new_turn(id_, lane="two"), ME, claim=False)).n for id_ in ids[1:]]
    assert await store.withdraw_all(place, AT) == (running_there,)
    found = [await row(store, n) for n in numbers]
    assert [turn.outcome for turn in found] == [None, Outcome.WITHDRAWN, None, Outcome.WITHDRAWN]
    assert [turn.withdrawn for turn in found] == [True, False, False, False]
    assert await store.withdraw_all(place, AT) == ()


async def restated(store: TurnStore, n: int) -> str | None:
    found = await store.current_question(n)
    return None if found is None else found[1]


# -- ratings of answers --


def rating(reaction: Reaction, person: str = ANN, said: str = "", at: float = AT, *, back: bool = False) -> Rating:
    return Rating(CHAT, "m1", person, reaction, said, at, taken_back=back)


async def kept(store: TurnStore) -> list[tuple[int, str, str, str]]:
    return [(r.turn, r.person, r.reaction, r.words) for r in await store.ratings(After(), 100)]


async def test_the_last_rating_of_each_person_counts(store: TurnStore) -> None:
    n = await closed(store)
    assert await store.rate(rating(Reaction.LIKE)) == n
    assert await store.rate(rating(Reaction.DISLIKE, said="Wrong year \0")) == n
    assert await store.rate(rating(Reaction.LIKE, "aad-bob", at=AT + 1)) == n
    (mine, bobs) = await store.ratings(After(), 100)
    assert (mine.turn, mine.person, mine.reaction, mine.at) == (n, ANN, Reaction.DISLIKE, AT)
    assert mine.words.startswith("Wrong year")
    assert (mine.outcome, mine.session) == ("delivered", "agent:helper:http:direct:user-chat")
    assert (bobs.person, bobs.reaction) == ("aad-bob", Reaction.LIKE)


async def test_the_same_rating_without_words_keeps_the_words(store: TurnStore) -> None:
    n = await closed(store)
    await store.rate(rating(Reaction.LIKE, said="Thanks"))
    await store.rate(rating(Reaction.LIKE))
    assert await kept(store) == [(n, ANN, "like", "Thanks")]
    assert await store.rate(rating(Reaction.LIKE, back=True)) == 0
    await store.rate(rating(Reaction.DISLIKE))
    assert await kept(store) == [(n, ANN, "dislike", "")]


async def test_a_rating_is_taken_back_only_by_the_person_who_gave_it(store: TurnStore) -> None:
    n = await closed(store)
    await store.rate(rating(Reaction.LIKE))
    assert await store.rate(rating(Reaction.DISLIKE, back=True)) == 0
    assert await store.rate(rating(Reaction.LIKE, "aad-bob", back=True)) == 0
    assert await store.rate(rating(Reaction.LIKE, back=True)) == n
    assert await kept(store) == []


async def test_only_answers_delivered_in_the_lane_are_rated(store: TurnStore) -> None:
    await closed(store)
    assert await store.rate(replace(rating(Reaction.LIKE), message="m2")) == 0
    assert await store.rate(replace(rating(Reaction.LIKE), lane="elsewhere")) == 0


async def test_ratings_come_in_order_and_in_pages(store: TurnStore) -> None:
    n = await closed(store)
    people = [f"aad-{number}" for number in range(5)]
    for person in people:
        await store.rate(rating(Reaction.LIKE, person, at=AT + len(person)))
    first = await store.ratings(After(), 3)
    last = first[-1]
    rest = await store.ratings(After(last.at, last.turn, last.person), 3)
    assert [r.person for r in (*first, *rest)] == people
    assert {r.turn for r in (*first, *rest)} == {n}
    assert await store.ratings(After(AT + 100), 3) == ()


async def test_ratings_are_deleted_with_the_rows(store: TurnStore) -> None:
    await closed(store)
    await store.rate(rating(Reaction.LIKE))
    await store.forget_old(AT + 1, AT)
    assert len(await kept(store)) == 1
    await store.forget_old(AT + 1, AT + 1)
    assert await kept(store) == []


# -- any order --


@dataclass
class Twin:
    """A store whose turns are called by id: the numbers have gaps, which differ between stores."""

    store: TurnStore
    numbers: dict[str, int] = field(default_factory=dict)
    claimed: list[Ticket] = field(default_factory=list)

    def name(self, n: int) -> str:
        return next((id_ for id_, number in self.numbers.items() if number == n), "")

    async def writes(self, id_: str, kind: Kind = Kind.ASK, again_of: str = "") -> object:
        new = new_turn(id_, f"words of {id_}", kind=kind, again_of=self.numbers.get(again_of))
        accepted = await self.store.accept(new, ME, claim=False)
        if not accepted.duplicate:
            self.numbers[id_] = accepted.n
        return accepted.duplicate

    async def claims(self) -> object:
        claimed = await self.store.claim(CHAT, ME, merge=True)
        if claimed is not None:
            self.claimed.append(claimed.ticket)
        return claimed and (self.name(claimed.n), claimed.payload.text)

    async def ends(self, *, released: bool) -> object:
        if not self.claimed:
            return None
        ticket = self.claimed.pop()
        if released and await self.store.release(ticket):
            return "released"
        return await self.store.close_turn(ticket, Outcome.DELIVERED, ("x",), AT)

    async def changes(self, wanted: MessageEdit) -> object:
        changed = await self.store.edit(wanted, AT)
        return changed.verdict, self.name(changed.n)

    async def withdraws(self, id_: str) -> object:
        seen = await row(self.store, self.numbers[id_])
        return (await self.store.withdraw(seen, AT)).verdict

    async def looks(self) -> object:
        return [await self._look(id_, n) for id_, n in sorted(self.numbers.items())]

    async def _look(self, id_: str, n: int) -> object:
        found, said = await row(self.store, n), await self.store.current_question(n)
        about = said and (self.name(said[0].n), said[1])
        return id_, found.state, found.outcome, found.payload.text, found.words, found.stop, found.withdrawn, about


def random_operation(count: int, dice: random.Random, ids: list[str]) -> Callable[[Twin], Awaitable[object]]:
    """A random operation, the same for each twin; `count` is the time."""
    id_, some, stamp = f"m{count}", dice.choice(ids), float(count)
    kind = dice.choice([Kind.ASK] * 5 + [Kind.NEW])
    released = dice.random() < 0.3
    change = edit_to(f"edit {count}", stamp, message=dice.choice([some] * 9 + [f"m{count + 3}"]))
    older = replace(change, edit=Edit("older", stamp / 2))
    deletion = replace(change, edit=Edit("", stamp), person=None)
    act = dice.choices(
        ["write", "claim", "end", "edit", "older", "delete", "again", "withdraw"], [4, 3, 3, 4, 1, 1, 1, 1]
    )
    if act in (["write"], ["again"]):
        ids.append(id_)
    return {
        "write": lambda twin: twin.writes(id_, kind),
        "claim": lambda twin: twin.claims(),
        "end": lambda twin: twin.ends(released=released),
        "edit": lambda twin: twin.changes(change),
        "older": lambda twin: twin.changes(older),
        "delete": lambda twin: twin.changes(deletion),
        "again": lambda twin: twin.writes(id_, again_of=some),
        "withdraw": lambda twin: twin.withdraws(some) if some in twin.numbers else twin.looks(),
    }[act[0]]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_random_sequences_of_operations_give_the_same_result_in_each_store(store: TurnStore, seed: int) -> None:
    dice, ids, twins = random.Random(seed), ["m0"], (Twin(store), Twin(MemoryStore()))
    for twin in twins:
        await twin.writes("m0")
    for count in range(1, 40):
        event = random_operation(count, dice, ids)
        for _ in range(dice.choice([1, 1, 1, 2])):
            ours, theirs = [await event(twin) for twin in twins]
            assert ours == theirs, f"at {count}"
    ours, theirs = [await twin.looks() for twin in twins]
    assert ours == theirs
