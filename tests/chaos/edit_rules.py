"""What people do about a message after they have sent it, and what the guarantees forbid of that; and streams. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from bridge.engine.heartbeat import HEARTBEAT_SECONDS
from chaos.records import Asked, Deed, History, Progress, Refusal, Sent, Trouble, Violation

# A replica that was killed may have shown something this long before, and not have written it yet.
BEFORE_A_KILL = 1.0
# What can be written is written within this; and after an outage it is tried again within that (engine.insist).
WRITTEN, TRIED_AGAIN = 1.0, 5.0
# The clock of the turn table and that of what people do go apart by less.
CLOCKS = 0.1


def afterwards(history: History, windows: Counter[str]) -> list[Violation]:
    """Edits, deletions, files, streams; counts the windows that it needs."""
    by_token = {(message.lane, message.token): message for message in history.sent if message.token}
    asked = [
        (by_token[run.lane, token], run, token)
        for run in history.asked
        if not run.refused
        for token in run.tokens
        if (run.lane, token) in by_token
    ]
    groups: dict[str, list[Deed]] = defaultdict(list)
    for deed in history.deeds:
        groups[history.asks(deed.about)].append(deed)
    found = [violation for what in asked for violation in _words(history, groups[history.asks(what[0].id)], *what)]
    return [*found, *_streams(history, windows)]


def _words(history: History, deeds: list[Deed], message: Sent, run: Asked, token: str) -> Iterator[Violation]:
    """Whether a question was asked as its person wanted when it was taken out of the queue; `deeds` of its group."""
    claimed = max((at for at in history.claims.get(message.id, ()) if at <= run.began), default=run.began)
    about = f"{message.id} {token} at {run.began:.2f}"
    own = [deed for deed in deeds if deed.about == message.id]
    for deed in own:
        if deed.acked is None or deed.acked >= claimed or _at_the_same_moment(deed, own):
            continue
        if deed.what == "delete" and not _wanted_all_the_same(history, deed, deeds, claimed):
            yield Violation("asked after deletion", message.lane, about)
        elif deed.what == "edit" and token not in run.edited:
            yield Violation("asked with old words", message.lane, about)
    if message.file and token not in run.files and token not in history.unfetched:
        yield Violation("asked without its file", message.lane, about)


def _at_the_same_moment(deed: Deed, deeds: list[Deed]) -> bool:
    """Whether the question was being asked once more meanwhile, with what it said before."""
    clicks = (other for other in deeds if other.what == "click" and other.worked)
    return any(click.at < (deed.acked or 0.0) and (click.acked is None or deed.at < click.acked) for click in clicks)


def _wanted_all_the_same(history: History, deed: Deed, deeds: list[Deed], claimed: float) -> bool:
    """Whether its person had it asked once more after they had deleted it, and it was claimed for that.

    Of several that were asked together those that are left are asked: this one only if the others had gone before it.
    """
    gone = {other.about for other in deeds if other.what == "delete" and other.at < (deed.acked or 0.0)}
    return history.group(deed.about) <= gone and any(
        click.what == "click" and click.worked and (deed.acked or 0.0) < click.at < claimed + CLOCKS for click in deeds
    )


def had_no_time(history: History, trouble: Trouble, shown: float, arrived: float | None = None) -> bool:
    """Whether who showed something at `shown` (it `arrived` before) may not have come to write it down.

    A life that can beat no more ends after a while, and sends nothing from then on; one that can in time goes on.
    What a frozen one was about to send leaves as it wakes, before it sees that it is over.
    """
    if trouble.what in ("freeze", "outage") and not _ends_lives(history, trouble):
        return False
    if trouble.what == "outage":
        return trouble.at - WRITTEN <= shown <= trouble.at + history.certain + HEARTBEAT_SECONDS
    could = shown
    for outage in sorted((one for one in history.troubles if one.what == "outage"), key=lambda one: one.at):
        if outage.at - WRITTEN <= could <= outage.until:
            could = outage.until + TRIED_AGAIN
    lost = (trouble.at, trouble.until) if trouble.what == "freeze" else (trouble.lost,)
    return any((shown if arrived is None else arrived) - 0.5 <= at <= could + BEFORE_A_KILL for at in lost)


def _ends_lives(history: History, trouble: Trouble) -> bool:
    """Whether it lasted so long that a life could not beat; its last beat was up to two beats before."""
    return trouble.until - trouble.at > history.certain - 2 * HEARTBEAT_SECONDS


def _streams(history: History, windows: Counter[str]) -> Iterator[Violation]:
    """Streams that broke a rule, and progress that stayed when its turn had ended."""
    began = {one.id: one for one in history.progress}
    for one in history.progress:
        if one.ended is not None:
            continue
        if why := _why_left(history, one.began, one.faults):
            windows[f"progress left: {why}"] += 1
        else:
            yield Violation("progress left", one.lane, f"{one.id} of {one.began:.2f}")
    for refusal in history.refusals:
        stream = began.get(refusal.stream) or Progress("", refusal.lane, refusal.at)
        if why := _why_refused(history, refusal, stream.began, stream.faults):
            windows[f"stream refused: {why}"] += 1
        else:
            yield Violation("stream rule", refusal.lane, f"{refusal.rule} at {refusal.at:.2f}")


def _why_left(history: History, began: float, faults: list[float]) -> str:
    """Why nobody knew of a message that shows progress: nobody was told its id, or who was had no time to write it."""
    if began in faults:
        return "its id was not told"
    for trouble in history.troubles:
        if had_no_time(history, trouble, began):
            return f"{trouble.what} between its id and our commit"
    return ""


def _why_refused(history: History, refusal: Refusal, began: float, faults: list[float]) -> str:
    """Why a rule was broken: the stream's process had died, or did not know what had been shown."""
    if any(at <= refusal.at for at in faults):
        return "what was shown before was not told"
    for trouble in history.troubles:
        if trouble.what != "outage":
            explained = began - 0.5 <= trouble.lost and trouble.at <= refusal.at
        else:  # a stream goes on as long as its life
            ends = trouble.at + history.certain - 2 * HEARTBEAT_SECONDS
            explained = _ends_lives(history, trouble) and began <= ends <= refusal.at
        if explained:
            return f"after a {trouble.what}"
    return ""
