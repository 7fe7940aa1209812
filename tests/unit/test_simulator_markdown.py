"""Texts rendered as Teams does; no dangerous HTML reaches the page."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.teams.markdown import render


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold**", "<p><strong>bold</strong></p>"),
        ("*slanted*", "<p><em>slanted</em></p>"),
        ("~~gone~~", "<p><s>gone</s></p>"),
        ("`a < b`", "<p><code>a &lt; b</code></p>"),
        ("```py\na\n```", '<pre><code class="language-py">a\n</code></pre>'),
        ("> said", "<blockquote>\n<p>said</p>\n</blockquote>"),
        ("- one\n- two", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"),
        ("3. three", '<ol start="3">\n<li>three</li>\n</ol>'),
        ("one\n\ntwo", "<p>one</p>\n<p>two</p>"),
    ],
)
def test_markdown_known_to_teams_is_rendered(text: str, shown: str) -> None:
    assert render(text, "markdown").strip() == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# Title", "<p># Title</p>"),
        ("Title\n=====", "<p>Title\n=====</p>"),
        ("above\n\n---", "<p>above</p>\n<p>---</p>"),
        ("![cat](https://x.example/c.png)", "<p>![cat](https://x.example/c.png)</p>"),
        ("|a|b|\n|-|-|\n|1|2|", "<p>|a|b|\n|-|-|\n|1|2|</p>"),
        ("<b>no html</b>", "<p>&lt;b&gt;no html&lt;/b&gt;</p>"),
    ],
)
def test_markdown_unknown_to_teams_is_shown_as_source_text(text: str, shown: str) -> None:
    assert render(text, None).strip() == shown


def test_a_code_blocks_class_is_its_language_only() -> None:
    assert render('<code class="card primary">a</code>', "xml") == "<code>a</code>"
    assert render('<code class="language-c++">a</code>', "xml") == '<code class="language-c++">a</code>'


def test_a_link_opens_a_new_tab_without_a_referrer() -> None:
    shown = render("[site](https://x.example/)", "markdown")
    assert 'href="https://x.example/"' in shown
    assert 'target="_blank"' in shown
    assert 'rel="noopener noreferrer"' in shown


def test_plain_text_keeps_its_characters_and_line_breaks() -> None:
    assert render("**a**\n<b>", "plain") == "<p>**a**<br>&lt;b&gt;</p>"


def test_an_unknown_format_is_shown_as_plain_text() -> None:
    assert render("**a**", "extendedmarkdown") == "<p>**a**</p>"


def test_xml_keeps_harmless_tags_only() -> None:
    shown = render("<b>a</b><script>alert(1)</script><img src=x onerror=alert(1)>", "xml")
    assert shown == "<b>a</b>"


@pytest.mark.parametrize("text_format", ["markdown", "plain", "xml"])
def test_an_at_tag_is_a_mention_only_with_a_mention_entity(text_format: str) -> None:
    text = "<at>Bob Tran</at> and <at>Eve</at>"
    shown = render(text, text_format, {"Bob Tran"})
    assert '<span class="mention">Bob Tran</span> and Eve' in shown
    assert "<at>" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x](data:text/html,hi)",
        "<at><img src=x onerror=alert(1)></at>",
        "`<script>alert(1)</script>`",
    ],
)
@pytest.mark.parametrize("text_format", ["markdown", "plain", "xml"])
def test_no_script_survives(text: str, text_format: str) -> None:
    assert_harmless(render(text, text_format, {"<img src=x onerror=alert(1)>"}))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def assert_harmless(shown: str) -> None:
    tags = Tags()
    tags.feed(shown)
    for tag, attributes in tags.seen:
        assert tag not in {"script", "img", "iframe", "style", "svg", "form", "object"}
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "https:").startswith(("https:", "http:", "mailto:"))


@given(st.text(alphabet="<>[]()!`*~at/\"'=:\n |-#javscriptonerr&;", max_size=60))
def test_any_text_becomes_harmless_html(text: str) -> None:
    for text_format in ("markdown", "plain", "xml"):
        assert_harmless(render(text, text_format, {"a"}))
