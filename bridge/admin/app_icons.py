"""Checks the two icons of the app package: sizes and colours of the PNG files.

Teams' rules: docs/reference/teams.md, "The package and its icons".
"""

from __future__ import annotations

import struct
import zlib

ICON_SIDES = {"color.png": 192, "outline.png": 32}  # pixels
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"  # https://www.w3.org/TR/png-3/#5PNG-file-signature
PNG_START = PNG_SIGNATURE + b"\0\0\0\x0dIHDR"
RGBA_8_BIT = (8, 6, 0, 0, 0)  # IHDR: bit depth, colour type, compression, filter, no interlacing


def icon_problems(icons: dict[str, bytes]) -> list[str]:
    """The faults of the icons (content of the PNG files by file name), a sentence each; empty if Teams takes both."""
    problems = []
    for name, side in ICON_SIDES.items():
        if not icons[name].startswith(PNG_START):
            problems.append(f"{name}: is missing or not a PNG file; save a PNG of {side}x{side} pixels there")
        elif (found := struct.unpack(">II", icons[name][16:24].ljust(8, b"\0"))) != (side, side):
            problems.append(f"{name}: has {found[0]}x{found[1]} pixels; save it with {side}x{side}")
        elif name == "outline.png" and not _is_white_on_transparent(icons[name]):
            problems.append(f"{name}: is not pure white on transparent; save it so, as an 8-bit RGBA PNG")
    return problems


def _is_white_on_transparent(png: bytes) -> bool:
    """Whether every visible pixel is white, and both opaque and transparent pixels exist."""
    try:
        pixels = _rgba_pixels(png)
    except (struct.error, zlib.error, ValueError, IndexError):
        return False
    opacities = {pixel[3] for pixel in pixels}
    return {0, 255} <= opacities and all(pixel[:3] == b"\xff\xff\xff" for pixel in pixels if pixel[3])


def _rgba_pixels(png: bytes) -> list[bytes]:
    """The pixels of an 8-bit RGBA PNG of the outline's size, row by row, four bytes each.

    Raises: struct.error, zlib.error, ValueError, IndexError.
    """
    packed, at = b"", len(PNG_SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8 : at + 8 + length]
        if kind == b"IHDR" and tuple(body[8:]) != RGBA_8_BIT:
            raise ValueError("not 8-bit RGBA")
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    side = ICON_SIDES["outline.png"]
    width = 4 * side
    lines = zlib.decompressobj().decompress(packed, side * (1 + width))
    if len(lines) != side * (1 + width):
        raise ValueError("cut short")
    above, pixels = bytes(width), []
    for start in range(0, side * (1 + width), 1 + width):
        above = _unfiltered(lines[start], lines[start + 1 : start + 1 + width], above)
        pixels += [above[x : x + 4] for x in range(0, width, 4)]
    return pixels


def _unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    """A line of four-byte pixels with the PNG filter `kind` undone: https://www.w3.org/TR/png-3/#9Filters."""
    plain = bytearray()
    for x, value in enumerate(line):
        left, corner = (plain[x - 4], above[x - 4]) if x >= 4 else (0, 0)
        up = above[x]
        nearest = min((left, up, corner), key=lambda near: abs(left + up - corner - near))
        plain.append((value + (0, left, up, (left + up) // 2, nearest)[kind]) & 0xFF)
    return bytes(plain)
