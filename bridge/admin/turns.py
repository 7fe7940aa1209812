"""The client of the admin listener, and tables of turns for a terminal."""

from __future__ import annotations

from typing import Any

import httpx
from rich.table import Table
from rich.text import Text

_SECONDS = 10.0
# Where to reach a listener that is bound to all addresses.
_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound
_STYLES = {"failed": "red", "undelivered": "red", "interrupted": "yellow", "running": "cyan", "answered": "cyan"}


class AdminFailed(Exception):
    """A failed request to the admin listener; the message is a sentence, `code` the command's exit code."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


class AdminClient:
    """A client of a running bridge's admin listener; `token` may be empty on loopback."""

    def __init__(self, host: str, port: int, token: str) -> None:
        name = _ALL_ADDRESSES.get(host, host)
        self._base = f"http://{f'[{name}]' if ':' in name else name}:{port}"
        self._headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}

    def ask(self, method: str, path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer's JSON object; query parameters of None are not sent. Blocks up to 10 seconds.

        Raises: AdminFailed.
        """
        try:
            answer = httpx.request(
                method,
                f"{self._base}/api/{path}",
                params={name: value for name, value in (query or {}).items() if value is not None},
                headers=self._headers,
                timeout=_SECONDS,
                trust_env=False,  # no proxy may see the token
            )
        except httpx.ConnectError:
            raise AdminFailed(
                f"The bridge is not running: nobody listens at {self._base} (BRIDGE_ADMIN_HOST, BRIDGE_ADMIN_PORT)."
            ) from None
        except httpx.HTTPError as error:
            raise AdminFailed(f"The bridge at {self._base} did not answer: {type(error).__name__}.") from None
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code == 401:
            raise AdminFailed("The bridge refused BRIDGE_ADMIN_TOKEN: it is not the one that it runs with.")
        try:
            body: dict[str, Any] = answer.json()
            if answer.is_success:
                return body
            sentence = str(body["error"])
        except (ValueError, KeyError, TypeError):
            raise AdminFailed(f"{self._base} is not a bridge's admin listener, or one of another version.") from None
        raise AdminFailed(sentence, 2 if answer.status_code == 400 else 1)


def table(turns: list[dict[str, Any]]) -> Table:
    """A table with a line for each turn, from the admin listener's JSON."""
    lines = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("turn", "kind", "state", "outcome", "accepted (UTC)"):
        lines.add_column(name, no_wrap=True)
    lines.add_column("time", justify="right", no_wrap=True)
    lines.add_column("user", overflow="ellipsis")
    for turn in turns:
        lines.add_row(
            turn["name"],
            turn["kind"],
            _styled(turn["state"]),
            _outcome(turn),
            _clock(turn["accepted"]),
            _duration(turn["seconds"]),
            Text(turn["user"]),
        )
    return lines


def record(turn: dict[str, Any]) -> Table:
    """A table with a turn's fields and history, from the admin listener's JSON."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column(overflow="fold")
    for name, value in _fields(turn):
        lines.add_row(name, value if isinstance(value, Text) else Text(str(value)))
    for index, step in enumerate(turn["history"]):
        by = f"  by {step['by']}" if step["by"] else ""
        lines.add_row("" if index else "history", Text(f"{_clock(step['at'], exact=True)}  {step['what']}{by}"))
    return lines


def _fields(turn: dict[str, Any]) -> list[tuple[str, object]]:
    text, parts = turn["text_bytes"], turn["parts"]
    fields: list[tuple[str, object]] = [
        ("turn", turn["name"]),
        ("kind", turn["kind"]),
        ("state", _styled(turn["state"])),
        ("outcome", _outcome(turn)),
        ("accepted", f"{_clock(turn['accepted'], exact=True)} UTC"),
        ("closed", f"{_clock(turn['closed'], exact=True)} UTC" if turn["closed"] else ""),
        ("took" if turn["closed"] else "age", _duration(turn["seconds"])),
        ("user", turn["user"]),
        ("conversation", f"{turn['conversation']} ({turn['scope']})" if turn["conversation"] else ""),
        ("lane", turn["lane"]),
        ("text", "no longer kept" if text is None else f"{text} bytes"),
        ("shown", f"{turn['parts_shown']} parts" if parts is None else f"{turn['parts_shown']} of {parts} parts"),
        ("failed tries", turn["attempts"] or ""),
        ("stop", "asked for" if turn["stop"] else ""),
        ("asked again", turn["again_of"] or ""),
        ("merged into", turn["merged_into"] or ""),
        ("owner", f"{turn['owner']}, fence {turn['fence']}" if turn["owner"] else ""),
    ]
    return [(name, value) for name, value in fields if value]


def _outcome(turn: dict[str, Any]) -> Text:
    words = turn["outcome"] or ""
    if turn["error"] and turn["error"] != words:
        words += f": {turn['error']}"
    return Text(words, _STYLES.get(turn["outcome"], ""))


def _styled(state: str) -> Text:
    return Text(state, _STYLES.get(state, ""))


def _clock(at: str, *, exact: bool = False) -> str:
    """A time such as `2026-11-23T03:03:31.123Z` for people: `2026-11-23 03:03:31`, with milliseconds if `exact`."""
    return at.replace("T", " ").removesuffix("Z")[: None if exact else 19]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
