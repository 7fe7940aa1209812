"""Draws what agents write beside how it is shown, to be looked at: `python docs/draw_golden.py FOLDER`.

Each document of `tests/golden` as its source, as Teams shows it on a desktop, and on a phone held upright (360 px): the
chat page's own modules and style sheets draw the message, in frames of these widths in a headless Chromium, and FOLDER
gets pictures of a few documents each. The Markdown is read as Teams' documentation has it, not by Teams.
"""

from __future__ import annotations

import html
import json
import mimetypes
import sys
from pathlib import Path

from playwright.sync_api import Page, Route, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.chromium import CHROMIUM

from bridge.core.markdown.render import render_answer
from bridge.simulator import teams
from bridge.simulator.teams.markdown import render
from bridge.simulator.teams.messages import BOT_SENDER, Message, page_form

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
STATIC = Path(teams.__file__).parent / "static"
ORIGIN = "http://golden.test"
DESKTOP, PHONE, A_PICTURE = 800, 360, 6  # pixels, pixels, documents
STYLES = "".join(f'<link rel="stylesheet" href="/static/{name}.css">' for name in ("style", "talk"))

SHEET = f"""<!doctype html><meta charset=utf-8><title>Golden renderings</title><style>
body {{ font: 13px/18px system-ui, sans-serif; margin: 16px; background: #cfd6d8 }}
section {{ display: grid; grid-template-columns: 420px {DESKTOP}px {PHONE}px; gap: 16px; align-items: start }}
pre {{ margin: 0; padding: 8px; background: #fff; font: 12px/17px monospace; white-space: pre-wrap;
  overflow-wrap: anywhere }}
iframe {{ border: 0; width: 100% }}
</style>"""
SHOWN = f"""<!doctype html><meta charset=utf-8>{STYLES}<style>html, body, .log {{ height: auto }}</style>
<main class="conversation"><div class="log" id="log"></div></main>
<script type="module">
import {{ messageShell, updateMessage }} from "/static/message.js";
import {{ store }} from "/static/state.js";
store.person = "alice";
store.state = {{ people: [], chats: [], bot: {{ name: "GoClaw" }} }};
for (const message of MESSAGES) {{
  const element = messageShell(message);
  updateMessage(element, {{ message, continued: false, latest: false, inThread: false, redraw: () => {{}} }});
  document.getElementById("log").append(element);
}}
document.documentElement.dataset.drawn = "";
</script>"""


def shown(source: Path) -> str:
    """The page's messages of one answer."""
    parts = render_answer(source.read_text("utf-8"))
    messages = [
        Message(
            str(number),
            "chat",
            None,
            "2026-01-05T09:30:00Z",
            BOT_SENDER,
            "",
            part,
            render(part, "markdown"),
            ai=True,
            feedback=number == len(parts),
        )
        for number, part in enumerate(parts, 1)
    ]
    told = json.dumps([page_form(message) for message in messages]).replace("<", "\\u003c")
    return SHOWN.replace("MESSAGES", told)


def sheet(sources: list[Path]) -> str:
    """Some documents, three times each."""
    rows = "".join(
        f"<h2>{source.stem}</h2><section><pre>{html.escape(source.read_text('utf-8'))}</pre>"
        + f'<iframe src="/shown/{source.name}"></iframe>' * 2
        + "</section>"
        for source in sources
    )
    return SHEET + rows


def serve(route: Route) -> None:
    """The sheets, the messages, and the chat page's own files."""
    _, kind, name = route.request.url.removeprefix(ORIGIN).split("/", 2)
    match kind:
        case "static":
            route.fulfill(body=(STATIC / name).read_bytes(), content_type=mimetypes.guess_type(name)[0])
        case "shown":
            route.fulfill(body=shown(GOLDEN / name), content_type="text/html")
        case _:
            route.fulfill(body=sheet([GOLDEN / one for one in name.split(",")]), content_type="text/html")


def draw(page: Page, sources: list[Path], to: Path) -> None:
    """One picture; says which document makes the page scroll sideways."""
    page.goto(f"{ORIGIN}/sheet/{','.join(source.name for source in sources)}")
    for frame in page.frames[1:]:
        frame.wait_for_selector("html[data-drawn]", state="attached")
        frame.frame_element().evaluate("(frame) => frame.style.height = frame.contentDocument.body.scrollHeight + 'px'")
        if frame.evaluate("document.getElementById('log').scrollWidth > innerWidth"):
            print(f"{frame.url}: wider than its window")
    page.screenshot(path=to, full_page=True)


def main(folder: Path) -> None:
    sources = sorted(path for path in GOLDEN.glob("*.md") if not path.name.endswith(".teams.md"))
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 420 + DESKTOP + PHONE + 64, "height": 800}, reduced_motion="reduce")
        page.route(f"{ORIGIN}/**", serve)
        for first in range(0, len(sources), A_PICTURE):
            draw(page, sources[first : first + A_PICTURE], folder / f"golden-{first + 1:02}.png")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/draw_golden.py FOLDER")
    main(Path(sys.argv[1]))
