"""Messages written in Teams' editor reach the agent as readable Markdown."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.inbound.html_to_markdown import html_to_markdown, plain_echo

REPLY = (
    '<div><blockquote itemscope itemtype="http://schema.skype.com/Reply" itemid="1600457867820">'
    '<strong itemprop="mri" itemid="8:orgid:0">Jane Doe</strong><span itemprop="time" itemid="1">t</span>'
    '<p itemprop="preview">first<br>second</p></blockquote><p>/stop</p></div>'
)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>&nbsp;</p><p>b</p>", "a\n\nb"),
        ("<div>a</div><div>b<br>c</div>", "a\nb\nc"),
        ("a<b> bold </b>and <em>it</em> <s>gone</s>", "a **bold** and *it* ~~gone~~"),
        ("<b><strong>x</strong></b><i> </i>y", "**x** y"),
        ("<h2>Title</h2>text<hr>", "## Title\n\ntext\n\n---"),
        ("<ul><li>a<ol start='3'><li>x</li><li>y</li></ol></li><li>b</li></ul>", "- a\n  3. x\n  4. y\n- b"),
        ("<ul><li>a</li><ul><li>sub</li></ul><li>b</ul>", "- a\n  - sub\n- b"),
        ("use <code>x `y`</code>", "use `` x `y` ``"),
        ("<pre>a\n  b</pre>", "```\na\n  b\n```"),
        (
            '<codeblock class="Python"><code>if x:<br>&nbsp;&nbsp;y &lt; 2</code></codeblock>',
            "```python\nif x:\n  y < 2\n```",
        ),
        (
            "<table><tr><td><p>A</p></td><td>B</td></tr><tr><td>1|2</td><td>x<br>y</td></tr></table>",
            "| A | B |\n| --- | --- |\n| 1\\|2 | x y |",
        ),
        ('<a href="https://x.y/">https://x.y</a>', "https://x.y"),
        ('<a href="https://x.y/(a)">label</a>', "[label](https://x.y/%28a%29)"),
        ('<a href="javascript:x">label</a>', "label"),
        ('<img itemtype="http://schema.skype.com/Emoji" alt="😀"> <emoji alt="🎉">x</emoji>', "😀 🎉"),
        ('<emoji alt="🎉"/> <attachment id="1"/>ok', "🎉 ok"),
        ("<blockquote>a<br>b</blockquote>c", "> a\n> b\n\nc"),
        (REPLY, "> Jane Doe: first\n> second\n\n/stop"),
        ("1 < 2 &amp; 3 &unknown; <!-- note -->end <!-- open", "1 < 2 & 3 &unknown; end <!-- open"),
        ("<style>x</style><script>if (a<b) {}</script>shown", "shown"),
        ('<span title="a<b">x</span>', "x"),
        ("a\x00b&#0;&#xD800;c", "ab\ufffd\ufffdc"),
        ("", ""),
    ],
)
def test_html_becomes_markdown(html: str, text: str) -> None:
    assert text == html_to_markdown(html)


def test_a_table_pasted_from_excel_keeps_its_columns() -> None:
    html = (
        "<table border=0 cellpadding=0><colgroup><col width=87><col width=64 span=3></colgroup><tbody>"
        '<tr height=20><td rowspan=2 height=40 class=xl65>Region</td><td colspan="2">2025</td><td colspan="2">2026</td>'
        "</tr><tr><td>Plan</td><td>Actual</td><td>Plan</td><td>Actual</td></tr>"
        '<tr><td rowspan="2">North</td><td>1</td><td>2</td><td>3</td><td>&nbsp;</td></tr>'
        "<tr><td>5</td><td>6</td><td>7</td><td>8</td></tr></tbody></table>"
    )

    assert html_to_markdown(html).splitlines() == [
        "| Region | 2025 |  | 2026 |  |",
        "| --- | --- | --- | --- | --- |",
        "|  | Plan | Actual | Plan | Actual |",
        "| North | 1 | 2 | 3 |  |",
        "|  | 5 | 6 | 7 | 8 |",
    ]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_each_cell_of_a_merged_table_stands_in_its_own_column(data: st.DataObject) -> None:
    """A grid is filled with merged cells of random size, as Excel writes the grid: each cell at its top left corner."""
    height, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    taken: set[tuple[int, int]] = set()
    corners: dict[tuple[int, int], str] = {}
    html = "<table>"
    for row in range(height):
        html += "<tr>"
        for column in range(width):
            if (row, column) in taken:
                continue
            columns = data.draw(st.integers(1, width - column))
            free = next((n for n in range(columns) if (row, column + n) in taken), columns)
            rows = data.draw(st.integers(1, height - row))
            taken |= {(row + down, column + right) for down in range(rows) for right in range(free)}
            corners[row, column] = f"w{row}{column}"
            html += f'<td colspan="{free}" rowspan="{rows}">w{row}{column}</td>'
        html += "</tr>"

    lines = html_to_markdown(html + "</table>").splitlines()

    own_rows = sorted({row for row, _ in corners})
    cells = [line[2:-2].split(" | ") for line in (lines[0], *lines[2:])]
    assert [(row, column, cells[at][column]) for at, row in enumerate(own_rows) for column in range(width)
            if (row, column) in corners] == [(*corner, word) for corner, word in sorted(corners.items())]  # fmt: skip


@pytest.mark.parametrize("span", ["", "x", "0", "-3", "2.7", "+2", " 2", "99999999999999", "٣", "1000"])
@pytest.mark.parametrize("name", ["colspan", "rowspan"])
def test_a_strange_span_loses_no_word_and_makes_no_giant(name: str, span: str) -> None:
    text = html_to_markdown(f'<table><tr><td {name}="{span}">one</td></tr><tr><td>two</td></tr></table>')

    assert re.findall(r"one|two", text) == ["one", "two"]
    assert len(text) < 500


def test_the_caller_decides_the_text_of_mentions() -> None:
    html = (
        '<p><at id="0">Bot</at>&nbsp;ask <span itemtype="http://schema.skype.com/Mention" itemid="1">'
        "<span>Ann</span> Lee</span>, <at>Bo</at></p>"
    )

    assert html_to_markdown(html) == "Bot ask Ann Lee, Bo"
    assert html_to_markdown(html, lambda ident, name: "" if ident == "0" else f"{ident}@{name}") == "ask 1@Ann Lee, @Bo"


@pytest.mark.parametrize(
    ("html", "text", "echo"),
    [
        ("<p>Hello</p>", "Hello", True),
        ("<div><div>Hello&nbsp;you &amp; me</div>\n</div>", "Hello you & me", True),
        ("Hello", "Hello", True),
        ("<p>a<br>b</p>", "a b", False),
        ("<p><strong>Hello</strong></p>", "Hello", False),
        ("<p>Hello</p>", "<at>Bot</at> Hello", False),
        ("<p>one</p><p>two</p>", "one two", False),
    ],
)
def test_an_attachment_that_only_repeats_the_text_is_recognised(html: str, text: str, echo: bool) -> None:
    assert plain_echo(html, text) == (text if echo else None)


HOSTILE = [
    "<a ",
    "<!--",
    "<a \"'",
    "<a b='",
    "<b>",
    "<ul><li>",
    "<blockquote>",
    "<td>",
    "</b>",
    "<pre>",
    "<br>x",
    "&#9",
    "<table><tr><td colspan=1000 rowspan=0>",
    "<td colspan=1000 rowspan=65534>x",
    "<tr><td colspan=1000 rowspan=0>x",
    "<tr><td rowspan=65534>x<td colspan=9>",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_html_takes_linear_time(piece: str) -> None:
    """Quadratic parsing of 4,000 pieces takes up to 3 s with html.parser."""
    started = time.process_time()

    html_to_markdown(piece * 4_000)

    assert time.process_time() - started < 1


def test_a_character_reference_of_thousands_of_digits_is_replaced() -> None:
    assert html_to_markdown("&#" + "9" * 10_000 + ";") == "\ufffd"


TAGS = ["p", "b", "ul", "ol", "li", "table", "tr", "td", "pre", "code", "blockquote", "span", "at", "h1", "div"]
PIECE = st.sampled_from(
    [*(f"<{tag}>" for tag in TAGS), *(f"</{tag}>" for tag in TAGS), "<a href=x>", "</a>", "<br>", "<hr/>"]
) | st.sampled_from(["<", ">", "&", "&lt;", "\n", "`", "|", "<!"])
WORD = st.integers(10, 99).map(" w{} ".format)


@settings(max_examples=30, deadline=None)
@given(st.lists(PIECE | WORD, max_size=30).map("".join))
def test_no_word_is_lost_whatever_the_markup(html: str) -> None:
    words = re.findall(r"w\d\d", html)

    text = html_to_markdown(html)

    assert sorted(re.findall(r"w\d\d", text)) == sorted(words)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(html: str) -> None:
    html_to_markdown(html).encode("utf-8")
    plain_echo(html, html)
