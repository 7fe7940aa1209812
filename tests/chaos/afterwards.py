"""What people do about a message after they have sent it, and what the guarantees forbid of that; and streams. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from chaos.records import Asked, Deed, History, Progress, Refusal, Sent, Violation

# A replica that was killed may have shown something this long before, and not have written it yet.
BEFORE_A_KILL = 3.0


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
    deeds: dict[str, list[Deed]] = defaultdict(list)
    for deed in history.deeds:
        deeds[deed.about].append(deed)
    found = [violation for what in asked for violation in _words(history, deeds[what[0].id], *what)]
    return [*found, *_streams(history, windows)]


def _words(history: History, deeds: list[Deed], message: Sent, run: Asked, token: str) -> Iterator[Violation]:
    """Whether a question was asked as its person wanted when it was taken out of the queue."""
    claimed = max((at for at in history.claims.get(message.id, ()) if at <= run.began), default=run.began)
    about = f"{message.id} {token} at {run.began:.2f}"
    for deed in deeds:
        if deed.acked is None or deed.acked >= claimed or _asked_once_more(deed, deeds, run.began):
            continue
        if deed.what == "delete":
            yield Violation("asked after deletion", message.lane, about)
        elif deed.what == "edit" and token not in run.edited:
            yield Violation("asked with old words", message.lane, about)
    if message.file and token not in run.files and token not in history.unfetched:
        yield Violation("asked without its file", message.lane, about)


def _asked_once_more(deed: Deed, deeds: list[Deed], began: float) -> bool:
    """Whether its person had it asked once more: at the same moment, or after they had deleted it."""
    clicks = [other for other in deeds if other.what == "click" and other.worked]
    if deed.what == "delete" and any(deed.at < click.at < began for click in clicks):
        return True
    return any(click.at < (deed.acked or 0.0) and (click.acked is None or deed.at < click.acked) for click in clicks)


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
        within = trouble.what == "outage" and trouble.at <= began <= trouble.until
        if within or began - 0.5 <= trouble.at <= began + BEFORE_A_KILL:
            return f"{trouble.what} between its id and our commit"
    return ""


def _why_refused(history: History, refusal: Refusal, began: float, faults: list[float]) -> str:
    """Why a rule was broken: the stream's process had died, or did not know what had been shown."""
    if any(at <= refusal.at for at in faults):
        return "what was shown before was not told"
    for trouble in history.troubles:
        if began - 0.5 <= trouble.at <= refusal.at:
            return f"after a {trouble.what}"
    return ""
