"""Judges a recorded storm by the guarantees of docs/architecture.md, "Guarantees". Pure: records in, violations out.

An exception is allowed only where a recorded fact opens a window of docs/architecture.md, "Windows of doubt": a fault
injected into the very send, or a kill, freeze or outage at the very moment. Allowed exceptions are counted by window.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from chaos.allowed_words import undecorated
from chaos.edit_rules import CLOCK_SKEW, check_edits_and_streams, may_be_unwritten
from chaos.leak_rules import check_leaks
from chaos.records import (
    LINE,
    BotMessage,
    GatewayRun,
    History,
    PersonAction,
    PersonMessage,
    Violation,
    beginning,
)

# Seconds until a frozen owner, awake again, notices the takeover and stops its runs.
AFTER_A_FREEZE = 3.0
# Seconds by which the recorded end of a run may lie after the true end.
_RECORDING = 0.005


@dataclass(frozen=True, slots=True)
class Verdict:
    """The violations found, and how often each window of doubt explained an exception."""

    violations: tuple[Violation, ...]
    windows: dict[str, int]


def check(history: History) -> Verdict:
    """Judge a storm by all guarantees."""
    return _Check(history).verdict()


class _Check:
    """One history, its messages by lane, and the outcomes of each message."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._windows: Counter[str] = Counter()
        self._bot_messages: dict[str, list[BotMessage]] = defaultdict(list)
        for shown in sorted(history.bot_messages, key=_came):
            self._bot_messages[shown.lane].append(shown)
        self._actions: dict[str, list[PersonAction]] = defaultdict(list)
        for action in history.actions:
            self._actions[action.about].append(action)
        self._early_notes = self._match_early_notes()
        self._outcomes = {message.id: self._outcomes_of(message) for message in history.person_messages}

    def verdict(self) -> Verdict:
        found = [*self._lost(), *self._too_many(), *self._out_of_order(), *self._two_at_once(), *self._asked_twice()]
        found += [*self._late(), *check_leaks(self._history)]
        found += check_edits_and_streams(self._history, self._windows)
        return Verdict(tuple(found), dict(self._windows))

    # the outcomes of a message

    def _asked_with(self, message: PersonMessage) -> set[str]:
        """The ids a note may reply to: the message, and the messages its turn was merged into."""
        ids, next_ = {message.id}, message.id
        while (next_ := self._history.merged.get(next_, "")) and next_ not in ids:
            ids.add(next_)
        return ids

    def _clicks(self, message: PersonMessage) -> list[PersonAction]:
        """The clicks that had the message asked again, on a card about any message of its merged group."""
        group = self._history.asking_message(message.id)
        clicks = (
            action
            for action in self._history.actions
            if action.kind == "click" and self._history.asking_message(action.about) == group
        )
        return [action for action in clicks if action.worked]

    def _deleted(self, message: PersonMessage) -> bool:
        return any(action.kind == "delete" for action in self._actions[message.id])

    def _match_early_notes(self) -> dict[tuple[str, float], BotMessage]:
        """The note for each `/stop` before a run, by lane and time of the stop.

        Each `/stop` has a note of its own, in the order of the stops: the first unused note shown after the stop
        counts, with an allowance for the two clocks.
        """
        lanes = {message.id: message.lane for message in self._history.person_messages}
        stops = {(lanes[id_], at) for id_, at in self._history.stopped_early.items() if id_ in lanes}
        matched, used = dict[tuple[str, float], BotMessage](), set[str]()
        for lane, at in sorted(stops):
            for shown in self._bot_messages[lane]:
                fits = shown.text.startswith(self._history.stopped_early_note) and shown.at > at - CLOCK_SKEW
                if fits and shown.reply_to not in used:
                    used.add(shown.reply_to)
                    matched[lane, at] = shown
                    break
        return matched

    def _outcomes_of(self, message: PersonMessage) -> list[BotMessage]:
        """The outcomes of a message, in the order in which their requests came to Teams.

        Outcomes are answers with the message's token, outcome notes in reply to the message or its merged group, and
        the note of an early `/stop`.
        """
        ids = self._asked_with(message)
        own = [
            shown
            for shown in self._bot_messages[message.lane]
            if (message.token and f"[{message.token}]" in shown.text)
            or (shown.reply_to in ids and self._is_outcome_note(self._note(message, shown.text)))
        ]
        early = self._early_notes.get((message.lane, self._history.stopped_early.get(message.id, 0.0)))
        # in a thread the note of a stop names no message but the thread's first, and so is found in both ways
        return own if early is None or early in own else sorted([*own, early], key=_came)

    def _is_outcome_note(self, note: str) -> bool:
        """Whether a note of the bridge tells a question's outcome."""
        phrases = self._history.outcome_phrases
        return note.startswith(self._history.outcome_notes) or any(phrase in note for phrase in phrases)

    def _note(self, message: PersonMessage, text: str) -> str:
        """The bridge's note within a text: below the line, if the agent's words above belong to this message's run."""
        said, line, note = undecorated(text).partition(LINE)
        runs = (run for run in self._history.runs if run.lane == message.lane and message.token in run.tokens)
        begun = (beginning(run.tokens) for run in runs)
        return note if line and any(words.startswith(said) or said.startswith(words) for words in begun) else text

    # the guarantees

    def _lost(self) -> Iterator[Violation]:
        """Guarantees 1 and 4: every message with a recorded 200 has an outcome.

        A deleted message needs none, nor a message whose stream the person stopped in the client, since a note would
        stand below newer messages. An early `/stop` needs its own note. A click with a recorded 200 needs an outcome
        shown after the first such click was made.
        """
        for message in self._history.person_messages:
            outcomes = self._outcomes[message.id]
            if message.acked is None or (self._deleted(message) and not outcomes):
                continue
            clicks = [
                click.at for click in self._clicks(message) if click.acked is not None and click.about == message.id
            ]
            stopped = self._history.stopped_early.get(message.id)
            if not outcomes and not self._stopped_in_client(message):
                yield Violation("lost", message.lane, f"{message.id} {message.token}")
            elif stopped is not None and (message.lane, stopped) not in self._early_notes:
                yield Violation("lost", message.lane, f"{message.id} {message.token}, stopped without a note")
            elif clicks and not self._deleted(message) and _came(outcomes[-1]) < min(clicks):
                yield Violation("lost", message.lane, f"{message.id} {message.token}, asked once more")

    def _stopped_in_client(self, message: PersonMessage) -> bool:
        """Whether the run was stopped, and the person pressed Stop on a stream that began after the message."""
        streams = (live for live in self._history.live_messages if live.stopped and live.lane == message.lane)
        return message.id in self._history.stopped_runs and any(live.began > message.sent for live in streams)

    def _too_many(self) -> Iterator[Violation]:
        """Guarantees 4 and 6: a message has one outcome, shown once, and one more for each click before the outcome.

        The same text from the same run or turn again is "doubled", allowed only in a window around the first showing
        (`_why_doubled`). Any further outcome is "two outcomes", also when a click was made but the text names a run or
        turn whose outcome was already shown.
        """
        for message in self._history.person_messages:
            outcomes, clicks = self._outcomes[message.id], self._clicks(message)
            allowed = outcomes[:1]
            for shown in outcomes[1:]:
                first = next((s for s in reversed(allowed) if s.text == shown.text and s.source == shown.source), None)
                window = self._why_doubled(first) if first is not None else ""
                new_source = not shown.source or all(s.source != shown.source for s in allowed)
                if first is not None and window:
                    self._windows[window] += 1
                    allowed[allowed.index(first)] = shown
                elif new_source and len(allowed) <= sum(click.at < _came(shown) for click in clicks):
                    allowed.append(shown)  # the outcome of asking again
                elif first is None:
                    yield Violation("two outcomes", message.lane, f"{message.id} {[s.text[:40] for s in outcomes]}")
                    break
                else:
                    yield Violation("doubled", message.lane, f"{message.id} {first.at:.2f} and {shown.at:.2f}")
                    allowed[allowed.index(first)] = shown

    def _why_doubled(self, first: BotMessage) -> str:
        """The window of guarantee 6 that explains a repeated message, "" if none does.

        Judged at the first showing: its request got an unknown result, or a trouble left no time to commit its id.
        """
        if first.fault:
            return "6: the result of the send was unknown"
        for trouble in self._history.troubles:
            if may_be_unwritten(self._history, trouble, first.at, first.arrived):
                return f"6: {trouble.kind} between Teams' 201 and our commit"
        return ""

    def _out_of_order(self) -> Iterator[Violation]:
        """Guarantee 3: if X got its 200 before Y was first sent, X's first outcome came to Teams before Y's.

        Not judged: early stops and refused messages, whose notes come at once, and messages with a click before their
        first outcome, since a question asked again goes to the end of the lane.
        """
        lanes: dict[str, list[tuple[PersonMessage, float]]] = defaultdict(list)
        for message in self._history.person_messages:
            outcomes = self._outcomes[message.id]
            early = bool(outcomes) and outcomes[0].text.startswith(self._history.stopped_early_note)
            at_once = early or any(s.text.startswith(self._history.refused_note) for s in outcomes)
            again = any(outcomes and click.at < _came(outcomes[0]) for click in self._clicks(message))
            if outcomes and not at_once and not again:
                lanes[message.lane].append((message, _came(outcomes[0])))
        for lane, messages in lanes.items():
            for x, x_at in messages:
                late = [y for y, y_at in messages if x.acked is not None and x.acked < y.sent and y_at < x_at]
                for y in late:
                    yield Violation("out of order", lane, f"{x.id} acknowledged before {y.id} was sent")

    def _late(self) -> Iterator[Violation]:
        """Guarantee 4, no silence: an outcome comes within `latest_seconds` after the last recorded reason to wait.

        Reasons: the 200 of the message or of a click, the end of a run of the message, the outcome of a different
        message of the lane, and the end of a trouble. Judged: the first outcome, and the first after each click.
        """
        firsts = defaultdict[str, list[float]](list)
        for message in self._history.person_messages:
            firsts[message.lane] += [_came(shown) for shown in self._outcomes[message.id][:1]]
        for message in self._history.person_messages:
            clicks = [click.acked for click in self._clicks(message) if click.acked is not None]
            runs = (run for run in self._history.runs if run.lane == message.lane and message.token in run.tokens)
            reasons = [*clicks, *(run.ended for run in runs), *firsts[message.lane]]
            reasons += [trouble.until for trouble in self._history.troubles]
            for since in [message.acked, *clicks]:
                came = next((_came(s) for s in self._outcomes[message.id] if since and _came(s) > since), None)
                if since is None or came is None:
                    continue
                waited = came - max([since, *(at for at in reasons if at < came)])
                if waited > self._history.latest_seconds:
                    yield Violation("late", message.lane, f"{message.id} {message.token} after {waited:.0f} s")

    def _two_at_once(self) -> Iterator[Violation]:
        """Guarantee 3: a run of a lane begins after the lane's run before has ended in the gateway.

        The window: a frozen owner's run may overlap with a run after the takeover. Refused runs do not count.
        """
        lanes: dict[str, list[GatewayRun]] = defaultdict(list)
        for run in self._history.runs:
            if not run.refused:
                lanes[run.lane].append(run)
        for lane, runs in lanes.items():
            for first, second in pairwise(sorted(runs, key=lambda run: run.began)):
                if second.began < first.ended - _RECORDING:
                    if self._frozen_between(first, second):
                        self._windows["3: a frozen owner's run went on"] += 1
                    else:
                        yield Violation("two at once", lane, f"{first.tokens} and {second.tokens}")

    def _frozen_between(self, first: GatewayRun, second: GatewayRun) -> bool:
        """Whether a freeze reached into the first run and began before the second, at most 3 s after the freeze."""
        return any(
            trouble.kind == "freeze"
            and trouble.at < second.began
            and first.began < trouble.until
            and second.began < self._history.slowed(trouble.until, AFTER_A_FREEZE)
            for trouble in self._history.troubles
        )

    def _asked_twice(self) -> Iterator[Violation]:
        """Guarantees 2 and 5: the gateway ran each question once, and once more for each click that worked.

        Refused runs do not count: the agent never started.
        """
        runs = Counter((run.lane, token) for run in self._history.runs if not run.refused for token in run.tokens)
        allowed = {
            (message.lane, message.token): 1 + len(self._clicks(message)) for message in self._history.person_messages
        }
        for (lane, token), times in runs.items():
            if times > allowed.get((lane, token), 1):
                yield Violation("asked twice", lane, token)


def _came(shown: BotMessage) -> float:
    """When the request of a message came to Teams: a slow Teams may show an earlier message after a later one."""
    return shown.at if shown.arrived is None else shown.arrived
