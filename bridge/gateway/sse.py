"""Server-sent events, decoded as they come: bytes in any cuts in, the data of whole events out. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream: names, ids and comments are
passed over, since the gateway sends none that matter (docs/reference/goclaw.md, "Reply"). The caller bounds how much is fed, and
demands the last event itself: an event without its blank line is no event.
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"


class SseDecoder:
    """One stream's decoder."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._after_cr = False
        self._first = True

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of every event that is complete with this piece."""
        if not piece:
            return []
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]  # the second half of a CRLF that was cut in two
        self._after_cr = piece.endswith(b"\r")
        events = []
        # bytes know only CR, LF and CRLF as line ends, as does the standard
        for part in piece.splitlines(keepends=True):
            text = part.rstrip(b"\r\n")
            self._line += text
            if len(text) == len(part):
                break  # goes on in the next piece
            if (data := self._end_of_line()) is not None:
                events.append(data)
        return events

    def _end_of_line(self) -> bytes | None:
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            self._first, line = False, line.removeprefix(_BOM)
        if not line:
            data, self._data = self._data, []
            return b"\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        return None
