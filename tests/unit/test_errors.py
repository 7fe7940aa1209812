"""The error tree: drawn as declared, with a label and a sentence for each error."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bridge.core import errors
from bridge.core.errors import (
    BridgeError,
    DeliveryDelayed,
    DeliveryFailure,
    DeliveryUnknown,
    RunNotStarted,
    StoreUnavailable,
    TurnFailure,
)
from bridge.core.texts import ENGLISH


def below(root: type[BridgeError]) -> Iterator[type[BridgeError]]:
    """Every class of the tree in `core.errors`; edges may add private subclasses."""
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from below(child)


def leaves(root: type[BridgeError]) -> list[type[BridgeError]]:
    return [kind for kind in below(root) if not list(below(kind))]


def drawn() -> list[tuple[str, str]]:
    """(child, parent) for every line of the tree drawn in the module's docstring."""
    pairs, path = [], ["BridgeError"]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│ ]*)[├└]── (\w+)", line):
            depth = 1 + len(found[1]) // 4
            path[depth:] = [found[2]]
            pairs.append((found[2], path[depth - 1]))
    return pairs


def test_the_drawn_tree_matches_the_classes() -> None:
    assert sorted(drawn()) == sorted((kind.__name__, kind.__bases__[0].__name__) for kind in below(BridgeError))


@pytest.mark.parametrize("failure", leaves(TurnFailure), ids=lambda kind: kind.__name__)
def test_every_failure_of_a_turn_has_a_sentence_for_the_user(failure: type[TurnFailure]) -> None:
    sentence = ENGLISH[failure.label]

    assert sentence.endswith((".", ":"))
    assert "{" not in sentence


def test_every_leaf_has_a_label_of_its_own() -> None:
    labels = [kind.label for kind in leaves(BridgeError)]

    assert all(re.fullmatch(r"[a-z_]+", label) for label in labels)
    assert len(set(labels)) == len(labels)


def test_only_errors_of_requests_without_effect_are_retryable() -> None:
    retryable = {kind for kind in leaves(BridgeError) if kind.retryable}

    assert retryable == {*leaves(RunNotStarted), *leaves(DeliveryDelayed), DeliveryUnknown}
    assert StoreUnavailable.retryable
    assert not any(kind.retryable for kind in leaves(TurnFailure) if not issubclass(kind, RunNotStarted))


@pytest.mark.parametrize("failure", leaves(DeliveryFailure), ids=lambda kind: kind.__name__)
def test_an_error_without_detail_shows_its_label(failure: type[DeliveryFailure]) -> None:
    assert str(failure()) == failure.label
    assert str(failure("status 599")) == "status 599"
