"""Sample answers of the stand-in agent: code, a table, Markdown, a very long answer."""

from __future__ import annotations

CODE = """Here is a function and how to call it:

```python
def longest(words: list[str]) -> str:
    \"\"\"The longest word; the first of several.\"\"\"
    return max(words, key=len) if words else "<none> & nothing"
```

```
$ python -c "print(longest(['a', 'bb']))"
bb
```

`longest([])` gives `<none> & nothing`."""

TABLE = """Three cities, by population of the urban area:

| City | Country | Population |
|:-----|:-------:|-----------:|
| Tokyo | Japan | 37,000,000 |
| Delhi | India | 34,000,000 |
| São Paulo | Brazil | 22,000,000 |

Rounded, and only an example."""

MARKDOWN = """# A heading

Some **bold**, *italic*, ~~struck~~ and `code`, with a [link](https://example.com/a?b=1&c=2).

## Lists

1. first
2. second
   - nested
   - nested too

- [x] a done task
- [ ] an open one

> A quote
> of two lines.

---

Characters that must survive: < > & " ' \\* 😀 日本語 👩‍👩‍👧."""

_LONG_SECTIONS = 120


def long_answer() -> str:
    """Over 100 KB of Markdown: numbered sections, each third with a code block, and a block of over 30 KB."""
    sections = [_section(number) for number in range(1, _LONG_SECTIONS + 1)]
    listing = "\n".join(f"{line:04d}: value = table[{line}] + 'é😀'  # line {line}" for line in range(800))
    sections.insert(_LONG_SECTIONS // 2, f"## One long listing\n\n```text\n{listing}\n```")
    return "\n\n".join(["# A long answer of the stand-in agent", *sections, "That was the long answer."])


def _section(number: int) -> str:
    sentence = f"Sentence {{}} of section {number} is here so that the answer is too long for one message. "
    body = "".join(sentence.format(n) for n in range(1, 9)).rstrip()
    block = f"\n\n```python\nfor step in range({number}):\n    print(step)\n```" if number % 3 == 0 else ""
    return f"## Section {number}\n\n{body}{block}"
