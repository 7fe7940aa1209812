"""An unfinished answer is shown while growing; the visible part stays and begins the finished answer."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.markdown.partial import VISIBLE_UNITS, visible_prefix
from bridge.core.markdown.render import render_answer, render_whole
from bridge.core.markdown.split import units

DOCUMENTS = {
    "prose": "Thank you for asking. The **quick** brown fox, e.g. _this_ one, jumps over the `lazy` dog & 3 < 4 cats!\n"
    "A second line of the same paragraph that goes on for a while, see [the page](https://x.y/a?b=1&c=2) [1][2].\n\n"
    "2024. was a good year, and here is another paragraph with $5 and 10 % of it.\nAnd `code` too.\n",
    "guide": "## Steps\nFirst of all this has to be said in some words, and then it goes on:\n1. **Install** it\n\n"
    "   ```bash\n   pip install x\n\n   run\n   ```\n\n2. Configure the thing that has a long description here\n"
    "   - nested point one\n   - nested point two\n\n3. Done\n\n---\n\nThat was all.",
    "table": "Results so far, as far as they are known today:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    "name | qty\n--- | ---\nx | 1\n\nEnd.",
    "code": "Use this:\n\n```python\nx = [1][0]\n\ndef f():\n    return `x`\n```\n\n~~~\nother\n~~~\n\n"
    "and `more` words after it.",
    "sources": "This is said in a report [1] and in [another one][src] too, and somewhere else.\n\nSecond one.\n\n"
    '[1]: https://x.y/1 "One"\n[src]: https://x.y/2\n',
    "rules": "Title\n=====\n\nSome text that is long enough to be shown before the next line\n---\nmore\n",
    "math": "The area $a_1 * b_1$ and the sum \\(x^2\\) of it are long enough to be shown by now.\n\n$$\n- x\n$$\n\n"
    "- item\n\\[ y \\]\n",
    "chinese": "你好，世界。这是一个很长的段落，没有任何空格，但是应该逐字显示出来，因为用户在等待答案。\n\n"
    "- 第一项\n- 第二项",
    "quote": "> quoted text\ngoes on lazily\n\nAnd a paragraph after it.\n\n"
    "- [ ] open task that is long enough to be seen\n- [x] done",
    "images": "Look at ![a chart](https://x.y/c.png) and at [![badge](https://x/b.svg)](https://x/) please, now.\n\n"
    "<b>bold</b> &copy; end.",
    "hostile": "- ```\n x\n  ```\n- y\n\nprose `` a\n2. foo `` b\n\n- a\n - b\n\n  para `` x\n2. foo `` y\n",
}

WORD = st.sampled_from(["word", "a", "**b**", "*", "_x_", "`c`", "`", "``", "~~", "[1]", "[a](https://x.y)", "[t][l]"])
BRACKETS = st.sampled_from(["[", "]", "](", "![", "[^1]", "![i](https://x.y)", "[a](x y)", "\\[", ":"])
SIGNS = st.sampled_from(["|", "$", "$5", "$x$", "2*3", "\\(", "\\)", "\\", "&", "&lt;", "!", "~", "你好", "MEDIA", "@"])
TAGS = st.sampled_from(["<br>", "<b>x</b>", "<p>", "</p>", "<", "<https://x.y>", "<at>"])
LONG = st.just("some longer words that are here to fill up the line with text")
LISTS = st.sampled_from(["- ", "  - ", "1. ", "2. ", "* ", "- [x] ", "- - ", "10) ", "   ", "  "])
BLOCKS = st.sampled_from(["> ", "# ", "```", "  ```", "   ~~~", "~~~", "---", "===", "* * *", "$$", "\\[", "\\]"])
OTHERS = st.sampled_from(["| ", "|-|-|", "-|-", "[l]: https://x.y", "[^1]: ", "\t", "    ", " ", "<p>"])
START = st.just("") | LISTS | BLOCKS | OTHERS
MORE = BRACKETS | SIGNS | TAGS
LINE = st.builds("{}{}".format, START, st.lists(WORD | MORE | LONG, max_size=4).map(" ".join))
DOCUMENT = st.lists(LINE | st.just(""), max_size=10).map("\n".join)


def check(whole: str, cuts: list[int]) -> None:
    """Check the visible part of a whole answer cut at each index of `cuts`."""
    finished = render_whole(whole)
    first = (*render_answer(whole), "")[0]
    before = ""
    for end in sorted(cuts):
        visible = visible_prefix(whole[:end])
        assert visible.startswith(before), whole[:end]
        assert finished.startswith(visible), whole[:end]
        assert first.startswith(visible)
        assert units(visible) <= VISIBLE_UNITS
        before = visible


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_visible_part_stays_at_every_character(name: str) -> None:
    whole = DOCUMENTS[name]

    check(whole, list(range(len(whole) + 1)))


@settings(max_examples=100, deadline=None)
@given(DOCUMENT)
def test_the_visible_part_stays_whatever_the_agent_writes(whole: str) -> None:
    check(whole, list(range(len(whole) + 1)))


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.sampled_from(list(" \n\t-*_`~#>|[]()!<&;$\\=:1.aé你🙂\r\x00")), max_size=60))
def test_the_visible_part_stays_in_any_mix_of_signs(whole: str) -> None:
    check(whole, list(range(len(whole) + 1)))


@pytest.mark.parametrize(
    ("raw", "visible"),
    [
        ("", ""),
        ("Hello", ""),
        ("Hello there, this is a line of ordinary words", "Hello there, this is a line of ordinary"),
        ("Short line.\nNext", "Short line."),
        ("# Title\nSo", "**Title**"),
        ("- one\n- two\n- thr", "- one\n- two"),
        ("```py\nx = 1\n", ""),
        ("```py\nx = 1\n```\n", "```py\nx = 1\n```"),
        (
            "Words before the code, which is still being written:\n```py\nx",
            "Words before the code, which is still being written:",
        ),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n", ""),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n\nSo", "```\na  b\n─  ─\n1  2\n```"),
    ],
)
def test_the_visible_part_ends_before_text_that_may_change(raw: str, visible: str) -> None:
    assert visible_prefix(raw) == visible


@pytest.mark.parametrize(
    "raw", ["NO_REPLY", "NO_REPLY because nobody asked me anything at all\n\nReally.\n", "\n no_reply\n\nx"]
)
def test_chosen_silence_is_never_shown(raw: str) -> None:
    assert {visible_prefix(raw[:end]) for end in range(len(raw) + 1)} == {""}


def without_hidden(raw: str) -> str:
    """Return the model's text as the gateway passes it on (docs/reference/goclaw.md, "Hidden parts of a text")."""
    without_thoughts = re.sub(r"<think>.*?</think>", "", raw, flags=re.DOTALL).strip()
    return re.sub(r"^MEDIA:.*\n?", "", without_thoughts, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("raw", "beginning"),
    [
        (
            "<think>secret plans that nobody\n\nmust see</think>Visible words, enough of them to be shown.\n\nMore",
            "Visible words",
        ),
        ("<think>a</think>\n\n<think>secret</think>\n\n# Title\n", "**Title**"),
        ("First paragraph.\n\n<think>secret, and more of the secret</think>\n\nSecond paragraph.\n\nThird\n", "First"),
        (
            "Here is the picture.\nMEDIA:/workspace/secret.png\nIt shows what you asked for.\n\nEnd",
            "Here is the picture.",
        ),
        ("See [a (strange) link](x y)\n\nMEDIA:/workspace/secret.png\n\nEnd", ""),
    ],
)
def test_text_hidden_by_the_gateway_is_never_shown(raw: str, beginning: str) -> None:
    finished = render_whole(without_hidden(raw))
    before = ""
    for end in range(len(raw) + 1):
        visible = visible_prefix(raw[:end])
        assert finished.startswith(visible)
        assert visible.startswith(before)
        before = visible
    assert before.startswith(beginning)
    assert "secret" not in before


