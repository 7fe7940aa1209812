"""Judges edits, deletions, files and streams of a recorded storm. Pure.

No guarantee of docs/architecture.md, "Guarantees" has a number for edits: a claimed question is asked as its person
last left the message, and a deleted question is not asked (part of guarantee 5).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from bridge.engine.heartbeat import HEARTBEAT_SECONDS
from chaos.records import (
    GatewayRun,
    History,
    LiveMessage,
    PersonAction,
    PersonMessage,
    StreamRefusal,
    Trouble,
    Violation,
)

# Troubles during which a replica writes nothing to its database.
NO_DATABASE = ("outage", "cut")
# Seconds within which a shown message's id is committed while the store works.
COMMIT_SECONDS = 1.0
# Seconds after an outage within which a failed commit was retried (bridge/engine/store_retry.py: waits of 5 s at most).
RETRY_SECONDS = 5.0
# Seconds by which a request can reach Teams before the recorded time.
ARRIVAL_SECONDS = 0.5
# Seconds by which the clock of the turn table and the recorded times may differ.
CLOCK_SKEW = 0.1


def check_edits_and_streams(history: History, windows: Counter[str]) -> list[Violation]:
    """Judge edits, deletions, files and streams; count each window of doubt used in `windows`."""
    by_token = {(message.lane, message.token): message for message in history.person_messages if message.token}
    asked = [
        (by_token[run.lane, token], run, token)
        for run in history.runs
        if not run.refused
        for token in run.tokens
        if (run.lane, token) in by_token
    ]
    groups: dict[str, list[PersonAction]] = defaultdict(list)
    for action in history.actions:
        groups[history.asking_message(action.about)].append(action)
    found = [
        violation
        for message, run, token in asked
        for violation in _asked_as_left(history, groups[history.asking_message(message.id)], message, run, token)
    ]
    return [*found, *_streams(history, windows)]


def _asked_as_left(
    history: History, group_actions: list[PersonAction], message: PersonMessage, run: GatewayRun, token: str
) -> Iterator[Violation]:
    """A run uses the text of the last edit with a 200 before the claim, and no question deleted before the claim.

    The claim is the last recorded claim before the run began. A file must be in the prompt unless its download failed.
    `group_actions`: actions about all messages of the merged group.
    """
    claimed = max((at for at in history.claims.get(message.id, ()) if at <= run.began), default=run.began)
    about = f"{message.id} {token} at {run.began:.2f}"
    own = [action for action in group_actions if action.about == message.id]
    for action in own:
        if action.acked is None or action.acked >= claimed or _during_a_click(action, own):
            continue
        if action.kind == "delete" and not _asked_again_after(history, action, group_actions, claimed):
            yield Violation("asked after deletion", message.lane, about)
        elif action.kind == "edit" and token not in run.edited:
            yield Violation("asked with old words", message.lane, about)
    if message.file and token not in run.files and token not in history.unfetched:
        yield Violation("asked without its file", message.lane, about)


def _during_a_click(change: PersonAction, actions: list[PersonAction]) -> bool:
    """Whether a click was under way between the change and its 200: the click may have read the old text."""
    clicks = (action for action in actions if action.kind == "click" and action.worked)
    return any(
        click.at < (change.acked or 0.0) and (click.acked is None or change.at < click.acked) for click in clicks
    )


def _asked_again_after(history: History, deletion: PersonAction, actions: list[PersonAction], claimed: float) -> bool:
    """Whether a click after the deletion's 200, and before the claim, had the deleted question asked again.

    In a merged group a click asks for the messages not deleted; for this message only if all were deleted before.
    """
    deleted = {action.about for action in actions if action.kind == "delete" and action.at < (deletion.acked or 0.0)}
    return history.group(deletion.about) <= deleted and any(
        click.kind == "click" and click.worked and (deletion.acked or 0.0) < click.at < claimed + CLOCK_SKEW
        for click in actions
    )


def may_be_unwritten(history: History, trouble: Trouble, shown: float, arrived: float | None = None) -> bool:
    """Whether a trouble may have kept the sender from committing the id of a message.

    `shown`: when Teams showed the message; `arrived`: when its request came, if earlier. A kill or end explains the
    loss from the request's arrival until a second after the showing, or until the retries after an outage have ended.
    A freeze, outage or cut explains the loss only when an owner loses its lease in the meantime; a request prepared
    before a freeze leaves as the owner wakes, before the owner notices the takeover.
    """
    if trouble.kind in ("freeze", *NO_DATABASE) and not _ends_owners(history, trouble):
        return False
    if trouble.kind in NO_DATABASE:
        last = history.slowed(trouble.at, history.certain_seconds + HEARTBEAT_SECONDS)
        return trouble.at <= history.slowed(shown, COMMIT_SECONDS) and shown <= last
    committed = history.slowed(shown, COMMIT_SECONDS)
    outages = (other for other in history.troubles if other.kind in NO_DATABASE)
    for outage in sorted(outages, key=lambda outage: outage.at):
        if outage.at <= committed <= outage.until + COMMIT_SECONDS:
            committed = history.slowed(outage.until, RETRY_SECONDS + COMMIT_SECONDS)
    lost = (trouble.at, trouble.until) if trouble.kind == "freeze" else (trouble.memory_lost,)
    sent = history.sent_from(shown if arrived is None else arrived, ARRIVAL_SECONDS)
    return any(sent <= at <= committed for at in lost)


def _ends_owners(history: History, trouble: Trouble) -> bool:
    """Whether the trouble outlasted an owner's time without a heartbeat; the last one came up to 2 s before."""
    return trouble.until - trouble.at > history.certain_seconds - 2 * HEARTBEAT_SECONDS


