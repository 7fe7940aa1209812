"""Converts turns to the columns of a row and back, the same for every database."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from bridge.core.files.kept import Consent
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.identity import asker
from bridge.core.live_message import LiveMessage
from bridge.core.turn import Edit, Kind, Lane, NewTurn, Outcome, Payload, Person, Reference, Reply, Scope, State, Turn

WITHDRAWN = 2
"""Value of the `stop` column if the asker withdrew the question; 1 stands for other stops."""


class Row(Protocol):
    """A row of the turn table, by column name."""

    def __getitem__(self, column: str, /) -> Any:
        """The column's value."""
        ...


def new_row(new: NewTurn, owner: str, now: float) -> dict[str, Any]:
    """The parameters of the `accept` statement, without the conditions."""
    payload = new.payload
    return {
        "id": clean(new.id),
        "kind": new.kind.value,
        "lane": clean(new.lane),
        "session": clean(session_of(payload)),
        "asker": asker_of(payload),
        "owner": owner,
        "again_of": new.again_of,
        "payload": dump_payload(payload),
        "accepted": new.accepted,
        "queued": step(now, "queued", owner),
        "running": step(now, "running", owner),
    }


def session_of(payload: Payload) -> str:
    """The session key in the gateway; "" for a turn without a question."""
    return f"agent:{payload.agent}:http:direct:{payload.user}" if payload.user else ""


def asker_of(payload: Payload) -> str:
    """The `asker` column: the person and the conversation."""
    return clean("|".join(asker(payload.person, payload.reference)))


def clean(text: str) -> str:
    """The text without NUL characters, which PostgreSQL refuses."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def step(now: float, change: str, by: str = "") -> str:
    """An entry of the `history` column (`core.history.steps` reads the column)."""
    return f"{now:.3f} {change} {by};" if by else f"{now:.3f} {change};"


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
    """The `reply` column. The keys are stored names: they stay although the code's names have changed."""
    live = reply.live
    kept = live and {"id": live.id, "stream": live.stream, "shown": live.text, "becomes": live.shrinks_to}
    return orjson.dumps(
        {"outcome": reply.outcome, "activities": reply.activities, "error": reply.error, "landing": kept}
    )


def dump_ids(ids: tuple[str, ...]) -> bytes | None:
    """The `delivery` column: the ids of the delivered parts."""
    return orjson.dumps(ids) if ids else None


def dump_edit(edit: Edit) -> bytes:
    """The `edit` column."""
    return orjson.dumps(edit)


def turn_of(row: Row) -> Turn:
    """A row as a Turn. A row with blanked texts gets an empty payload."""
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
    """The kind; a kind of a later version counts as a note without texts."""
    return Kind(kept) if kept in _KINDS else Kind.NOTE


def _file_kind(kept: str) -> FileKind:
    """The kind of a file; a file of a later version's kind counts as withheld, so people are told of the file."""
    return FileKind(kept) if kept in {*FileKind} else FileKind.WITHHELD


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
        # these keys are missing in rows of older versions
        files=tuple(SharedFile(**{**file, "kind": _file_kind(file["kind"])}) for file in data.get("files", ())),
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
