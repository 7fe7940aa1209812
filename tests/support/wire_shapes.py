"""Hypothesis strategies for documents of other programs: any JSON value, and right documents with a damaged part."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_PLAIN = st.none() | st.booleans() | _NUMBERS | st.text(max_size=20)


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value, nested a few levels."""
    return st.recursive(
        _PLAIN,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        max_leaves=8,
    )


@st.composite
def damaged(draw: st.DrawFn, document: Any) -> Any:
    """The right document with up to two parts replaced by any JSON value, or left out."""
    value = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 2))):
        paths = list(_paths(value))
        path = draw(st.sampled_from(paths))
        if not path:
            return draw(json_values())
        parent = value
        for step in path[:-1]:
            parent = parent[step]
        if draw(st.booleans()):
            parent[path[-1]] = draw(json_values())
        else:
            del parent[path[-1]]
    return value


def _paths(value: Any, here: tuple[Any, ...] = ()) -> Any:
    """The path of each part of the document, the whole document included."""
    yield here
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from _paths(inner, (*here, step))
