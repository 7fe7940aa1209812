"""The gateway's files in the links of an answer are found and their links replaced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.files.answer_links import NOWHERE, AgentFile, Linked, Replacement, fetchable, linked_files, relinked
from bridge.core.files.kept import FileLinks
from bridge.core.markdown.render import render_answer

BASE = "http://gateway:18790/goclaw"
FT = "?ft=" + "A" * 43 + ".1800000000"
NOTES = f"/v1/files/workspace/notes.md{FT}"


def targets(markdown: str) -> list[str]:
    return [link.target for link in linked_files(markdown, BASE)]


@pytest.mark.parametrize(
    "markdown",
    [
        f"Here: [notes]({NOTES})",
        f"![notes]({NOTES})",
        f"[notes](<{NOTES}>)",
        f'[notes]({NOTES} "my notes")',
        f"[notes]( {NOTES} )",
        f"- a\n  - [**my** `notes`]({NOTES})",
        f"| a |\n|---|\n| [n]({NOTES}) |",
        f"> [notes]({NOTES})",
        f"[![chart]({NOTES})](https://example.com)",
        f"see [notes]({NOTES}), [again]({NOTES})",
    ],
)
def test_a_link_or_picture_to_a_file_of_the_gateway_is_found(markdown: str) -> None:
    assert linked_files(markdown, BASE) == (Linked(NOTES, AgentFile(NOTES, "notes.md")),)


def test_file_names_are_readable_and_links_may_have_the_gateways_full_address() -> None:
    markdown = (
        f"[a](/v1/media/Gr%C3%BC%C3%9Fe%20x.png{FT}) [b]({BASE}{NOTES}) [c](/v1/files/plan–✓.pdf{FT}) [d](/v1/files/x)"
    )
    assert [(link.file.path, link.file.name) for link in linked_files(markdown, BASE)] == [
        (f"/v1/media/Gr%C3%BC%C3%9Fe%20x.png{FT}", "Grüße x.png"),
        (NOTES, "notes.md"),
        (f"/v1/files/plan–✓.pdf{FT}", "plan–✓.pdf"),
        ("/v1/files/x", "x"),
    ]


@pytest.mark.parametrize(
    "markdown",
    [
        "no link at all",
        f"bare {NOTES}",
        f"`[notes]({NOTES})`",
        f"```\n[notes]({NOTES})\n```",
        f"\\[notes\\]({NOTES})",
        f"[notes](https://evil.example{NOTES})",
        f"[notes](http://gateway:18790{NOTES})",
        f"[notes](//evil.example{NOTES})",
        f"[notes](sandbox:{NOTES})",
        f"[notes](sandbox:/mnt/data/{NOTES})",
        "[notes](/v1/chat/completions)",
        "[notes](v1/files/a.txt)",
        f"[notes]: {NOTES}",
        f'<a href="{NOTES}">notes</a>',
    ],
)
def test_text_without_a_link_to_a_file_of_the_gateway_has_no_links(markdown: str) -> None:
    assert targets(markdown) == []


def test_links_are_replaced_and_all_further_text_stays() -> None:
    markdown = f"See [my notes]({NOTES}) and ![]( <{NOTES}> 'x') and `{NOTES}`, [b](/v1/files/b.txt)"
    replacement = {NOTES: Replacement("https://b.example/files/1?exp=2&sig=3")}
    assert relinked(markdown, BASE, replacement) == (
        "See [my notes](https://b.example/files/1?exp=2&sig=3) and ![](https://b.example/files/1?exp=2&sig=3) "
        f"and `{NOTES}`, [b](/v1/files/b.txt)"
    )
    assert relinked(markdown, BASE, {}) == markdown


def test_a_link_without_target_is_shown_as_label_and_reason() -> None:
    markdown = relinked(f"See [my notes]({NOTES}).", BASE, {NOTES: Replacement(NOWHERE, "(file no longer available)")})
    assert render_answer(markdown) == ("See my notes (file no longer available).",)


def test_a_replaced_link_is_shown_unchanged() -> None:
    url = FileLinks("https://bridge.example", b"key").url("Ab_-1", 1_800_000_000.9)
    markdown = relinked(f"See [my notes]({NOTES}).", BASE, {NOTES: Replacement(url)})
    assert render_answer(markdown) == (f"See [my notes]({url}).",)


def test_of_a_local_link_only_the_label_is_shown() -> None:
    assert render_answer("[data](sandbox:/mnt/data/x.csv), [y](file:///y), ![z](z.png)") == ("data, y, z",)


@pytest.mark.parametrize(
    ("path", "path_and_ticket"),
    [
        (NOTES, ("/v1/files/workspace/notes.md", FT.removeprefix("?ft="))),
        (f"{NOTES}&download=true", ("/v1/files/workspace/notes.md", FT.removeprefix("?ft="))),
        ("/v1/media/a.png", ("/v1/media/a.png", "")),
        ("/v1/files/a?download=true", ("/v1/files/a", "")),
        (f"/v1/files/../agents{FT}", None),
        (f"/v1/files/%2e%2e/agents{FT}", None),
        (f"/v1/files/a%2F..%2Fb{FT}", None),
        (f"/v1/files/./a{FT}", None),
        (f"/v1/files//a{FT}", None),
        (f"/v1/files/a\\..\\b{FT}", None),
        (f"/v1/files/{FT}", None),
        (f"/v1/chat/completions{FT}", None),
        (f"//evil.example/v1/files/a{FT}", None),
        (f"http://evil.example/v1/files/a{FT}", None),
        ("/v1/files/a?ft=x&y", None),
        ("/v1/files/a?ft=" + "A" * 43 + ".1&ft=B", ("/v1/files/a", "A" * 43 + ".1")),
        ("", None),
    ],
)
def test_only_files_can_be_opened_and_only_by_their_own_ticket(
    path: str, path_and_ticket: tuple[str, str] | None
) -> None:
    assert fetchable(path) == path_and_ticket


@given(st.text(st.sampled_from("[]()!<>`\\ \n'\"/?=.&%v1filesa"), max_size=60))
def test_links_are_found_in_any_answer(text: str) -> None:
    markdown = f"[a]({NOTES})\n\n{text}[b]({NOTES}){text}"
    found = linked_files(markdown, BASE)
    assert found
    assert NOTES not in relinked(f"[a]({NOTES})", BASE, {link.target: Replacement(NOWHERE) for link in found})


# -- the bridge's own links --

LINKS = FileLinks("https://bridge.example/teams/", b"key")


def parts(url: str) -> tuple[str, str]:
    query = dict(pair.split("=") for pair in url.partition("?")[2].split("&"))
    return query["exp"], query["sig"]


def test_a_link_opens_its_file_until_it_expires() -> None:
    url = LINKS.url("f1", 1000.7)
    assert url.startswith("https://bridge.example/teams/files/f1?exp=1000&sig=")
    exp, sig = parts(url)

    assert LINKS.opens("f1", exp, sig, 1000.0)
    assert not LINKS.opens("f1", exp, sig, 1000.1)


def test_a_changed_link_opens_no_file() -> None:
    exp, sig = parts(LINKS.url("f1", 1000))
    for id_, expires, signature in [
        ("f2", exp, sig),
        ("f1", "2000", sig),
        ("f1", f"0{exp}", sig),
        ("f1", exp, sig[:-1]),
        ("f1", exp, ""),
        ("f1", "", sig),
        ("f1", "-1", sig),
        ("f1", "٣", sig),
        ("f1", "9" * 40, sig),
        ("f1", exp, "💥\ud800"),
        ("f1\n1000", exp, sig),
    ]:
        assert not LINKS.opens(id_, expires, signature, 10)
    assert not FileLinks("https://bridge.example", b"other").opens("f1", exp, sig, 10)


def test_the_key_of_signed_links_is_not_printed() -> None:
    assert "key" not in repr(LINKS)
