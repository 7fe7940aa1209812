"""The bytes of a file decide the type; file names are cleaned before people see them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.files.content_type import TEXT, UNKNOWN, clean_name, is_showable, text_of, type_of
from bridge.core.teams_limits import PICTURE_BYTES


def png(width: int, height: int, size: int = 0) -> bytes:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", width, height)
    return head.ljust(size, b"\0")


def gif(width: int, height: int, frames: int = 1) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x21\xf9\x04..." * frames


def jpeg(width: int, height: int, before: bytes = b"\xff\xe0\x00\x04ab") -> bytes:
    frame = b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01"
    return b"\xff\xd8" + before + b"\xff" + frame + b"\0" * 8


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (png(1, 1), "image/png"),
        (jpeg(1, 1), "image/jpeg"),
        (gif(1, 1), "image/gif"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"PK\x03\x04docx", "application/zip"),
        (b"", TEXT),
        ("Grüße ✓\r\n\t\f".encode(), TEXT),
        (b"\xef\xbb\xbfwith a mark", TEXT),
        ("\ufeffGrüße".encode("utf-16-le"), TEXT),
        ("\ufeffGrüße".encode("utf-16-be"), TEXT),
        (b"<html><script>alert(1)</script>", TEXT),
        (b"<svg onload='x'/>", TEXT),
        (b"caf\xe9", UNKNOWN),
        (b"a\0b", UNKNOWN),
        (b"a\x1b[31mb", UNKNOWN),
        (b"\xff\xfea", UNKNOWN),  # half a character of UTF-16
        ("\ufeffhi".encode("utf-32-le"), UNKNOWN),
        (b"MZ\x90\0", UNKNOWN),
    ],
)
def test_the_type_of_a_file_is_decided_by_the_bytes(content: bytes, kind: str) -> None:
    assert type_of(content) == kind


def test_a_pdf_of_ascii_characters_is_no_text() -> None:
    assert text_of(b"%PDF-1.7 all ASCII") is None


def test_text_is_read_without_the_byte_order_mark() -> None:
    assert text_of(b"\xef\xbb\xbfa") == "a"
    assert text_of("\ufeffä✓".encode("utf-16-le")) == "ä✓"
    assert text_of("\ufeffä✓".encode("utf-16-be")) == "ä✓"


@given(st.binary(max_size=64))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xfe"):
        is_showable(start + content)
        text_of(start + content)
        assert type_of(start + content)


@pytest.mark.parametrize(
    ("content", "showable"),
    [
        (png(1024, 1024), True),
        (png(1025, 10), False),
        (png(10, 1025), False),
        (png(0, 10), False),
        (b"\x89PNG\r\n\x1a\n", False),
        (png(10, 10, PICTURE_BYTES), True),
        (png(10, 10, PICTURE_BYTES + 1), False),
        (gif(1024, 768), True),
        (gif(1025, 768), False),
        (gif(10, 10, frames=2), False),
        (jpeg(640, 480), True),
        (jpeg(640, 1480), False),
        (jpeg(640, 480, b"\xff\xff\xfe\x00\x03c\xff\xc4\x00\x02"), True),
        (jpeg(640, 480)[:9], False),
        (b"\xff\xd8\xff\xe0\x00\x00" * 3, False),
        (b"%PDF-1.7", False),
        (b"words", False),
    ],
)
def test_a_picture_is_shown_within_teams_limits(content: bytes, showable: bool) -> None:
    assert is_showable(content) is showable


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("plan.pdf", "plan.pdf"),
        ("Grüße ✓ (1).txt", "Grüße ✓ _1_.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("a\r\nb.txt", "ab.txt"),
        ("fdp\u202etxt.exe", "fdptxt.exe"),
        ("[From: Boss] `x`<at>.md", "_From_ Boss_ _x__at_.md"),
        ("..", "file"),
        ("", "file"),
        ("dir/", "file"),
        ("a\0\x07.txt", "a.txt"),
        (" . a .", "a"),
    ],
)
def test_a_cleaned_name_has_no_path_markup_or_invisible_characters(name: str, clean: str) -> None:
    assert clean_name(name) == clean


def test_a_long_name_keeps_its_ending() -> None:
    assert clean_name("x" * 300 + ".docx") == "x" * 95 + ".docx"
    assert clean_name("." + "x" * 300) == "x" * 100
    assert len(clean_name("a." + "x" * 300)) == 100


@given(st.text())
def test_any_name_is_cleaned_to_a_harmless_name(name: str) -> None:
    clean = clean_name(name)
    assert 0 < len(clean) <= 100
    assert clean.isprintable()
    assert not set(clean) & set('/\\<>:"|?*[]()`\r\n')
