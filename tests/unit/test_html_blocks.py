"""Lists and tables that an agent writes in HTML arrive as lists and tables; a sentence below a table is no row."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bridge.core.markdown.partial import visible_prefix
from bridge.core.markdown.render import render_answer, render_whole

PARSER = MarkdownIt("commonmark")


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n- Two"),
        ("<ul>\n  <li>One</li>\n\n  <li>Two <b>x</b></li>\n</ul>\nThen.", "- One\n- Two **x**\n\nThen."),
        ("Steps:<ol start=3><li>a<li>b</ol>done", "Steps:\n\n3. a\n4. b\n\ndone"),
        ("<OL><LI><P>a</P><UL><LI>b</LI></UL></LI></OL>", "1. a\n   - b"),
        ('<ul class="x"><li><a href="https://x.y/z">page</a></li></ul>', "- [page](https://x.y/z)"),
        ("<dl><dt>Term</dt><dd>Words</dd></dl>", "- **Term**\n  - Words"),
        ("<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>", "```\nA  B\n─  ─\n1  2\n```"),
        (
            "<table>\n<thead>\n<tr><th>A</th></tr>\n</thead>\n\n<tbody>\n<tr><td>1 | 2</td></tr>\n</tbody>\n</table>",
            "```\nA\n─────\n1 | 2\n```",
        ),
        ("<table><caption>Sums</caption><tr><td>a<td>b<tr><td colspan=2>c</table>", "Sums\n\n```\na  b\n─  ─\nc\n```"),
        (
            '<table><tr><td>Page</td></tr><tr><td><a href="https://x.y">it</a></td></tr></table>',
            "**Page:** [it](https://x.y)",
        ),
        ("<table><tr><td>a</td><td><ul><li>b</li></ul></td></tr></table>", "```\na   • b\n─  ────\n```"),
        ("<ul><!-- no words --><li>a<!-- x --></li></ul>", "- a"),
        (
            "- Step one:\n  <ul>\n  <li>a</li>\n  <li>b</li>\n  </ul>\n- Step two",
            "- Step one:\n  - a\n  - b\n- Step two",
        ),
        ("1. One <ul><li>a</li></ul>\n2. Two", "1. One\n   - a\n2. Two"),
        (
            "- Sums:\n  <table><tr><td>a</td></tr></table>\n- Two",
            "- Sums:\n\n  ```\n  a\n  ─\n  ```\n\n- Two",
        ),
        ("- one <ul><li>x\n- two</li></ul>", "- one &lt;ul>&lt;li>x\n- two&lt;/li>&lt;/ul>"),
        ("> <ul><li>a</li></ul>", "> &lt;ul>&lt;li>a&lt;/li>&lt;/ul>"),
        ("Use `<ul><li>` for lists", "Use `<ul><li>` for lists"),
        ("<ul>words<li>x</li></ul>", "&lt;ul>words&lt;li>x&lt;/li>&lt;/ul>"),
        ("<ul><li>never closed", "&lt;ul>&lt;li>never closed"),
        ("```\n<ul><li>a</li></ul>\n```", "```\n<ul><li>a</li></ul>\n```"),
    ],
)
def test_lists_and_tables_in_html_become_what_teams_shows(html: str, shown: str) -> None:
    assert render_whole(html) == shown


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |\nThat is all.", "```\na  b\n─  ─\n1  2\n```\n\nThat is all."),
        ("| a | b |\n|---|---|\n| 1 | 2 |\nUse `x | y` then.", "```\na  b\n─  ─\n1  2\n```\n\nUse `x | y` then."),
        ("a | b\n---|---\n1 | 2\nThat is all.", "```\na  b\n─  ─\n1  2\n```\n\nThat is all."),
        ("> | a |\n> |---|\n> | 1 |\n> Said.", "> ```\n> a\n> ─\n> 1\n> ```\n>\n> Said."),
        ("- x\n\n  | a |\n  |---|\n  | 1 |\n  Said.", "- x\n\n  ```\n  a\n  ─\n  1\n  ```\n\n  Said."),
        ("| a |\n|---|\n**Note:** all.", "```\na\n─\n```\n\n**Note:** all."),
    ],
)
def test_a_sentence_glued_below_a_table_is_no_row(table: str, shown: str) -> None:
    assert render_whole(table) == shown


WORDS = st.text(st.sampled_from("abc xyz.é汉"), min_size=1, max_size=12).map(str.strip).filter(bool)
SENTENCE = st.lists(st.sampled_from(["So", "that", "is", "all", "`a | b`", "**x**", "we", "saw."]), min_size=1).map(
    " ".join
)
SPACE = st.sampled_from(["", "\n", "\n\n", "\n  ", " "])


@st.composite
def html_lists(draw: st.DrawFn, levels: int = 3) -> str:
    """A list in HTML, with and without closing tags of items, with any white space between the tags."""
    tag, space = draw(st.sampled_from(["ul", "ol"])), draw(SPACE)
    items = []
    for _ in range(draw(st.integers(1, 3))):
        inner = draw(html_lists(levels - 1)) if levels > 1 and draw(st.booleans()) else ""
        items.append(f"<li>{draw(WORDS)}{inner}{draw(st.sampled_from(['</li>', '']))}{space}")
    return f"<{tag}>{space}{''.join(items)}</{tag}>"


@st.composite
def html_tables(draw: st.DrawFn) -> str:
    space, columns = draw(SPACE), draw(st.integers(1, 4))
    rows = [
        "<tr>" + space + "".join(f"<td>{draw(WORDS)}</td>{space}" for _ in range(columns)) + "</tr>" + space
        for _ in range(draw(st.integers(1, 4)))
    ]
    return f"<table>{space}{''.join(rows)}</table>"


HTML = html_lists() | html_tables()


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-cx-zé汉.]+", re.sub(r"<[^>]*>|\bul\b|\bol\b", " ", text))


@settings(max_examples=150, deadline=None)
@given(html_lists())
def test_any_list_in_html_keeps_its_items_and_levels(html: str) -> None:
    text = render_whole(html)
    items = [token for token in PARSER.parse(text) if token.type == "list_item_open"]
    deepest = max(token.level for token in items) // 2 + 1

    assert len(items) == html.count("<li>")
    assert "<" not in text
    assert words_of(re.sub(r"^ *(?:-|\d+\.) ", "", text, flags=re.MULTILINE)) == words_of(html)
    level = most = 0
    for tag in re.findall(r"</?[uo]l>", html):
        level += -1 if "/" in tag else 1
        most = max(most, level)
    assert deepest == most


@settings(max_examples=150, deadline=None)
@given(html_tables())
def test_any_table_in_html_keeps_its_cells(html: str) -> None:
    text = render_whole(html)

    assert "<" not in text
    assert set(words_of(html)) <= set(words_of(text))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds("{}{}".format, st.sampled_from(["", "", "- ", "1. ", "  ", "- a "]), HTML | SENTENCE), max_size=5
    ).map("\n".join)
)
def test_a_growing_answer_with_html_only_grows(answer: str) -> None:
    finished, first, before = render_whole(answer), (*render_answer(answer), "")[0], ""
    for end in range(len(answer) + 1):
        visible = visible_prefix(answer[:end])
        assert visible.startswith(before), answer[:end]
        assert finished.startswith(visible), answer[:end]
        assert first.startswith(visible)
        before = visible


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), SENTENCE, st.booleans())
def test_a_sentence_below_any_table_is_shown_below_the_table(columns: int, rows: int, words: str, outer: bool) -> None:
    edge = "|" if outer or columns == 1 else ""
    if not edge and "|" in words:
        words = words.replace("|", "or")
    lines = [edge + "|".join(f" c{row}x{column} " for column in range(columns)) + edge for row in range(rows + 1)]
    lines.insert(1, edge + "|".join("---" for _ in range(columns)) + edge)
    table = "\n".join(lines)

    assert render_whole(f"{table}\n{words}") == f"{render_whole(table)}\n\n{words}"


@pytest.mark.parametrize(
    "piece", ["<ul><li>x</li></ul>", "<ul><li>", "<ul>", "<table><tr><td>", "<li>", "</ul>", "`<ul>", "<ul", "<td>a"]
)
def test_hostile_html_takes_bearable_time(piece: str) -> None:
    began = time.perf_counter()

    assert render_answer("<ul>" + piece * 20_000)
    assert time.perf_counter() - began < 5
