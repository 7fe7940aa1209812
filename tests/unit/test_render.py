"""Answers of the agent arrive in Teams readable, complete and harmless."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bridge.core.markdown.blocks import blocks
from bridge.core.markdown.dialect import to_teams
from bridge.core.markdown.render import render_answer, without_parsing
from bridge.core.markdown.split import units
from bridge.core.teams_limits import PART_UNITS

PROSE = (
    "Thank you for the question. Here is what I found in the **knowledge base**: the request was received, "
    "checked and filed; the next step is a short review by the owning team.\n\n- first, read the summary\n"
    "- then confirm the `dates`\n- finally, sign the form"
)


def rendered(markdown: str) -> str:
    (part,) = render_answer(markdown)
    return part


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        f"{PROSE}\n\n{PROSE}\n\n{PROSE}",
        "One line.",
        "Xin chào, 你好 🙂\n\nTwo paragraphs with *italic*, `code` and ~~strike~~ inside, at 10:30.",
        "**Bold** first\n\n1. one\n2. two\n\nthen\n\n* star",
        "It costs 5 - 3 = 2 (really)!",
    ],
)
def test_ordinary_prose_is_sent_unchanged(text: str) -> None:
    (part,) = render_answer(text)

    assert part is text


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "- ",
                "* ",
                "1. ",
                "2) ",
                "\n",
                "\n\n",
                "\n- ",
                "\n* ",
                "\n1. ",
                "a",
                "*b*",
                "**",
                "`c`",
                "` d`",
                "~~",
                "]",
                " ",
                "a.",
                "_",
                "2",
                "*",
                "\xa0",
            ]
        )
    )
)
def test_text_rendered_without_parsing_equals_the_parsers_rendering(pieces: list[str]) -> None:
    text = "".join(pieces)
    parsed = "\n\n".join(filter(None, (to_teams(block).strip("\n ") for block, _ in blocks(text))))

    assert without_parsing(text) in (None, parsed)


@pytest.mark.parametrize(
    "text",
    [
        "What to do:\n- read **it**\n- sign it\nThen wait.",
        "- a\n- b\nprose\n\n1. c\n2. d\nprose\n1) e",
        "prose\n* a\nprose",
    ],
)
def test_prose_and_flat_lists_need_no_parser(text: str) -> None:
    lines = without_parsing(text)

    assert lines is not None
    assert lines.replace("\n\n", "\n") == text.replace("\n\n", "\n")
    assert lines == "\n\n".join(to_teams(block).strip("\n ") for block, _ in blocks(text))


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Title", "**Title**"),
        ("## A **b** `c`", "**A b `c`**"),
        ("Title\n===", "**Title**"),
        ("Title\n---\ntext", "**Title**\n\ntext"),
        (f"{'long ' * 9}line\n---\ntext", f"{'long ' * 9}line\n\n———\n\ntext"),
        ("two\nlines\n===", "two  \nlines\n\n———"),
        ("- item\ntext\n- item", "- item\n\ntext\n\n- item"),
        ("so[^1] and [^b]: c\n\n[^1]: Note.\n[^b]: Other.", "so[1] and [b\\]: c\n\n[1] Note.  \n[b] Other."),
        ("# 2 ** 3", r"**2 \*\* 3**"),
        ("one\ntwo", "one  \ntwo"),
        ("one\r\n\r\ntwo", "one\n\ntwo"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb"),
        ("a<br>b", "a  \nb"),
        ("- [ ] open\n- [x] done", "- ☐ open\n- ☑ done"),
        ("- a\n  - b\n    1. c\n    2. d", "- a\n  - b\n    1. c\n    2. d"),
        ("- a\n\n  second\n- b", "- a\n\n  second\n\n- b"),
        ("3. three\n4. four\n\n    code", "3. three\n4. four\n\n   code"),
        ("> quoted\n> more\n>\n> - item", "> quoted  \n> more\n>\n> - item"),
        ("```python\nx = 1\n```", "```python\nx = 1\n```"),
        ("~~~\nnever closed", "```\nnever closed\n```"),
        ("````\n```\n````", "````\n```\n````"),
        ("    indented", "```\nindented\n```"),
        ('```sh title="a b"\nls\n```', 'title="a b"\n\n```sh\nls\n```'),
        ("![chart](https://x.y/c.png)", "[chart](https://x.y/c.png)"),
        ("![](https://x.y/c.png)", "[🖼](https://x.y/c.png)"),
        ("![chart](sandbox:/c.png)", "chart"),
        ("[![badge](https://x/b.svg)](https://x/)", "[badge](https://x/)"),
        ("[file](sandbox:/mnt/a.csv)", "file"),
        ("[run](javascript:alert(1))", "run"),
        ("[local](notes/a.md)", "local"),
        ('[l](https://x.y/a_(b) "T")', '[l](https://x.y/a_%28b%29 "T")'),
        ("[mail](mailto:a@b.c)", "[mail](mailto:a@b.c)"),
        ("<https://x.y>", "[https://x.y](https://x.y)"),
        ("[a][1] and [1]\n\n[1]: https://x.y", "[a](https://x.y) and [1]\n\n[1] https://x.y"),
        (
            'text [1]\n\n[1]: https://x.y "A [b]"\n[x]: <https://x.y>',
            "text [1]\n\n[1] [A \\[b\\]](https://x.y)  \n[x] https://x.y",
        ),
        (
            "[a][]\n[1][2]\n\n[A]: https://x.y\n[2]: https://x.z",
            "[a](https://x.y)  \n[1][2]\n\n[2] https://x.z",
        ),
        ("2*3*4 is *not* 2 * 3, 5*x*", r"2\*3\*4 is *not* 2 * 3, 5*x*"),
        ("[Note]: see", r"[Note\]: see"),
        (r"\*no\* &copy; AT&T \# x", r"\*no\* © AT&T \# x"),
        ("`a | b` [1] x_y_z", "`a | b` [1] x_y_z"),
        ("``` a`b ```", "``a`b``"),
        ("`` `a` ``", "`` `a` ``"),
        ("", ""),
    ],
)
def test_markdown_becomes_what_teams_shows(markdown: str, expected: str) -> None:
    assert expected == "".join(render_answer(markdown))


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("a <b>bold</b>, <EM>soft</EM> and <s>gone</s>", "a **bold**, *soft* and ~~gone~~"),
        ("<h2 id='x'>Title</h2>\n<p>Text.</p>", "**Title**  \nText."),
        ("Press <kbd>Ctrl</kbd>+<kbd>C</kbd>: x<sup>2</sup>, H<sub>2</sub>O", "Press `Ctrl`+`C`: x², H₂O"),
        ("<div>\n\nwords\n\n</div>", "words"),
        ("use `<b>x</b>` for <b>`bold`</b>", "use `<b>x</b>` for &lt;b>`bold`&lt;/b>"),
        ("a < b and c > d, <p", "a &lt; b and c > d, &lt;p"),
    ],
)
def test_html_tags_for_looks_become_markdown(markdown: str, expected: str) -> None:
    assert rendered(markdown) == expected


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("$x^2$ is *not* $a_1 * b_1$", "`x²` is *not* `a₁ * b₁`"),
        (r"\(\alpha\), \[x+1\] and $$y$$ in words", "`α`, `x+1` and `y` in words"),
        (r"# Area $A = \pi r^{2}$", "**Area `A = π r²`**"),
        (r"$$\frac{a+b}{2} \leq \sqrt{x}$$", "```\n(a+b)/2 ≤ √x\n```"),
        ("so\n\\[\nE = mc^2 \\\\\nx_{ij}\n\\]\nthen", "so\n\n```\nE = mc²\nxᵢⱼ\n```\n\nthen"),
        ("- $$x$$\n- b", "- ```\n  x\n  ```\n- b"),
        (r"$\begin{x}a_1\end{x}$", r"`\begin{x}a_1\end{x}`"),
        ("$f^{**}$ `$x$` $n$", "`f^(**)` `$x$` `n`"),
        ("$5 and $10, or $20/month, US$5-US$10", "$5 and $10, or $20/month, US$5-US$10"),
        ("$HOME/bin:$PATH", "$HOME/bin:$PATH"),
        (r"see \[1\], $$a$$ and $$b$$", r"see \[1\], `a` and `b`"),
        (r"\[ never closed", r"\[ never closed"),
        ("$$\nnever closed\n\nend", "$$  \nnever closed\n\nend"),
    ],
)
def test_math_stays_readable_and_is_never_taken_for_emphasis(markdown: str, expected: str) -> None:
    assert rendered(markdown) == expected


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("<at>Bob</at>", "&lt;at>Bob&lt;/at>"),
        (r"\<at>Bob</at>", "&lt;at>Bob&lt;/at>"),
        ("&lt;at&gt;Bob", "&lt;at&gt;Bob"),
        ("&amp;lt;at>", "&amp;lt;at>"),
        ("`<at>Bob</at>`", "`<\u200bat>Bob<\u200b/at>`"),
        ("```\n<AT id=0>\n```", "```\n<\u200bAT id=0>\n```"),
        ("<script>x</script>", "&lt;script>x&lt;/script>"),
        ("<table>\n# Title\n</table>", "&lt;table>\n\n**Title**\n\n&lt;/table>"),
        ("<p><at>Bob</at></p>", "&lt;at>Bob&lt;/at>"),
        ("<<p>at>Bob<<u></u>/at>", "&lt;&lt;p>at>Bob&lt;&lt;u>&lt;/u>/at>"),
        ("<b><at></b> <b onclick='x'>bold</b> <b>~</b>", "&lt;b>&lt;at>&lt;/b> **bold** &lt;b>~&lt;/b>"),
        ("~<p>~~\n`<i>``", "~&lt;p>~~  \n`&lt;i>``"),
        ("[x]<p>(javascript:z) <b>[x</b>](javascript:z)", "[x]&lt;p>(javascript:z) &lt;b>x&lt;/b>"),
        ("```html-widget\n{}\n```", "```\n{}\n```"),
        ("~~~ HTML\\-Widget\n{}\n~~~", "```\n{}\n```"),
        ("x<br>``` html-widget", "x  \n\\`\\`\\` html-widget"),
        ("[[x]](sandbox:y)(javascript:z)", r"[x\](javascript:z)"),
        ("[foo]![(javascript:x)](sandbox:a)", r"[foo\](javascript:x)"),
        (r"[a\](javascript:z)", r"[a\](javascript:z)"),
        ("[x]: javascript:z\n[x]", "[x\\]: javascript:z  \n[x]"),
    ],
)
def test_an_agent_can_neither_mention_nor_inject(markdown: str, expected: str) -> None:
    assert expected == rendered(markdown)


def test_a_narrow_table_is_aligned_in_code() -> None:
    text = rendered("| Name | Qty |\n|---|--:|\n| **Apple** | 3 |\n| 苹果 | 14 |")

    assert text == "```\nName   Qty\n─────  ───\nApple    3\n苹果    14\n```"


def test_a_wide_table_becomes_labelled_rows() -> None:
    wide = "a description that is far too long for a phone"

    text = rendered(f"| Name | About |\n|---|---|\n| A | {wide} |\n| B | short |")

    assert text == f"**Name:** A  \n**About:** {wide}\n\n**Name:** B  \n**About:** short"


def test_a_table_with_links_keeps_them() -> None:
    assert rendered("| L |\n|---|\n| [a](https://x.y) |") == "**L:** [a](https://x.y)"


def test_a_table_row_with_too_many_cells_loses_no_cell() -> None:
    assert rendered("> |a|b|\n> |-|-|\n> |1|2|3|") == "> ```\n> |a|b|\n> |-|-|\n> |1|2|3|\n> ```"


def test_very_deep_nesting_is_shown_as_written() -> None:
    text = rendered(">" * 200 + " deep and " + "![" * 200 + "x" + "](https://y)" * 200)

    assert "deep and" in text
    assert rendered("\n".join("  " * depth + "- item" for depth in range(100))).count("item") == 100


@pytest.mark.parametrize(
    "piece",
    ["[", "![", "[[]", "[a](", "_a*", "> ", "`a``", "$a", "$$", "\\[", "\\[\n", "\\\\[", "\\(", "$$\n", "[a][b]"],
)
def test_hostile_markdown_takes_bearable_time(piece: str) -> None:
    """10,000 "![" took 5 s before brackets of such paragraphs were escaped."""
    started = time.perf_counter()

    assert render_answer(piece * 2_000)

    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("piece", ["[a](", "[a][", "[1] ", "[a](b)", "[a](<b c", "[a](\\(", '[a](b "\\"'])
def test_the_time_for_brackets_grows_linearly_with_their_number(piece: str) -> None:
    """25,000 "[a](" took 10 s while each was compared with all text behind; now half a second."""
    started = time.process_time()

    assert render_answer(piece * (100_000 // len(piece)))

    assert time.process_time() - started < 4


def test_of_a_picture_given_as_data_only_the_words_stay() -> None:
    assert rendered(f"A ![cat](data:image/png;base64,{'QUJD' * 20_000}) and [a dog](https://d.og)") == (
        "A cat and [a dog](https://d.og)"
    )


def test_links_and_sources_stay_however_many_there_are() -> None:
    text = "".join(render_answer('[1] [x](https://x.y) [z](https://x.y/z_(z)) [t](https://t.u "T") ' * 500))

    assert (text.count("[1]"), text.count("[x](https://x.y)")) == (500, 500)
    assert (text.count("[z](https://x.y/z_%28z%29)"), text.count('[t](https://t.u "T")')) == (500, 500)


def test_a_lone_surrogate_and_controls_do_not_get_through() -> None:
    assert rendered("a\ud83d b\x00c\x1b") == "a\ufffd bc"


# Pieces of Markdown around words such as "w7", which must come out again.
WORD = st.integers(0, 99).map("w{}".format)
SPAN = st.one_of(
    WORD,
    st.sampled_from(
        ["**", "*", "_", "~~", "`", "``", "<at>", "</at>", "<b>", "</b>", "<p>", "[", "]", "](", "![", ")", "&lt;", "&"]
    ),
    st.sampled_from(["\\", "|", "#", ">", "-", "1.", "(javascript:x)", "(https://x.y)", "<br>", "```", "~~~", "🙂"]),
)
LINE = st.tuples(
    st.sampled_from(
        ["", "", "", "- ", "  - ", "1. ", "> ", "# ", "    ", "```", "```py", "| ", "|-|-|", "---", "- > "]
    ),
    st.lists(SPAN, max_size=6).map(" ".join) | st.lists(SPAN, max_size=6).map("".join),
).map("".join)
DOCUMENT = st.lists(LINE, max_size=12).map("\n".join)


PARSER = MarkdownIt("commonmark")


def unbalanced(part: str) -> list[str]:
    """Return the fences of `part` without a closing line."""
    lines = part.split("\n")
    fences = [token for token in PARSER.parse(part) if token.type == "fence" and token.map]
    return [
        fence.markup
        for fence in fences
        if fence.map and (fence.map[1] - fence.map[0] < 2 or lines[fence.map[1] - 1].strip(" >") != fence.markup)
    ]


@settings(max_examples=30, deadline=None)
@given(DOCUMENT)
def test_any_answer_arrives_complete_and_harmless(markdown: str) -> None:
    text = "\n".join(render_answer(markdown))

    assert set(re.findall(r"w\d+", markdown)) <= set(re.findall(r"w\d+", text.replace("\u200b", "")))
    assert not re.search(r"<\s*/?at\b", text, re.IGNORECASE)
    assert unbalanced(text) == []
    assert all(
        str(token.attrGet("href")).startswith(("http://", "https://", "mailto:"))
        for block in PARSER.parse(text)
        for token in block.children or []
        if token.type == "link_open"
    )


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=80))
def test_any_text_renders_within_limits(markdown: str) -> None:
    parts = render_answer(markdown)

    assert all(part.strip() and units(part) <= PART_UNITS for part in parts)
    # `clean` removes U+FDD0 like control characters: inside `render` the code point stands for a card.
    assert bool(parts) == bool(re.sub(r"[\x00-\x1f\x7f\ufdd0]", "", markdown).strip())
