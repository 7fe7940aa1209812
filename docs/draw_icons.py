"""Draws the app's two icons, a claw in a speech bubble, into the folder given (default: ../manifest).

    python docs/draw_icons.py [FOLDER]

Only the standard library, and only + - * / on numbers, so every machine gets the same pixels; the compressed
bytes can differ where Python is linked to a different zlib. Teams demands a colour icon of 192x192 on a full
square (Teams rounds the corners) with the symbol in the middle, and an outline of 32x32 in white on transparent:
docs/reference/teams.md, "The package and its icons".
"""

import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

Pixel = tuple[int, int, int, int]
Shape = Callable[[float, float], bool]  # whether the point (x right, y down; the mark is 100x100) lies inside

ACCENT = (0x1B, 0x6B, 0x72)  # the default accentColor of bridge/admin/app_package.py
WHITE = (255, 255, 255)
SAMPLES = 4  # per pixel and direction: smooth edges without floating-point tricks


def disc(x: float, y: float, radius: float) -> Shape:
    return lambda px, py: (px - x) * (px - x) + (py - y) * (py - y) <= radius * radius


def rounded_box(left: float, top: float, right: float, bottom: float, radius: float) -> Shape:
    def inside(x: float, y: float) -> bool:
        dx = max(left + radius - x, 0.0, x - (right - radius))
        dy = max(top + radius - y, 0.0, y - (bottom - radius))
        return dx * dx + dy * dy <= radius * radius

    return inside


def polygon(*corners: tuple[float, float]) -> Shape:
    def inside(x: float, y: float) -> bool:
        odd = False
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
                odd = not odd
        return odd

    return inside


def union(*shapes: Shape) -> Shape:
    return lambda x, y: any(shape(x, y) for shape in shapes)


def minus(shape: Shape, *holes: Shape) -> Shape:
    return lambda x, y: shape(x, y) and not any(hole(x, y) for hole in holes)


def bubble(inset: float = 0) -> Shape:
    """The speech bubble with a tail at the lower left, smaller by `inset` on all sides."""
    box = rounded_box(inset, inset, 100 - inset, 80 - inset, 24 - inset)
    tail = polygon((20 + inset, 60), (20 + inset, 100 - 2.4 * inset), (54 - 1.4 * inset, 70))
    return union(box, tail)


def talon(x: float, y: float, length: float) -> Shape:
    """A mark of the claw: a disc without the overlap with a larger disc, so a crescent pointed at both ends."""
    near = disc(x - 0.50 * length, y - 0.20 * length, 0.62 * length)
    far = disc(x - 0.79 * length, y - 0.30 * length, 0.73 * length)
    return minus(near, far)


def claw() -> Shape:
    """Three marks side by side, the middle mark longest."""
    return union(talon(38, 47, 40), talon(61, 48, 46), talon(83, 47, 40))


def coverage(shape: Shape, x: int, y: int, scale: float, offset: float) -> int:
    """How many of the pixel's SAMPLES x SAMPLES points lie inside."""
    steps = [(2 * step + 1) / (2 * SAMPLES) for step in range(SAMPLES)]
    return sum(shape((x + dx - offset) / scale, (y + dy - offset) / scale) for dy in steps for dx in steps)


def colour_icon() -> list[list[Pixel]]:
    """192x192: the white bubble with the claw in the accent colour, on a full square of the accent colour."""
    mark = minus(bubble(), claw())

    def pixel(x: int, y: int) -> Pixel:
        if not (36 <= x < 156 and 36 <= y < 156):
            return *ACCENT, 255
        share = coverage(mark, x, y, scale=1.2, offset=36)
        full = SAMPLES * SAMPLES
        red, green, blue = ((a * (full - share) + w * share) // full for a, w in zip(ACCENT, WHITE, strict=True))
        return red, green, blue, 255

    return [[pixel(x, y) for x in range(192)] for y in range(192)]


def outline_icon() -> list[list[Pixel]]:
    """32x32: the bubble's line and the claw; every pixel is white, only the opacity changes."""
    mark = union(minus(bubble(), bubble(20 / 3)), claw())

    def pixel(x: int, y: int) -> Pixel:
        return *WHITE, coverage(mark, x, y, scale=0.3, offset=1) * 255 // (SAMPLES * SAMPLES)

    return [[pixel(x, y) for x in range(32)] for y in range(32)]


def png(rows: list[list[Pixel]]) -> bytes:
    """An 8-bit RGBA PNG without interlacing: https://www.w3.org/TR/png-3/#11Chunks."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 6, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(value for pixel in row for value in pixel) for row in rows)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def main(folder: Path) -> None:
    (folder / "color.png").write_bytes(png(colour_icon()))
    (folder / "outline.png").write_bytes(png(outline_icon()))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "manifest")
