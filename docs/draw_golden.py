"""Draws pictures of agents' answers, source beside rendering: `python docs/draw_golden.py FOLDER`.

A picture shows a few documents of `tests/golden`, each as source, as shown on a desktop, and as shown on a phone held
upright (360 px). The chat page's own modules and style sheets draw the messages, in frames of both widths in a headless
Chromium. The Markdown is rendered by the rules of Teams' documentation, not by Teams.
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
STYLES = "".join(f'<link rel="stylesheet" href="/static/{name}.css">' for name in ("style", "messages"))

SHEET = f"""<!doctype html><meta charset=utf-8><title>Golden renderings</title><style>
body {{ font: 13px/18px system-ui, sans-serif; margin: 16px; background: #cfd6d8 }}
section {{ display: grid; grid-template-columns: 420px {DESKTOP}px {PHONE}px; gap: 16px; align-items: start }}
pre {{ margin: 0; padding: 8px; background: #fff; font: 12px/17px monospace; white-space: pre-wrap;
  overflow-wrap: anywhere }}
iframe {{ border: 0; width: 100% }}
</style>"""
PAGE = f"""<!doctype html><meta charset=utf-8>{STYLES}<style>html, body, .log {{ height: auto }}</style>
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


def message_page(source: Path) -> str:
    """An HTML page with the messages of a single answer."""
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
    messages_json = json.dumps([page_form(message) for message in messages]).replace("<", "\\u003c")
    return PAGE.replace("MESSAGES", messages_json)


def sheet(sources: list[Path]) -> str:
    """An HTML page with several documents, three times each."""
    rows = "".join(
        f"<h2>{source.stem}</h2><section><pre>{html.escape(source.read_text('utf-8'))}</pre>"
        + f'<iframe src="/shown/{source.name}"></iframe>' * 2
        + "</section>"
        for source in sources
    )
    return SHEET + rows


def serve(route: Route) -> None:
    """Answer the browser's requests: sheets, messages, and the chat page's own files."""
    _, kind, name = route.request.url.removeprefix(ORIGIN).split("/", 2)
    match kind:
        case "static":
            route.fulfill(body=(STATIC / name).read_bytes(), content_type=mimetypes.guess_type(name)[0])
        case "shown":
            route.fulfill(body=message_page(GOLDEN / name), content_type="text/html")
        case _:
            route.fulfill(body=sheet([GOLDEN / document for document in name.split(",")]), content_type="text/html")


def draw(page: Page, sources: list[Path], to: Path) -> None:
    """Save a picture of `sources` in the file `to`; print the documents wider than the window."""
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
