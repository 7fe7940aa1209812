"""Bold, italic and struck text beside Chinese, Japanese, Korean and Thai is shown as such, without its signs.

Teams is represented by CommonMark with strikethrough, by markdown-it and by the simulator's own page.
"""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bridge.core.markdown.partial import visible_prefix
from bridge.core.markdown.render import render_answer, render_whole
from bridge.simulator.teams import markdown as teams

PARSER = MarkdownIt("commonmark").enable("strikethrough")
OPENED = {"strong_open": "**", "em_open": "*", "s_open": "~~"}


def marked(text: str) -> list[tuple[str, str]]:
    """Return sign and words of each marked stretch that CommonMark reads in `text`; nested stretches one by one."""
    found: list[tuple[str, str]] = []
    for block in PARSER.parse(text):
        open_: list[tuple[str, str]] = []
        for token in block.children or []:
            if token.type in OPENED:
                open_.append((OPENED[token.type], ""))
            elif token.type in ("strong_close", "em_close", "s_close"):
                found.append(open_.pop())
            else:
                open_ = [(sign, words + shown(token)) for sign, words in open_]
    return found


def shown(token: Token) -> str:
    return token.content.replace("\u200b", "")


def on_screen(text: str) -> str:
    """Return the words that the simulated Teams shows for `text`."""
    return re.sub(r"<[^>]*>", "", teams.render(text, "markdown")).replace("\u200b", "").strip()


@pytest.mark.parametrize(
    ("answer", "bold"),
    [
        ("**提醒：**请在周五之前交报告。", "提醒："),
        ("1. **第一步（设置）：**打开菜单", "第一步（设置）："),
        ("2. **第二步“网络”，**然后保存", "第二步“网络”，"),
        ("これは**「大切」**な点です。", "「大切」"),
        ("**중요(필독):**내용을 확인하세요.", "중요(필독):"),
        ('오늘은 **"회의"**라고 합니다.', '"회의"'),
        ("他说**“你好”**然后走了", "“你好”"),
        ("请看**`config.yaml`**文件", "config.yaml"),
        ("请看**[说明](https://example.com)**文件", "说明"),
        ("进度**50%**左右", "50%"),
        ("ราคา**(ใหม่)**ครับ", "(ใหม่)"),
        ("<b>注意：</b>请先保存", "注意："),
        ("<b>Note:</b>text", "Note:"),
        ("- 甲**（一）**乙\n- 丙", "（一）"),
        ("> **提醒：**请看", "提醒："),
        ("葛\U000e0100**(x)**城", "(x)"),
        ("ㄅ**⚠️重要！**ㄆ", "⚠️重要！"),
    ],
)
def test_bold_text_with_punctuation_at_its_edge_is_bold(answer: str, bold: str) -> None:
    text = render_whole(answer)

    assert marked(text) == [("**", bold)]
    assert "*" not in on_screen(text)
    assert bold in on_screen(text)


@pytest.mark.parametrize(
    "text",
    [
        "你好**世界**，再见",
        "**重要** 请看",
        "前，**重要**，后",
        'a**"b"**c and 2 ** 3',
        "Xin chào, **đây**: là *một* ~~dòng~~ dài.",
        "문서**제목**은",
    ],
)
def test_a_sign_that_teams_reads_by_itself_is_sent_as_written(text: str) -> None:
    assert render_whole(text) == text


LETTERS = st.text(st.sampled_from("汉字かなカナ한국ไทยລາວខ្មែរမြန်မာ"), min_size=1, max_size=4)
PUNCTUATION = st.text(st.sampled_from("：，。！？「」『』（）《》、；“”‘’…—·()[:;,.!?\"'%+=/〜～￥※】【ฯ"), max_size=3)
SIGN = st.sampled_from(["**", "*", "~~"])
STRETCH = st.tuples(LETTERS, SIGN, st.builds("{}{}{}".format, PUNCTUATION, LETTERS, PUNCTUATION))


@settings(max_examples=300, deadline=None)
@given(st.lists(STRETCH, min_size=1, max_size=4), LETTERS)
def test_every_marked_stretch_between_letters_is_shown_as_such(stretches: list[tuple[str, str, str]], end: str) -> None:
    answer = "".join(f"{before}{sign}{words}{sign}" for before, sign, words in stretches) + end
    text = render_whole(answer)

    assert marked(text) == [(sign, words) for _, sign, words in stretches]
    assert text.replace("\u200b", "") == answer


@settings(max_examples=100, deadline=None)
@given(STRETCH, st.sampled_from(["**", "*"]), LETTERS)
def test_nested_signs_are_shown_as_such(stretch: tuple[str, str, str], star: str, behind: str) -> None:
    before, sign, words = stretch
    outer, inner = (star, "~~") if "*" in sign else ("~~", star)

    text = render_whole(f"{before}{outer}{inner}{words}{inner}{outer}{behind}")

    assert marked(text) == [(inner, words), (outer, words)]


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("汉な한ก：「」（）“”*~*~*~ \n-a:()`_"), max_size=40))
def test_a_growing_answer_with_signs_beside_letters_only_grows(answer: str) -> None:
    finished, before = render_whole(answer), ""
    first = (*render_answer(answer), "")[0]
    for end in range(len(answer) + 1):
        visible = visible_prefix(answer[:end])
        assert visible.startswith(before)
        assert finished.startswith(visible)
        assert first.startswith(visible)
        before = visible


@pytest.mark.parametrize("stretch", ["**重要：**请先", "これは**「大切」**な"])
def test_a_bold_stretch_is_bold_as_soon_as_a_letter_follows(stretch: str) -> None:
    answer = "这一行很长，" * 7 + stretch
    behind = answer.rindex("**") + 3
    visible = visible_prefix(answer[:behind])

    assert len(marked(visible)) == 1
    assert "*" not in on_screen(visible)


@pytest.mark.parametrize("piece", ["汉**「a」**", "汉**「", "」**汉", "~~**「x"])
def test_the_time_for_signs_stays_bearable(piece: str) -> None:
    began = time.perf_counter()

    assert render_whole(piece * 3000)
    assert time.perf_counter() - began < 5
