"""A world for the engine: scripted agent, channel and clock, and an event loop that skips waiting times.

With `virtual_time` a test may wait for 24 hours of backoff: nothing sleeps really, and the order of things is the same
in each run. It needs everything to happen in one thread, so the store is the one in memory.
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
from bridge.core.ports.agent import AgentEvent, Answer, Question, RunEnded
from bridge.core.ports.channel import Chunk, Roster
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Accepted, Activity, Kind, Lane, NewTurn, Payload, Person, Reference, Scope, State, Turn
from bridge.engine.dispatcher import Dispatcher, Limits
from bridge.engine.files_in import FilesIn
from bridge.engine.files_out import FilesOut
from bridge.engine.paced_channel import PacedChannel
from bridge.engine.pipeline import Pipeline
from bridge.engine.progress import Switches
from bridge.tasks import Tasks
from support.memory_store import MemoryStore

EPOCH = 1_700_000_000.0
WHOLE_TURN = 600.0
# The tests of everything else are about a bot that shows no progress.
PLAIN = Switches(streaming=False, progress=False, notify=False, reactions=False)
_P = ParamSpec("_P")


class _Impatient(selectors.DefaultSelector):
    """Where the loop would wait for its next timer, time jumps there instead."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits for something that will never happen")
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
        """No thread: what would run beside the loop is done at once."""
        future: asyncio.Future[Any] = self.create_future()
        future.set_result(func(*args))
        return future


def virtual_time(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Run an asynchronous test in a loop of its own, in virtual time."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until the condition holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(max(0.002, seconds / 2500))


class LoopClock:
    """Wall time that goes with the loop's."""

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time()


@dataclass
class ScriptedAgent:
    """Says `echo <text>` at once, unless `answers`, `takes` (seconds) or `holds` have an entry for the text.

    `tells`: what is heard as the run begins. `ends`: seconds after which a cancelled run is heard to have ended.
    """

    answers: dict[str, Answer | Exception] = field(default_factory=dict)
    tells: dict[str, tuple[AgentEvent, ...]] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
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

    async def ask(self, question: Question, heard: Callable[[AgentEvent], None] | None = None) -> Answer:
        text = question.text
        self.asked.append(text)
        self.times[text] = asyncio.get_running_loop().time()
        self.at_work[question.user] += 1
        if self.at_work[question.user] > 1:
            self.overlaps.append(text)
        if heard is not None:
            for event in self.tells.get(text, ()):
                heard(event)
        try:
            if text in self.takes:
                await asyncio.sleep(self.takes[text])
            if text in self.holds:
                await self.holds[text].wait()
        except asyncio.CancelledError:
            self.cancelled.append(text)
            if heard is not None and text in self.ends:
                asyncio.get_running_loop().call_later(self.ends[text], heard, RunEnded())
            raise
        finally:
            self.at_work[question.user] -= 1
        self.ended.append(text)
        said = self.answers.get(text, Answer(f"echo {text}"))
        if isinstance(said, Exception):
            raise said
        return said

    async def delete_session(self, agent: str, user: str) -> None:
        if self.forgets:
            raise self.forgets.pop(0)
        self.forgotten.append((agent, user))


@dataclass(frozen=True)
class Shown:
    """One request to Teams: when it was made, for which conversation, what."""

    at: float
    conversation: str
    activity: Activity

    @property
    def text(self) -> str:
        return str(self.activity.get("text") or self.activity.get("summary") or self.activity.get("type"))


@dataclass
class ScriptedChannel:
    """Keeps what was shown. `failures` are raised one by one, each by one send; `on_send` runs before each send."""

    failures: list[Exception] = field(default_factory=list)
    typing_failure: Exception | None = None
    typing_seconds: float = 0.0
    send_seconds: float = 0.0
    on_send: Callable[[Activity], Awaitable[None]] | None = None
    tries: list[Shown] = field(default_factory=list)
    sent: list[Shown] = field(default_factory=list)
    typed: list[Shown] = field(default_factory=list)
    progress: list[Shown] = field(default_factory=list)
    progress_failures: list[Exception] = field(default_factory=list)
    replaced: list[tuple[LiveMessage, Activity]] = field(default_factory=list)
    land_failures: list[Exception] = field(default_factory=list)
    reactions: list[tuple[str, str, bool]] = field(default_factory=list)

    async def send(self, to: Reference, activity: Activity) -> str:
        now = asyncio.get_running_loop().time()
        self.tries.append(Shown(now, to.conversation, activity))
        if self.on_send is not None:
            await self.on_send(activity)
        await asyncio.sleep(self.send_seconds)
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(Shown(asyncio.get_running_loop().time(), to.conversation, activity))
        return f"m{len(self.sent)}"

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        await self._progress(to, {"type": "chunk", "text": chunk.text, "chunk": chunk})
        return chunk.stream or f"stream-{len(self.progress)}"

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        await self._progress(to, activity | {"placed": True})
        return f"placed-{len(self.progress)}"

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        await self._progress(to, activity | {"edited": message})

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        now = asyncio.get_running_loop().time()
        self.tries.append(Shown(now, to.conversation, activity))
        if self.on_send is not None:
            await self.on_send(activity)
        if self.land_failures:
            raise self.land_failures.pop(0)
        self.replaced.append((live, activity))
        # in place of what the message showed before
        self.sent = [shown for shown in self.sent if shown.activity.get("id") != live.id]
        self.sent.append(Shown(now, to.conversation, activity | {"id": live.id}))
        return live.id

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        self.reactions.append((to.activity, reaction, on))

    async def _progress(self, to: Reference, activity: Activity) -> None:
        if self.progress_failures:
            raise self.progress_failures.pop(0)
        self.progress.append(Shown(asyncio.get_running_loop().time(), to.conversation, activity))

    async def typing(self, to: Reference) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(self.typing_seconds)
        if self.typing_failure is not None:
            raise self.typing_failure
        self.typed.append(Shown(now, to.conversation, {"type": "typing"}))

    def texts(self, lane: str = "chat") -> list[str]:
        """What a conversation's people have read, in order."""
        return [shown.text for shown in self.sent if shown.conversation == lane]


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
    show: tuple[Activity, ...] = (),
) -> NewTurn:
    """A turn of Ann's in the lane; its conversation and its session are called like the lane."""
    payload = Payload(
        reference(lane, scope), Person("29:ann", "aad-ann", "Ann"), "helper", f"user-{lane}", text or id_, show
    )
    return NewTurn(id_, kind, Lane(lane), payload, accepted, again_of)


