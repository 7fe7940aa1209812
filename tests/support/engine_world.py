"""The engine with a scripted agent and channel, a clock, and an event loop in virtual time.

With `virtual_time` a test may wait for 24 hours of backoff without a real sleep, and every run has the same order of
steps. Virtual time needs a single thread, so the store is in memory.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, ParamSpec, Self

from bridge.core.errors import TurnFailure
from bridge.core.lease import Lease
from bridge.core.live_message import LiveMessage
from bridge.core.outbound.answers_and_notes import note, note_turn
from bridge.core.ports.agent import AgentEvent, Answer, Question, RunEnded
from bridge.core.ports.channel import Chunk, Roster
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Accepted, Activity, Kind, Lane, NewTurn, Payload, Person, Reference, Scope, State, Turn
from bridge.engine.dispatcher import Dispatcher, Limits
from bridge.engine.files_in import FilesIn
from bridge.engine.files_out import FilesOut
from bridge.engine.paced_channel import PacedChannel
from bridge.engine.pipeline import Pipeline
from bridge.engine.progress import ProgressSwitches
from bridge.tasks import Tasks
from support.memory_store import MemoryStore

EPOCH = 1_700_000_000.0
ANN, BOB = Person("29:ann", "aad-ann", "Ann"), Person("29:bob", "aad-bob", "Bob")
WHOLE_TURN = 600.0
# Most tests are about a bot without progress.
PLAIN = ProgressSwitches(streaming=False, progress=False, notify=False, reactions=False)
_P = ParamSpec("_P")


class _Impatient(selectors.DefaultSelector):
    """Moves time to the next timer instead of waiting for the timer."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("all tasks wait, and no timer is set")
            self.moment += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        return self._impatient.moment

    def run_in_executor(  # type: ignore[override]  # typeshed binds the arguments' types, which a test has no use for
        self, _executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Runs the function at once instead of in a thread."""
        future: asyncio.Future[Any] = self.create_future()
        future.set_result(func(*args))
        return future


def virtual_time(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Decorator: run an asynchronous test in a new loop in virtual time."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until the condition holds, `seconds` at most. Raises: TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(max(0.002, seconds / 2500))


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


class LoopClock:
    """Wall time in step with the loop's time."""

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time()


@dataclass
class ScriptedAgent:
    """Says `echo <text>` at once, unless `answers`, `takes` (seconds) or `holds` have an entry for the text.

    `events`: sent as the run begins. `run_ends`: seconds from a run's cancellation to its RunEnded event.
    """

    answers: dict[str, Answer | Exception] = field(default_factory=dict)
    events: dict[str, tuple[AgentEvent, ...]] = field(default_factory=dict)
    run_ends: dict[str, float] = field(default_factory=dict)
    takes: dict[str, float] = field(default_factory=dict)
    holds: dict[str, asyncio.Event] = field(default_factory=dict)
    forgets: list[TurnFailure] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    forgotten: list[tuple[str, str]] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    overlaps: list[str] = field(default_factory=list)
    at_work: Counter[str] = field(default_factory=Counter)

    async def ask(self, question: Question, on_event: Callable[[AgentEvent], None] | None = None) -> Answer:
        text = question.text
        self.asked.append(text)
        self.times[text] = asyncio.get_running_loop().time()
        self.at_work[question.user] += 1
        if self.at_work[question.user] > 1:
            self.overlaps.append(text)
        if on_event is not None:
            for event in self.events.get(text, ()):
                on_event(event)
        try:
            if text in self.takes:
                await asyncio.sleep(self.takes[text])
            if text in self.holds:
                await self.holds[text].wait()
        except asyncio.CancelledError:
            self.cancelled.append(text)
            if on_event is not None and text in self.run_ends:
                asyncio.get_running_loop().call_later(self.run_ends[text], on_event, RunEnded())
            raise
        finally:
            self.at_work[question.user] -= 1
        self.ended.append(text)
        answer = self.answers.get(text, Answer(f"echo {text}"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def delete_session(self, agent: str, user: str) -> None:
        if self.forgets:
            raise self.forgets.pop(0)
        self.forgotten.append((agent, user))


@dataclass(frozen=True)
class ChannelRequest:
    """A request to Teams: the loop's time, the conversation, the content."""

    at: float
    conversation: str
    activity: Activity

    @property
    def text(self) -> str:
        return str(self.activity.get("text") or self.activity.get("summary") or self.activity.get("type"))


@dataclass
class ScriptedChannel:
    """Keeps all requests. Each send raises the next of `failures`, if any; `on_send` runs before each send."""

    failures: list[Exception] = field(default_factory=list)
    typing_failure: Exception | None = None
    typing_seconds: float = 0.0
    send_seconds: float = 0.0
    on_send: Callable[[Activity], Awaitable[None]] | None = None
    tries: list[ChannelRequest] = field(default_factory=list)
    sent: list[ChannelRequest] = field(default_factory=list)
    typed: list[ChannelRequest] = field(default_factory=list)
    progress: list[ChannelRequest] = field(default_factory=list)
    progress_failures: list[Exception] = field(default_factory=list)
    replaced: list[tuple[LiveMessage, Activity]] = field(default_factory=list)
    replace_failures: list[Exception] = field(default_factory=list)
    reactions: list[tuple[str, str, bool]] = field(default_factory=list)

    async def send(self, to: Reference, activity: Activity) -> str:
        now = asyncio.get_running_loop().time()
        self.tries.append(ChannelRequest(now, to.conversation, activity))
        if self.on_send is not None:
            await self.on_send(activity)
        await asyncio.sleep(self.send_seconds)
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(ChannelRequest(asyncio.get_running_loop().time(), to.conversation, activity))
        return f"m{len(self.sent)}"

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        await self._progress(to, {"type": "chunk", "text": chunk.text, "chunk": chunk})
        return chunk.stream or f"stream-{len(self.progress)}"

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        await self._progress(to, activity | {"placeholder": True})
        return f"placeholder-{len(self.progress)}"

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        await self._progress(to, activity | {"edited": message})

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        now = asyncio.get_running_loop().time()
        self.tries.append(ChannelRequest(now, to.conversation, activity))
        if self.on_send is not None:
            await self.on_send(activity)
        if self.replace_failures:
            raise self.replace_failures.pop(0)
        self.replaced.append((live, activity))
        # the message's earlier content is gone
        self.sent = [request for request in self.sent if request.activity.get("id") != live.id]
        self.sent.append(ChannelRequest(now, to.conversation, activity | {"id": live.id}))
        return live.id

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        self.reactions.append((to.activity, reaction, on))

    async def _progress(self, to: Reference, activity: Activity) -> None:
        if self.progress_failures:
            raise self.progress_failures.pop(0)
        self.progress.append(ChannelRequest(asyncio.get_running_loop().time(), to.conversation, activity))

    async def typing(self, to: Reference) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(self.typing_seconds)
        if self.typing_failure is not None:
            raise self.typing_failure
        self.typed.append(ChannelRequest(now, to.conversation, {"type": "typing"}))

    def texts(self, lane: str = "chat") -> list[str]:
        """The texts that a conversation's people can read, in order."""
        return [request.text for request in self.sent if request.conversation == lane]


def reference(conversation: str = "chat", scope: Scope = Scope.PERSONAL) -> Reference:
    return Reference("https://smba.example/", conversation, scope, "tenant", "28:bot", "29:ann", "a1", "en-US")


def new_turn(
    id_: str,
    text: str = "",
    *,
    lane: str = "chat",
    kind: Kind = Kind.ASK,
    scope: Scope = Scope.PERSONAL,
    accepted: float = EPOCH,
    again_of: int | None = None,
    activities: tuple[Activity, ...] = (),
    who: Person = ANN,
    where: str = "",
) -> NewTurn:
    """A turn of a person in the lane; session and conversation (unless `where` names one) have the lane's name, too."""
    payload = Payload(reference(where or lane, scope), who, "helper", f"user-{lane}", text or id_, activities)
    return NewTurn(id_, kind, Lane(lane), payload, accepted, again_of)


def stop_command(
    id_: str = "stop", *, where: str = "chat", who: Person = ANN, scope: Scope = Scope.PERSONAL
) -> NewTurn:
    """`/stop` in the conversation `where`, as `core.decide` hands the command to the engine."""
    return note_turn(id_, Payload(reference(where, scope), who), note(""), EPOCH)


async def _stay(_owner: str) -> None:
    """Replaces `leave`, so the owner stays in the table."""


class World:
    """An engine over scripted edges. `start` joins the turn table; `kill` ends all tasks without leaving the table.

    `name` begins the owner ids. `paced`: the channel keeps Teams' budgets.
    """

    def __init__(
        self,
        store: TurnStore | None = None,
        *,
        limits: Limits | None = None,
        rerun: bool = False,
        settle_seconds: float = 3.0,
        merge: bool = False,
        name: str = "owner",
        switches: ProgressSwitches = PLAIN,
        files_in: Callable[[World], FilesIn] | None = None,
        files_out: Callable[[World], FilesOut] | None = None,
        channel: ScriptedChannel | None = None,
        paced: bool = False,
        roster: Roster | None = None,
        whole_turn: float = WHOLE_TURN,
    ) -> None:
        self.memory = store if isinstance(store, MemoryStore) else MemoryStore()
        self.store: TurnStore = store or self.memory
        self.agent = ScriptedAgent()
        self.channel = channel or ScriptedChannel()
        self._paced = paced
        self.clock = LoopClock()
        self._limits = limits or Limits()
        self._rerun = rerun
        self._settle_seconds = settle_seconds
        self._merge = merge
        self._switches = switches
        self._name = name
        self._files_in = files_in
        self._files_out = files_out
        self._roster = roster
        self._whole_turn = whole_turn
        self._joins = 0
        self.tasks = Tasks()
        self.lease = Lease()
        self.dispatcher = self._build()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        self.tasks = Tasks()
        self.lease = Lease()
        self.dispatcher = self._build()
        await self.dispatcher.start()

    async def kill(self) -> None:
        """Cancel every task without a write to the store, as after `kill -9`."""
        leave, self.memory.leave = self.memory.leave, _stay  # type: ignore[method-assign,assignment]
        try:
            await self.dispatcher.drain(0)
        finally:
            self.memory.leave = leave  # type: ignore[method-assign]

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def ask(self, id_: str, text: str = "", **options: Any) -> Accepted:
        options.setdefault("accepted", self.clock.now())
        return await self.dispatcher.accept(new_turn(id_, text, **options))

    def row(self, id_: str) -> Turn:
        return next(row for row in self.memory.rows.values() if row.id == id_)

    async def closed(self, *ids: str, seconds: float = 60.0) -> Turn:
        """Wait until the turns with these ids are closed; gives the last turn."""
        await until(lambda: all(self.row(id_).state is State.CLOSED for id_ in ids), seconds)
        return self.row(ids[-1])

    async def in_state(self, id_: str, state: State) -> None:
        await until(lambda: self.row(id_).state is state)

    def _new_owner(self) -> str:
        self._joins += 1
        return f"{self._name}-{self._joins}"

    def _build(self) -> Dispatcher:
        pipeline = Pipeline(
            store=self.store,
            agent=self.agent,
            channel=PacedChannel(self.channel, monotonic=_monotonic, shared=False) if self._paced else self.channel,
            clock=self.clock,
            tasks=self.tasks,
            whole_turn=self._whole_turn,
            roster=self._roster,
            files_in=self._files_in and self._files_in(self),
            files_out=self._files_out and self._files_out(self),
            rerun=self._rerun,
            settle_seconds=self._settle_seconds,
            switches=self._switches,
        )
        return Dispatcher(
            store=self.store,
            pipeline=pipeline,
            clock=self.clock,
            monotonic=_monotonic,
            tasks=self.tasks,
            new_owner=self._new_owner,
            limits=self._limits,
            lease=self.lease,
            merge=self._merge,
        )