def _streams(history: History, windows: Counter[str]) -> Iterator[Violation]:
    """Guarantee 4: progress messages end with their turn. Teams' rules: no part of a stream is refused."""
    by_id = {live.id: live for live in history.live_messages}
    for live in history.live_messages:
        if live.ended is not None:
            continue
        if why := _why_left(history, live.began, live.faults):
            windows[f"progress left: {why}"] += 1
        else:
            yield Violation("progress left", live.lane, f"{live.id} of {live.began:.2f}")
    for refusal in history.refusals:
        stream = by_id.get(refusal.stream) or LiveMessage("", refusal.lane, refusal.at)
        if why := _why_refused(history, refusal, stream.began, stream.faults):
            windows[f"stream refused: {why}"] += 1
        else:
            yield Violation("stream rule", refusal.lane, f"{refusal.rule} at {refusal.at:.2f}")


def _why_left(history: History, began: float, faults: list[float]) -> str:
    """The window that explains a progress message left behind, "" if none does.

    Judged at the message's first request: the response with the id was replaced by a fault, or a trouble left no time
    to commit the id.
    """
    if began in faults:
        return "its id was not told"
    for trouble in history.troubles:
        if may_be_unwritten(history, trouble, began):
            return f"{trouble.kind} between its id and our commit"
    return ""


def _why_refused(history: History, refusal: StreamRefusal, began: float, faults: list[float]) -> str:
    """The window that explains a refused part of a stream, "" if none does.

    Between the stream's begin and the refusal a request had an unknown result, or the sending replica was lost; an
    outage loses a replica only when an owner's time without a heartbeat has passed.
    """
    if any(at <= refusal.at for at in faults):
        return "what was shown before was not told"
    for trouble in history.troubles:
        if trouble.kind not in NO_DATABASE:
            explained = history.sent_from(began, ARRIVAL_SECONDS) <= trouble.memory_lost and trouble.at <= refusal.at
        else:
            owner_ends = trouble.at + history.certain_seconds - 2 * HEARTBEAT_SECONDS
            explained = _ends_owners(history, trouble) and began <= owner_ends <= refusal.at
        if explained:
            return f"after a {trouble.kind}"
    return ""
