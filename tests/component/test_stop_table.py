"""Each order of the client's *Stop*, a new question and `/stop`, in the three scopes, in virtual time.

In groups and channels the client's *Stop* is the button below the placeholder. The table of cases is `ORDERS`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engine_world import ANN, BOB, ScriptedChannel, World, reference, until, virtual_time

from bridge.core.access import AccessPolicy, Facts
from bridge.core.decide import Policy
from bridge.core.errors import LeftOut, StreamStopped
from bridge.core.identity import GroupSession
from bridge.core.inbound.activities import CardAction, UserMessage
from bridge.core.live_message import LiveMessage
from bridge.core.outbound.cards import STOP
from bridge.core.ports.agent import TextCame, Thinking
from bridge.core.ports.channel import Chunk
from bridge.core.texts import ENGLISH, say
from bridge.core.turn import Activity, Outcome, Person, Reference, Scope, State
from bridge.engine.handler import Handler
from bridge.engine.progress import ProgressSwitches
from bridge.engine.stopping import DONE

SCOPES = (Scope.PERSONAL, Scope.GROUP, Scope.CHANNEL)
GAP = 0.4  # seconds between two events
RUN_ENDS = 0.1  # seconds from the end of a request to the event of the run's end
STOP_NOTES = tuple(ENGLISH[key].partition("{")[0] for key in ("stopped", "stopped_by"))


@dataclass
class Client(ScriptedChannel):
    """People's clients. `stopped`: streams on which *Stop* was pressed; Teams refuses each later request of these."""

    stopped: set[str] = field(default_factory=set)
    heard: list[float] = field(default_factory=list)
    no_reactions: bool = False

    def press_stop(self) -> None:
        """Press *Stop* on each stream shown so far."""
        self.stopped |= {f"stream-{n + 1}" for n, request in enumerate(self.progress) if "chunk" in request.activity}

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        if chunk.stream in self.stopped:
            self.heard.append(asyncio.get_running_loop().time())
            raise StreamStopped
        return await super().stream(to, chunk)

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        if live.id in self.stopped:
            raise StreamStopped
        return await super().replace(to, live, activity)

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        if self.no_reactions:
            raise LeftOut
        await super().react(to, reaction, on=on)


class Chat:
    """A chat of Ann and Bob with the bot, in which the question `one` is running and silent."""

    def __init__(self, scope: Scope, *, switches: ProgressSwitches | None = None) -> None:
        self.client = Client()
        self.world = World(channel=self.client, switches=switches or ProgressSwitches(), paced=True, merge=True)
        self.where = reference("chat", scope)
        self.personal = scope is Scope.PERSONAL
        self.at: dict[str, float] = {}
        self.policy = Policy(AccessPolicy(frozenset({"tenant"})), "helper")
        for text, seconds in {"one": 300.0, "two": 3.0}.items():
            self._thinks_about(text, seconds)

    def _thinks_about(self, text: str, seconds: float) -> None:
        """The agent needs so many seconds for the question; the event of a stopped run's end comes soon."""
        agent = self.world.agent
        for asked in (text, f"[From: Ann] {text}", f"[From: Bob] {text}"):
            agent.takes[asked], agent.events[asked], agent.run_ends[asked] = seconds, (Thinking(),), RUN_ENDS

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def writes(self, text: str, who: Person = ANN, where: Reference | None = None) -> None:
        """A person writes a message, whose id and activity have the message's text as name."""
        self.at[text] = self.now
        to = replace(where or self.where, activity=f"activity {text}")
        await self._handler.receive(UserMessage(text, to, Facts(who, to.scope, "tenant"), text, mentioned=True))

    async def presses_stop(self) -> None:
        """Ann presses *Stop* beside the answer to `one`."""
        self.at["press"] = self.now
        if self.personal:
            self.client.press_stop()
            return
        facts = Facts(ANN, self.where.scope, "tenant")
        await self._handler.receive(CardAction("press", self.where, facts, STOP, {"turn": self.world.row("one").n}))

    async def begins(self) -> None:
        """`one` is asked, and its progress is visible for some seconds."""
        await self.world.start()
        await self.writes("one")
        await asyncio.sleep(6.0)
        assert self.client.progress

    def outcome(self, id_: str) -> Outcome | None:
        return self.world.row(id_).outcome

    async def all_closed(self) -> None:
        await until(lambda: all(row.state is State.CLOSED for row in self.world.memory.rows.values()), 30.0)

    def notes_below(self, moment: float) -> list[str]:
        """The notes of a stop that appeared as new messages after `moment`."""
        new = [sent for sent in self.client.sent if sent.at > moment and "id" not in sent.activity]
        return [sent.text for sent in new if sent.text.startswith(STOP_NOTES)]

    def sign_at(self, command: str) -> bool:
        """Whether a reaction stands on the command, or a note came after the command."""
        reacted = (f"activity {command}", DONE, True) in self.client.reactions
        signs = (ENGLISH["stopped_early"].partition("{")[0], say("stop_asked"), say("stop_nothing"), *STOP_NOTES)
        noted = any(sent.at >= self.at[command] and sent.text.startswith(signs) for sent in self.client.sent)
        return reacted or noted

    @property
    def _handler(self) -> Handler:
        return Handler(
            dispatcher=self.world.dispatcher,
            policy=self.policy,
            clock=self.world.clock,
            gateway_health=lambda: "gateway_well",
            gateway_memory=lambda: "memory_kept",
        )


