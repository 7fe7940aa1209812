"""Draws what agents write beside how it is shown, to be looked at: `python docs/draw_golden.py golden.html`.

Each document of `tests/golden` as its source, as Teams shows it on a desktop, and on a phone held upright (360 px). The
Markdown is rendered by the simulator's reading of Teams' documentation, not by Teams.
"""

from __future__ import annotations

import html
import sys
from pathlib import Path

from bridge.core.render import render_answer
from bridge.simulator.teams.markdown import render

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"

STYLE = """
body { font: 14px/20px "Segoe UI", system-ui, sans-serif; margin: 16px; background: #f5f5f5; color: #242424 }
section { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr) 360px; gap: 16px; margin-bottom: 32px }
h2 { font-size: 16px; margin: 0 0 8px }
.source, .shown { background: #fff; border-radius: 6px; padding: 8px 16px; overflow-x: auto }
.source { white-space: pre-wrap; font: 12px/17px monospace; overflow-wrap: anywhere }
.shown { overflow-wrap: anywhere }
.shown pre { background: #f0f0f0; padding: 8px; overflow-x: auto; font: 12px/17px monospace }
.shown code { background: #f0f0f0; font: 12px monospace; padding: 0 2px }
.shown blockquote { border-left: 3px solid #c7c7c7; margin-left: 0; padding-left: 12px }
.shown p { margin: 8px 0 } .shown ul, .shown ol { padding-left: 24px } .shown p + pre { margin-top: 0 }
"""


def drawn(source: Path) -> str:
    """One document, three times."""
    text = source.read_text("utf-8")
    shown = "<hr>".join(render(part, "markdown") for part in render_answer(text))
    columns = f'<div class="source">{html.escape(text)}</div>' + f'<div class="shown" dir="auto">{shown}</div>' * 2
    return f"<h2>{html.escape(source.stem)}</h2><section>{columns}</section>"


def main(to: str) -> None:
    sources = sorted(path for path in GOLDEN.glob("*.md") if not path.name.endswith(".teams.md"))
    body = "".join(map(drawn, sources))
    page = f"<!doctype html><meta charset=utf-8><title>Golden renderings</title><style>{STYLE}</style>{body}"
    Path(to).write_text(page, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/draw_golden.py FILE.html")
    main(sys.argv[1])
