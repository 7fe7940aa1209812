"""What happened, and what of it the guarantees forbid. Pure: records in, violations out.

Every exception must be explained by a recorded fact that opens one of the windows of docs/architecture.md, "Guarantees": a fault that was
put into that very send, or a kill or freeze at that moment. What is explained is counted by window.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from chaos.edit_rules import CLOCKS, afterwards, had_no_time
from chaos.records import LINE, Asked, Deed, History, Sent, Shown, Violation, beginning

# A frozen owner wakes and sees that it was replaced.
AFTER_A_FREEZE = 3.0


@dataclass(frozen=True, slots=True)
class Verdict:
    violations: tuple[Violation, ...]
    windows: dict[str, int]


def check(history: History) -> Verdict:
    """What the guarantees forbid, and how often each window was used."""
    return _Check(history).verdict()


class _Check:
    def __init__(self, history: History) -> None:
        self._history = history
        self._windows: Counter[str] = Counter()
        self._shown: dict[str, list[Shown]] = defaultdict(list)
        for shown in sorted(history.shown, key=lambda shown: shown.at):
            self._shown[shown.lane].append(shown)
        self._deeds: dict[str, list[Deed]] = defaultdict(list)
        for deed in history.deeds:
            self._deeds[deed.about].append(deed)
        self._early = self._matched_early()
        self._outcomes = {message.id: self._outcomes_of(message) for message in history.sent}

    def verdict(self) -> Verdict:
        found = [*self._lost(), *self._too_many(), *self._out_of_order(), *self._two_at_once(), *self._asked_twice()]
        found += afterwards(self._history, self._windows)
        return Verdict(tuple(found), dict(self._windows))

    def _about(self, message: Sent) -> set[str]:
        """The message, and those with which it was asked."""
        about, seen = {message.id}, message.id
        while (seen := self._history.merged.get(seen, "")) and seen not in about:
            about.add(seen)
        return about

    def _clicks(self, message: Sent) -> list[Deed]:
        """The clicks by which its person had it asked once more: also on a card about another of its group."""
        group = self._history.asks(message.id)
        clicks = (
            deed for deed in self._history.deeds if deed.what == "click" and self._history.asks(deed.about) == group
        )
        return [deed for deed in clicks if deed.worked]

    def _deleted(self, message: Sent) -> bool:
        return any(deed.what == "delete" for deed in self._deeds[message.id])

    def _matched_early(self) -> dict[tuple[str, float], Shown]:
        """The note of each stop that came early: each `/stop` has its own, in the order in which they stopped."""
        lanes = {message.id: message.lane for message in self._history.sent}
        stops = {(lanes[id_], at) for id_, at in self._history.withdrawn.items() if id_ in lanes}
        matched, used = dict[tuple[str, float], Shown](), set[str]()
        for lane, at in sorted(stops):
            for shown in self._shown[lane]:
                fits = shown.text.startswith(self._history.early) and shown.at > at - CLOCKS
                if fits and shown.reply_to not in used:
                    used.add(shown.reply_to)
                    matched[lane, at] = shown
                    break
        return matched

    def _outcomes_of(self, message: Sent) -> list[Shown]:
        """Everything that ends this message: answers that hold its token, notes that reply to it or to its `/stop`."""
        about = self._about(message)
        own = [
            shown
            for shown in self._shown[message.lane]
            if (message.token and f"[{message.token}]" in shown.text)
            or (shown.reply_to in about and self._note(message, shown.text).startswith(self._history.notes))
        ]
        early = self._early.get((message.lane, self._history.withdrawn.get(message.id, 0.0)))
        return own if early is None else sorted([*own, early], key=lambda shown: shown.at)

    def _note(self, message: Sent, text: str) -> str:
        """What the bridge says, below what the agent had said of this message in a run of its own."""
        said, line, note = text.partition(LINE)
        runs = (run for run in self._history.asked if run.lane == message.lane and message.token in run.tokens)
        begun = (beginning(run.tokens) for run in runs)
        return note if line and any(words.startswith(said) or said.startswith(words) for words in begun) else text

    def _lost(self) -> Iterator[Violation]:
        for message in self._history.sent:
            outcomes = self._outcomes[message.id]
            if message.acked is None or (self._deleted(message) and not outcomes):
                continue
            clicks = [deed.at for deed in self._clicks(message) if deed.acked is not None and deed.about == message.id]
            stopped = self._history.withdrawn.get(message.id)
            if not outcomes:
                yield Violation("lost", message.lane, f"{message.id} {message.token}")
            elif stopped is not None and (message.lane, stopped) not in self._early:
                yield Violation("lost", message.lane, f"{message.id} {message.token}, stopped and not told")
            elif clicks and not self._deleted(message) and outcomes[-1].at < min(clicks):
                yield Violation("lost", message.lane, f"{message.id} {message.token}, asked once more")

    def _too_many(self) -> Iterator[Violation]:
        for message in self._history.sent:
            outcomes, clicks = self._outcomes[message.id], self._clicks(message)
            own = outcomes[:1]
            for shown in outcomes[1:]:
                first = next((s for s in reversed(own) if s.text == shown.text and s.of == shown.of), None)
                window = self._why_doubled(first) if first is not None else ""
                # what names its run or turn is no outcome of another
                other = not shown.of or all(s.of != shown.of for s in own)
                if first is not None and window:
                    self._windows[window] += 1
                    own[own.index(first)] = shown
                elif other and len(own) <= sum(deed.at < shown.at for deed in clicks):
                    own.append(shown)  # asked once more, answered once more
                elif first is None:
                    yield Violation("two outcomes", message.lane, f"{message.id} {[s.text[:40] for s in outcomes]}")
                    break
                else:
                    yield Violation("doubled", message.lane, f"{message.id} {first.at:.2f} and {shown.at:.2f}")
                    own[own.index(first)] = shown

    def _why_doubled(self, first: Shown) -> str:
        if first.fault:
            return "6: the result of the send was unknown"
        for trouble in self._history.troubles:
            if had_no_time(self._history, trouble, first.at, first.arrived):
                return f"6: {trouble.what} between Teams' 201 and our commit"
        return ""

    def _out_of_order(self) -> Iterator[Violation]:
        lanes: dict[str, list[tuple[Sent, float]]] = defaultdict(list)
        for message in self._history.sent:
            outcomes = self._outcomes[message.id]
            early = bool(outcomes) and outcomes[0].text.startswith(self._history.early)
            at_once = early or any(s.text.startswith(self._history.refused) for s in outcomes)
            # asked once more, a question goes to the end of the line
            again = any(outcomes and deed.at < outcomes[0].at for deed in self._clicks(message))
            if outcomes and not at_once and not again:
                lanes[message.lane].append((message, outcomes[0].at))
        for lane, messages in lanes.items():
            for x, x_at in messages:
                late = [y for y, y_at in messages if x.acked is not None and x.acked < y.sent and y_at < x_at]
                for y in late:
                    yield Violation("out of order", lane, f"{x.id} acknowledged before {y.id} was sent")

    def _two_at_once(self) -> Iterator[Violation]:
        lanes: dict[str, list[Asked]] = defaultdict(list)
        for run in self._history.asked:
            if not run.refused:
                lanes[run.lane].append(run)
        for lane, runs in lanes.items():
            for first, second in pairwise(sorted(runs, key=lambda run: run.began)):
                if second.began < first.ended - 0.005:
                    if self._frozen(first, second):
                        self._windows["3: a frozen owner's run went on"] += 1
                    else:
                        yield Violation("two at once", lane, f"{first.tokens} and {second.tokens}")

    def _frozen(self, first: Asked, second: Asked) -> bool:
        return any(
            trouble.what == "freeze"
            and trouble.at < second.began
            and first.began < trouble.until
            and second.began < trouble.until + AFTER_A_FREEZE
            for trouble in self._history.troubles
        )

    def _asked_twice(self) -> Iterator[Violation]:
        runs = Counter((run.lane, token) for run in self._history.asked if not run.refused for token in run.tokens)
        allowed = {(message.lane, message.token): 1 + len(self._clicks(message)) for message in self._history.sent}
        for (lane, token), times in runs.items():
            if times > allowed.get((lane, token), 1):
                yield Violation("asked twice", lane, token)