EVENTS = ("press", "two", "/stop")
ORDERS = [order for count in (1, 2, 3) for order in permutations(EVENTS, count)]


def _cases() -> list[tuple[Scope, tuple[str, ...]]]:
    return [(scope, order) for scope in SCOPES for order in ORDERS]


def _before(order: tuple[str, ...], first: str, second: str) -> bool:
    return first in order and second in order and order.index(first) < order.index(second)


@pytest.mark.parametrize(
    ("scope", "order"), _cases(), ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
@virtual_time
async def test_each_order_of_stops_and_a_new_question(scope: Scope, order: tuple[str, ...]) -> None:
    chat = Chat(scope)
    await chat.begins()
    for event in order:
        await (chat.presses_stop() if event == "press" else chat.writes(event))
        await asyncio.sleep(GAP)
    stops = [chat.at[event] for event in ("press", "/stop") if event in order]
    if not stops:
        await asyncio.sleep(5.0)
        assert (chat.outcome("one"), chat.outcome("two")) == (None, None)  # the new question waits
        await chat.world.kill()
        return
    await chat.all_closed()

    # `one` is stopped by each of the two; `two` only by a later `/stop`
    assert chat.outcome("one") is Outcome.STOPPED
    if "two" in order:
        ended = _before(order, "two", "/stop")
        assert chat.outcome("two") is (Outcome.STOPPED if ended else Outcome.DELIVERED)
        if not ended:
            # a Stop is heard one stream request after the question at the latest
            began = chat.world.agent.times["two" if chat.personal else "[From: Ann] two"]
            assert began - max(chat.at["two"], min(stops)) <= 1.0 + RUN_ENDS
            assert chat.notes_below(chat.at["two"]) == []
    if "/stop" in order:
        await until(lambda: chat.sign_at("/stop"))
    assert sum(chat.world.agent.at_work.values()) == 0
    await chat.world.kill()


STORIES = st.lists(
    st.tuples(st.sampled_from([ANN, BOB]), st.sampled_from(["ask", "ask", "/stop"]), st.sampled_from([0.0, 0.3, 2.5])),
    max_size=8,
)


@given(scope=st.sampled_from(SCOPES), story=STORIES)
@settings(max_examples=100, deadline=None)
def test_after_a_stop_no_earlier_question_of_the_person_runs_on(
    scope: Scope, story: list[tuple[Person, str, float]]
) -> None:
    @virtual_time
    async def told() -> None:
        chat = Chat(scope)
        await chat.begins()
        asked, stops = {"one": ANN}, list[tuple[str, Person, set[str]]]()
        for n, (someone, what, pause) in enumerate(story):
            who = ANN if chat.personal else someone
            open_ = {id_ for id_ in asked if chat.world.row(id_).state in (State.QUEUED, State.RUNNING)}
            if what == "ask":
                asked[f"q{n}"] = who
                await chat.writes(f"q{n}", who)
            else:
                stops.append((f"/stop{' ' * n}", who, open_))
                await chat.writes(stops[-1][0], who)
            await asyncio.sleep(pause)
        if not stops:
            await chat.writes("/stop")
        await chat.all_closed()
        for command, who, open_ in stops:
            own = {id_ for id_ in open_ if asked[id_] == who}
            assert {chat.outcome(id_) for id_ in own} <= {Outcome.STOPPED}
            if not own and stops[0][0] == command and "one" in open_:
                assert chat.outcome("one") is Outcome.STOPPED  # no question of the person: the running one ends
        await until(lambda: all(chat.sign_at(command) for command, _, _ in stops))
        await chat.world.kill()

    told()


@pytest.mark.parametrize("wrote", ["two", "/help", "/status", "/nonsense"])
@virtual_time
async def test_a_stop_is_known_within_a_second_of_anything_that_the_person_writes(wrote: str) -> None:
    chat = Chat(Scope.PERSONAL)
    await chat.begins()
    await chat.presses_stop()
    await asyncio.sleep(0.1)
    assert chat.client.heard == []
    await chat.writes(wrote)
    await chat.all_closed()
    assert chat.client.heard[0] - chat.at[wrote] <= 1.0
    await chat.world.kill()


@virtual_time
async def test_messages_while_a_stream_grows_keep_to_one_request_a_second() -> None:
    chat = Chat(Scope.PERSONAL)
    chat.world.agent.events["one"] = (TextCame("So far I know this much.\n\nAnd"),)
    await chat.begins()
    for n in range(20):
        await chat.writes(f"/status{'.' * (n % 3)}" if n else "/status")
        await asyncio.sleep(0.2)
    times = [request.at for request in chat.client.progress]
    assert min(later - earlier for earlier, later in pairwise(times)) >= 1.0
    await chat.world.kill()


@virtual_time
async def test_stop_ends_the_running_and_every_waiting_question_and_names_the_waiting_ones() -> None:
    chat = Chat(Scope.PERSONAL)
    await chat.begins()
    for text in ("what is **new**?", "and " + "long " * 40):
        await chat.writes(text)
    await chat.writes("/stop")
    await chat.all_closed()
    (early,) = [sent.text for sent in chat.client.sent if sent.text.startswith("Stopped before")]
    assert early.startswith(say("stopped_early", questions="“what is new ?”, “and long long"))
    assert early.endswith("…”")
    assert chat.world.agent.asked == ["one"]
    await chat.world.kill()


@pytest.mark.parametrize("scope", SCOPES[1:])
@virtual_time
async def test_in_groups_own_questions_are_stopped_first_and_without_any_the_running_one(scope: Scope) -> None:
    chat = Chat(scope)
    await chat.begins()
    await chat.writes("two", BOB)
    await chat.writes("three", ANN)
    await chat.writes("/stop", BOB)  # Bob's own question waits
    await asyncio.sleep(2.0)
    assert (chat.outcome("one"), chat.outcome("two"), chat.outcome("three")) == (None, Outcome.STOPPED, None)
    assert say("stopped_early", questions="“two”") in chat.world.channel.texts()
    await chat.writes("/stop ", BOB)  # Bob has none left: the running one, whose owner is named
    await chat.all_closed()
    assert (chat.outcome("one"), chat.outcome("three")) == (Outcome.STOPPED, Outcome.DELIVERED)
    assert say("stopped_for", name="Bob", owner="Ann") in chat.world.channel.texts()
    await until(lambda: chat.sign_at("/stop "))
    await chat.world.kill()


@virtual_time
async def test_a_stop_in_a_thread_whose_run_is_in_a_different_thread_is_visible_in_both() -> None:
    chat = Chat(Scope.CHANNEL)
    chat.policy = replace(chat.policy, channel=GroupSession.CHANNEL)
    chat.client.no_reactions = True
    chat.where = reference("19:c;messageid=1", Scope.CHANNEL)
    there = reference("19:c;messageid=2", Scope.CHANNEL)
    await chat.begins()
    await chat.writes("/stop", BOB, there)
    await chat.all_closed()
    assert chat.client.texts("19:c;messageid=1") == [say("stopped_for", name="Bob", owner="Ann")]
    await until(lambda: chat.client.texts("19:c;messageid=2") == [say("stop_asked")])
    await chat.world.kill()


@pytest.mark.parametrize("reactions", [True, False])
@virtual_time
async def test_without_a_reaction_a_note_shows_at_the_command_that_it_worked(*, reactions: bool) -> None:
    chat = Chat(Scope.PERSONAL, switches=ProgressSwitches(reactions=reactions))
    chat.client.no_reactions = True
    await chat.begins()
    await chat.writes("/stop")
    await chat.all_closed()
    await until(lambda: chat.client.texts()[1:] == [say("stop_asked")])  # the first note is in place of the stream
    await chat.world.kill()
