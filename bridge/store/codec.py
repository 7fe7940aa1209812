"""Turn values to and from the columns of a row, the same for every store."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from bridge.core.files.kept import Consent
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.live_message import LiveMessage
from bridge.core.turn import Edit, Kind, Lane, NewTurn, Outcome, Payload, Person, Reference, Reply, Scope, State, Turn

WITHDRAWN = 2
"""In the `stop` column: stopped because the question was taken back; 1 is any other stop."""


class Row(Protocol):
    """A row of the turn table, by column name."""

    def __getitem__(self, column: str, /) -> Any:
        """The column's value."""
        ...


def new_row(new: NewTurn, owner: str, now: float) -> dict[str, Any]:
    """The parameters of the `accept` statement but for its conditions."""
    payload = new.payload
    return {
        "id": clean(new.id),
        "kind": new.kind.value,
        "lane": clean(new.lane),
        "session": clean(session_of(payload)),
        "owner": owner,
        "again_of": new.again_of,
        "payload": dump_payload(payload),
        "accepted": new.accepted,
        "queued": step(now, "queued", owner),
        "running": step(now, "running", owner),
    }


def session_of(payload: Payload) -> str:
    """The session key in the gateway, "" for what is no question."""
    return f"agent:{payload.agent}:http:direct:{payload.user}" if payload.user else ""


def clean(text: str) -> str:
    """A text that every database takes: PostgreSQL's know no NUL."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def step(now: float, what: str, by: str = "") -> str:
    """An entry of a row's history (`core.history.steps` reads it)."""
    return f"{now:.3f} {what} {by};" if by else f"{now:.3f} {what};"


def dump_payload(payload: Payload) -> bytes:
    """The `payload` column."""
    return orjson.dumps(
        {
            "reference": payload.reference,
            "person": payload.person,
            "agent": payload.agent,
            "user": payload.user,
            "text": payload.text,
            "show": payload.activities,
            "files": payload.files,
            "consent": payload.consent,
            "inlined": payload.inlined,
        }
    )


def dump_reply(reply: Reply) -> bytes:
    """The `reply` column."""
    live = reply.live
    kept = live and {"id": live.id, "stream": live.stream, "shown": live.text, "becomes": live.shrinks_to}
    return orjson.dumps(
        {"outcome": reply.outcome, "activities": reply.activities, "error": reply.error, "landing": kept}
    )


def dump_ids(ids: tuple[str, ...]) -> bytes | None:
    """The `delivery` column: the ids of the parts that were shown."""
    return orjson.dumps(ids) if ids else None


def dump_edit(edit: Edit) -> bytes:
    """The `edit` column."""
    return orjson.dumps(edit)


def turn_of(row: Row) -> Turn:
    """A whole row as a Turn. A blanked text gives an empty payload of the same shape."""
    return Turn(
        n=row["n"],
        id=row["id"],
        kind=_kind(row["kind"]),
        lane=Lane(row["lane"]),
        state=State(row["state"]),
        payload=_payload(row["payload"]),
        accepted=row["accepted"],
        owner=row["owner"] or "",
        fence=row["fence"],
        stop=bool(row["stop"]),
        stopped_by=row["stopped_by"],
        attempts=row["attempts"],
        again_of=row["again_of"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        reply=_reply(row["reply"]),
        delivered=tuple(orjson.loads(row["delivery"])) if row["delivery"] else (),
        error=row["error"],
        closed=row["closed"],
        session=row["session"],
        history=row["history"],
        live=row["live"],
        withdrawn=row["stop"] == WITHDRAWN,
        merged_into=row["merged_into"],
        edit=Edit(**orjson.loads(row["edit"])) if row["edit"] else None,
    )


_KINDS = frozenset(Kind)


def _kind(kept: str) -> Kind:
    """A kind that only the version after this one knows has nothing to show here."""
    return Kind(kept) if kept in _KINDS else Kind.NOTE


def _payload(raw: bytes | None) -> Payload:
    if not raw:
        return Payload(Reference("", "", Scope.PERSONAL, "", "", ""), Person("", "", ""))
    data: dict[str, Any] = orjson.loads(raw)
    reference = data["reference"]
    return Payload(
        reference=Reference(**{**reference, "scope": Scope(reference["scope"])}),
        person=Person(**data["person"]),
        agent=data["agent"],
        user=data["user"],
        text=data["text"],
        activities=tuple(data["show"]),
        # rows of the version before have none of these
        files=tuple(SharedFile(**{**file, "kind": FileKind(file["kind"])}) for file in data.get("files", ())),
        consent=Consent(**data["consent"]) if data.get("consent") else None,
        inlined=tuple(data.get("inlined", ())),
    )


def _reply(raw: bytes | None) -> Reply | None:
    if not raw:
        return None
    data: dict[str, Any] = orjson.loads(raw)
    kept = data.get("landing")  # missing in rows of version 0.1
    live = kept and LiveMessage(kept["id"], kept["stream"], text=kept["shown"], shrinks_to=kept["becomes"])
    return Reply(Outcome(data["outcome"]), tuple(data["activities"]), data["error"], live)