async def _stay(_owner: str) -> None:
    """Instead of leaving."""


class World:
    """An engine over scripted edges. `start` begins a life of the process, `kill` ends it without a word."""

    def __init__(
        self,
        store: TurnStore | None = None,
        *,
        limits: Limits | None = None,
        rerun: bool = False,
        settle_seconds: float = 3.0,
        merge: bool = False,
        name: str = "life",
        switches: Switches = PLAIN,
        files_in: Callable[[World], FilesIn] | None = None,
        files_out: Callable[[World], FilesOut] | None = None,
        channel: ScriptedChannel | None = None,
        paced: bool = False,
        roster: Roster | None = None,
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
        self._lives = 0
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
        """End every task where it stands. Nothing is written on the way out, as after `kill -9`."""
        leave, self.memory.leave = self.memory.leave, _stay  # type: ignore[method-assign,assignment]
        try:
            await self.dispatcher.drain(0)
        finally:
            self.memory.leave = leave  # type: ignore[method-assign]

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def ask(self, id_: str, text: str = "", **more: Any) -> Accepted:
        more.setdefault("accepted", self.clock.now())
        return await self.dispatcher.accept(new_turn(id_, text, **more))

    def row(self, id_: str) -> Turn:
        return next(row for row in self.memory.rows.values() if row.id == id_)

    async def closed(self, *ids: str, seconds: float = 60.0) -> Turn:
        """Wait until the turns have their outcome; gives the last of them."""
        await until(lambda: all(self.row(id_).state is State.CLOSED for id_ in ids), seconds)
        return self.row(ids[-1])

    async def in_state(self, id_: str, state: State) -> None:
        await until(lambda: self.row(id_).state is state)

    def _life(self) -> str:
        self._lives += 1
        return f"{self._name}-{self._lives}"

    def _build(self) -> Dispatcher:
        monotonic = lambda: asyncio.get_running_loop().time()  # noqa: E731
        pipeline = Pipeline(
            store=self.store,
            agent=self.agent,
            channel=PacedChannel(self.channel, monotonic=monotonic, shared=False) if self._paced else self.channel,
            clock=self.clock,
            tasks=self.tasks,
            whole_turn=WHOLE_TURN,
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
            monotonic=monotonic,
            tasks=self.tasks,
            new_owner=self._life,
            limits=self._limits,
            lease=self.lease,
            merge=self._merge,
        )
