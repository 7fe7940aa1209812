"""Long answers are cut at natural borders, and every part is complete Markdown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bridge.core.markdown.render import render_answer
from bridge.core.markdown.split import beginning, cut, units
from bridge.core.teams_limits import PART_UNITS

PARSER = MarkdownIt("commonmark")


def bodies(parts: tuple[str, ...]) -> list[str]:
    """Return the parts without the numbers, after a check of the numbers."""
    for number, part in enumerate(parts, 1):
        assert part.endswith(f"\n\n({number}/{len(parts)})")
    return [part.rpartition("\n\n")[0] for part in parts]


def codes(part: str) -> list[tuple[str, str]]:
    """Return language and content of each fenced block of `part`; fails if a block is not closed."""
    found = []
    for token in PARSER.parse(part):
        if token.type == "fence" and token.map:
            assert part.split("\n")[token.map[1] - 1].strip(" >") == token.markup
            found.append((token.info, token.content))
    return found


def test_a_text_that_fits_is_a_single_part_without_a_number() -> None:
    assert cut("a" * 50, 50) == ("a" * 50,)


def test_the_limit_counts_utf16_units() -> None:
    assert units("a€🙂") == 4
    assert len(cut("🙂" * 50, 100)) == 1
    assert len(cut("🙂" * 51, 100)) > 1


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a" * 50 + "\n\n" + "b" * 10 + "\n" + "c" * 60, "a" * 50),
        ("a" * 50 + "\n" + "b " * 40, "a" * 50),
        ("a" * 50 + " " + "b" * 80, "a" * 50),
        ("a" * 200, "a" * 79),
        ("a" * 78 + "e\u0301" + "b" * 50, "a" * 78),
        ("a" * 75 + "👩\u200d👩\u200d👧" + "b" * 50, "a" * 75),
        ("a" * 78 + "🙂" + "b" * 50, "a" * 78),
    ],
    ids=["paragraph", "line", "word", "character", "accent", "family", "surrogates"],
)
def test_a_text_is_cut_at_the_best_border_in_reach(text: str, first: str) -> None:
    assert bodies(cut(text, 100))[0] == first


def test_a_cut_code_block_is_closed_and_reopened_with_its_language() -> None:
    lines = [f"line {number}" for number in range(40)]
    text = "Before.\n\n```python\n" + "\n".join(lines) + "\n```\n\nAfter."

    parts = bodies(cut(text, 200))

    found = [code for part in parts for code in codes(part)]
    assert {language for language, _ in found} == {"python"}
    assert "".join(content for _, content in found).split("\n") == [*lines, ""]
    assert parts[0].startswith("Before.")
    assert parts[-1].endswith("After.")


@pytest.mark.parametrize("prefix", ["> ", "   ", "> > "])
def test_code_inside_quotes_and_lists_survives_a_cut(prefix: str) -> None:
    lines = [f"{prefix}line {number}" for number in range(60)]
    opener = "1. ```sh" if prefix.isspace() else f"{prefix}```sh"
    text = "\n".join([opener, *lines, f"{prefix}```"])

    found = [code for part in bodies(cut(text, 200)) for code in codes(part)]

    assert {language for language, _ in found} == {"sh"}
    assert "".join(content for _, content in found).split() == "".join(lines).replace(prefix, " ").split()


def test_a_list_continued_in_the_next_part_does_not_become_code() -> None:
    text = "- outer\n" + "\n".join(f"    - item {number}" for number in range(40))

    for part in bodies(cut(text, 200))[1:]:
        assert "code_block" not in [token.type for token in PARSER.parse(part)]


def test_a_very_long_answer_of_prose_comes_in_parts_below_80_kilobytes() -> None:
    parts = render_answer("Some words of an answer. " * 4000)

    assert len(parts) == 3
    assert all(len(part.encode("utf-16-le")) <= 80_000 for part in parts)
    assert " ".join(bodies(parts)).split() == ("Some words of an answer. " * 4000).split()


BLOCK = st.one_of(
    st.lists(st.sampled_from(["word", "🙂", "é", "long" * 30, "e\u0301"]), min_size=1, max_size=30).map(" ".join),
    st.integers(1, 40).map(lambda n: "```py\n" + "\n".join(f"    x{i} = {i}" for i in range(n)) + "\n```"),
    st.integers(1, 40).map(lambda n: "\n".join(f"- item{i}\n  - sub{i}" for i in range(n))),
    st.integers(1, 20).map(lambda n: "- ```\n" + "\n".join(f"  y{i}" for i in range(n)) + "\n  ```\n\n  after"),
    st.integers(1, 20).map(lambda n: "> ````md\n" + "\n".join(f"> ```{i}" for i in range(n)) + "\n> ````"),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(BLOCK, min_size=1, max_size=8).map("\n\n".join), st.integers(150, 400))
def test_parts_are_complete_balanced_and_within_the_limit(text: str, limit: int) -> None:
    parts = cut(text, limit)
    whole = bodies(parts) if len(parts) > 1 else list(parts)

    words = re.compile(r"[a-z]+\d+|🙂|é|\bword\b")
    assert words.findall(" ".join(whole)) == words.findall(text)
    for part in parts:
        assert part.strip()
        assert units(part) <= limit <= PART_UNITS
        part.encode("utf-8")
        codes(part)


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet=st.characters(exclude_characters="`~>", exclude_categories=["Cs", "Cc"]), max_size=600),
    st.integers(60, 200),
)
def test_no_character_is_lost_or_torn(text: str, limit: int) -> None:
    parts = cut(text, limit)
    whole = bodies(parts) if len(parts) > 1 else list(parts)

    assert "".join("".join(whole).split()) == "".join(text.split())
    for part in parts:
        assert units(part) <= limit
        assert part.encode("utf-16-le").decode("utf-16-le") == part


@settings(max_examples=40, deadline=None)
@given(st.lists(BLOCK, min_size=1, max_size=8).map("\n\n".join), st.integers(300, 600))
def test_the_first_part_holds_half_of_what_fits(text: str, limit: int) -> None:
    """So the streamed text of a long answer is the beginning of the first part (`partial.VISIBLE_UNITS`)."""
    first = cut(text, limit)[0]

    half = beginning(text, limit // 2 - 40).rstrip()
    assert first.startswith(half)


@pytest.mark.parametrize(
    "line", [" " * 39_990 + "```", "> " * 20_000 + "```", "`" * 60_000, "```" + "x" * 60_000, "- " * 30_000 + "```"]
)
def test_lines_that_look_like_endless_fences_are_cut_like_others(line: str) -> None:
    for text in (f"{line}\n" * 3, f"```\n{line}\n```\n\n" + "words " * 10_000):
        parts = render_answer(text)

        assert 0 < len(parts) < 60
        assert all(units(part) <= PART_UNITS for part in parts)
