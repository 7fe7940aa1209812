"""Reads the frames of the gateway's WebSocket (docs/reference/goclaw.md, "WebSocket"). Pure: texts in, values out.

A frame comes over a wire, so no field has a type before the type was checked. Go writes an empty list or object as
null, so a missing field and null stand for "none"; a field of a wrong type is an error, never "none": a malformed list
of sessions must not look like a successful deletion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

_CODES = frozenset({"NOT_FOUND", "UNAUTHORIZED", "INVALID_REQUEST", "INTERNAL"})


class RpcError(Exception):
    """A call that got no payload.

    `code` is a code of the gateway, or `handshake`, `closed`, `timeout`, `frame`, `other`. The gateway's words are
    left out, since words of the gateway name sessions and so users.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and the role that the gateway gives to a connected socket; "" where the gateway names none."""

    user: str
    role: str


def answer_in(text: str, id_: str) -> dict[str, Any] | None:
    """The frame as the answer to the call `id_`; None for events and answers to other calls. Raises: RpcError."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise RpcError("frame") from None
    if isinstance(frame, dict) and frame.get("type") == "res" and frame.get("id") == id_:
        return frame
    return None


def payload_in(answer: dict[str, Any]) -> dict[str, Any]:
    """The payload of an answer; empty where the gateway sent none. Raises: RpcError."""
    if answer.get("ok") is True:
        payload: dict[str, Any] = _typed(answer.get("payload"), dict, {})
        return payload
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    raise RpcError(code if isinstance(code, str) and code in _CODES else "other")


def identity_in(payload: dict[str, Any]) -> Identity:
    """The identity in the payload of `connect`. Raises: RpcError."""
    return Identity(_typed(payload.get("user_id"), str, ""), _typed(payload.get("role"), str, ""))


def session_keys_in(payload: dict[str, Any], user: str) -> frozenset[str]:
    """The keys of the user's sessions in the payload of `sessions.list`. Raises: RpcError."""
    rows = [_typed(row, dict, {}) for row in _typed(payload.get("sessions"), list, [])]
    keys = (row.get("key") for row in rows if row.get("userID") == user)
    return frozenset(_typed(key, str, "") for key in keys) - {""}


def has_messages(payload: dict[str, Any]) -> bool:
    """Whether the payload of `sessions.preview` holds messages; none for a missing session. Raises: RpcError."""
    return bool(_typed(payload.get("messages"), list, []))


def _typed(value: Any, kind: type, none: Any) -> Any:
    """The value if of the type `kind`, `none` for null. Raises: RpcError."""
    if value is None:
        return none
    if not isinstance(value, kind):
        raise RpcError("frame")
    return value
