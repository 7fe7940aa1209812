"""Server-sent events come out whole, however the bytes were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.gateway.sse import SseDecoder


def decoded(*pieces: bytes) -> list[bytes]:
    decoder = SseDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data: one\r\n\r\ndata: two\r\rdata: 3\n\n", [b"one", b"two", b"3"]),
        (b"data:one\ndata:  two\ndata\n\n", [b"one\n two\n"]),
        (b": comment\nevent: x\nid: 7\nretry: 1\ndata: a\n\n", [b"a"]),
        (b"\n\n: nothing\n\nevent: x\n\n", []),
        (b"\xef\xbb\xbfdata: after a mark\n\n", [b"after a mark"]),
        ("data: a\u2028b\u0085c\x0bd\n\n".encode(), ["a\u2028b\u0085c\x0bd".encode()]),
        (b"data: never ended\n", []),
        (b"database: x\n data: x\n\n", []),
    ],
)
def test_a_stream_holds_these_events(stream: bytes, events: list[bytes]) -> None:
    assert decoded(stream) == events
    assert decoded(*(stream[at : at + 1] for at in range(len(stream)))) == events


@given(st.text(alphabet="ad:\r\n xé", max_size=40).map("data: ".__add__), st.lists(st.integers(0, 60), max_size=6))
def test_the_decoded_events_do_not_depend_on_where_bytes_are_cut(text: str, cuts: list[int]) -> None:
    stream = text.encode() + b"\n\n"
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert decoded(*pieces) == decoded(stream)


@given(st.lists(st.binary(max_size=30)))
def test_no_bytes_break_the_decoder(pieces: list[bytes]) -> None:
    assert all(isinstance(event, bytes) for event in decoded(*pieces))