def test_the_visible_part_never_exceeds_the_first_part_of_a_long_answer() -> None:
    for block in (
        "Some words of an answer. ",
        "- item 🙂 of a list\n",
        "你好世界，",
        "- `x`\n\n```\n" + "code\n" * 500 + "```\n\n",
    ):
        whole = block * (60_000 // len(block))

        check(whole, list(range(0, len(whole), 3_001)))
        assert units(visible_prefix(whole)) > VISIBLE_UNITS // 2


def test_the_visible_part_ends_before_a_possible_adaptive_card() -> None:
    whole = "Here it is:\n\n```adaptive-card\n{}\n```\n\nAnd more words after it.\n\nEnd"

    assert visible_prefix(whole) == "Here it is:"


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "![",
        "[a](",
        "_a*",
        "> ",
        "`a``",
        "- ",
        "  - a\n",
        "- a\n ```\n",
        "a\n",
        "\n",
        "<think>a</think>",
        "<think>",
        "[1]",
        "`",
        "a b ",
        *["&a", "[a][b]", "\\", "$", "$a", "|", "1. a\n\n", "你", "~", "[a]: https://x\n", " ", "a|b\n"],
    ],
)
def test_hostile_text_takes_bearable_time(piece: str) -> None:
    raw = piece * (100_000 // len(piece))
    started = time.process_time()

    visible_prefix(raw)

    assert time.process_time() - started < 2
