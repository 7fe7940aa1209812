"""Edits, deletions and ratings of the store in memory: the rules of the SQL statements, in Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bridge.core.edits import EditResult, EditVerdict, MessageEdit, emptied, files_left, reworded
from bridge.core.feedback import After, KeptRating, Rating
from bridge.core.turn import Edit, Kind, Outcome, State, Turn

Put = Callable[[Turn, str], Turn]
_HOUR = 3600.0


@dataclass
class MemoryEdits:
    """Works on the rows of a MemoryStore; `put` writes a row with an entry in the history."""

    rows: dict[int, Turn]
    put: Put
    kept: dict[str, tuple[Edit, float]] = field(default_factory=dict)
    feedback: dict[tuple[int, str], KeptRating] = field(default_factory=dict)

    def edit(self, wanted: MessageEdit, now: float, at: float) -> EditResult:
        own = next((row for row in self.rows.values() if row.id == wanted.message), None)
        if own is None:
            return self._keep(wanted, now)
        if not _counts(own, wanted):
            return EditResult(EditVerdict.NOTHING)
        group = self.group(self.put(replace(own, edit=wanted.edit), ""))
        standing = self._standing(group[-1])
        if standing.outcome is Outcome.WITHDRAWN and not standing.stop:
            return EditResult(EditVerdict.UNASKED, standing.n)
        if emptied(group):
            return self.withdraw(standing, at)
        if standing.state is not State.QUEUED:
            asked = standing.payload.text == reworded(group)
            return EditResult(EditVerdict.NOTHING if asked else EditVerdict.LATE, standing.n)
        payload = replace(standing.payload, text=reworded(group), files=files_left(group))
        self.put(replace(standing, payload=payload, fence=standing.fence + 1), "edited")
        return EditResult(EditVerdict.USED, standing.n)

    def reword(self, n: int) -> None:
        row = self.rows[n]
        group = self.group(row)
        payload = replace(row.payload, text=reworded(group), files=files_left(group))
        if row.again_of is None and payload != row.payload and not emptied(group):
            self.put(replace(row, payload=payload, fence=row.fence + 1), "edited")

    def withdraw(self, seen: Turn, at: float) -> EditResult:
        n, row = seen.n, self.rows.get(seen.n)
        if row is None or row.fence != seen.fence:
            return EditResult(EditVerdict.NOTHING, n)
        if row.state is State.QUEUED:
            closed = replace(row, state=State.CLOSED, outcome=Outcome.WITHDRAWN, closed=at)
            self.put(closed, "closed:withdrawn")
            return EditResult(EditVerdict.WITHDRAWN, n)
        if row.state is State.RUNNING and row.kind is Kind.ASK and not row.stop:
            self.put(replace(row, stop=True, withdrawn=True), "stop")
            return EditResult(EditVerdict.STOPPING, n)
        return EditResult(EditVerdict.NOTHING, n)

    def withdraw_all(self, id_prefix: str, at: float) -> tuple[int, ...]:
        rows = [row for row in self.rows.values() if row.id.startswith((f"{id_prefix}|", f"{id_prefix};"))]
        verdicts = [self.withdraw(row, at) for row in rows]
        return tuple(result.n for result in verdicts if result.verdict is EditVerdict.STOPPING)

    def current_question(self, n: int) -> tuple[Turn, str] | None:
        row = self.rows.get(n)
        if row is None:
            return None
        asks = root = self.group(row)[-1]
        while root.again_of in self.rows:
            root = self.rows[root.again_of]
        group = self.group(root)
        return asks, reworded(group) if group[-1].payload.text else asks.payload.text

    def group(self, own: Turn) -> list[Turn]:
        asks = self.rows.get(own.merged_into or own.n, own)
        return [*(row for row in self.rows.values() if row.merged_into == asks.n), asks]

    def overtaking(self, id_: str, now: float) -> Edit | None:
        edit, kept = self.kept.get(id_, (None, 0.0))
        return edit if now - kept < _HOUR else None

    def rate(self, rating: Rating) -> int:
        lane = [row for row in self.rows.values() if row.lane == rating.lane and row.state is State.CLOSED]
        n = next((row.n for row in lane if row.kind is Kind.ASK and rating.message in row.delivered), 0)
        before = self.feedback.get((n, rating.person))
        same = before is not None and before.reaction is rating.reaction
        if n and rating.taken_back:
            if before is None or not same or before.words:
                return 0
            del self.feedback[n, rating.person]
        elif n:
            words = rating.words or (before.words if before is not None and same else "")
            self.feedback[n, rating.person] = KeptRating(n, rating.person, rating.reaction, words, rating.at)
        return n

    def ratings(self, after: After, limit: int) -> tuple[KeptRating, ...]:
        behind = [
            rating
            for rating in self.feedback.values()
            if (rating.at, rating.turn, rating.person) > (after.at, after.turn, after.person)
        ]
        found = sorted(behind, key=lambda rating: (rating.at, rating.turn, rating.person))[:limit]
        return tuple(self._with_turn(rating) for rating in found)

    def forget(self, before: float, now: float) -> None:
        self.kept = {id_: kept for id_, kept in self.kept.items() if now - kept[1] < _HOUR}
        self.feedback = {key: rating for key, rating in self.feedback.items() if rating.at >= before}

    def _keep(self, wanted: MessageEdit, now: float) -> EditResult:
        if not wanted.keep:
            return EditResult(EditVerdict.NOTHING)
        before = self.kept.get(wanted.message)
        if before is None or before[0].stamp <= wanted.edit.stamp:
            self.kept[wanted.message] = wanted.edit, now
        return EditResult(EditVerdict.KEPT)

    def _standing(self, row: Turn) -> Turn:
        again = next((later for later in self.rows.values() if later.again_of == row.n), None)
        return row if again is None else self._standing(again)

    def _with_turn(self, rating: KeptRating) -> KeptRating:
        row = self.rows.get(rating.turn)
        outcome = row.outcome if row is not None and row.outcome else ""
        return replace(rating, outcome=str(outcome), session=row.session if row is not None else "")


def _counts(own: Turn, wanted: MessageEdit) -> bool:
    if own.kind is Kind.NEW:
        return wanted.person is None
    asker = own.payload.person.aad_id.lower()
    if own.kind is not Kind.ASK or (wanted.person is not None and wanted.person.lower() != asker):
        return False
    older = own.edit is not None and own.edit.stamp > wanted.edit.stamp
    differs = wanted.person is None or own.words != wanted.edit.text or own.outcome is Outcome.WITHDRAWN
    return (differs or own.edit == wanted.edit) and not older
