"""The error tree: complete, drawn as it is, and with words for whoever is hit."""

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
    """Every class of the tree that this module defines; edges may add private ones."""
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from below(child)


def leaves(root: type[BridgeError]) -> list[type[BridgeError]]:
    return [kind for kind in below(root) if not list(below(kind))]


def drawn() -> list[tuple[str, str]]:
    """(child, parent) for every line of the picture in the module's first paragraph."""
    pairs, path = [], ["BridgeError"]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│ ]*)[├└]── (\w+)", line):
            depth = 1 + len(found[1]) // 4
            path[depth:] = [found[2]]
            pairs.append((found[2], path[depth - 1]))
    return pairs


def test_the_picture_of_the_tree_is_the_tree() -> None:
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


def test_only_what_cannot_have_happened_yet_may_be_tried_again() -> None:
    retryable = {kind for kind in leaves(BridgeError) if kind.retryable}

    assert retryable == {*leaves(RunNotStarted), *leaves(DeliveryDelayed), DeliveryUnknown}
    assert StoreUnavailable.retryable
    assert not any(kind.retryable for kind in leaves(TurnFailure) if not issubclass(kind, RunNotStarted))


@pytest.mark.parametrize("failure", leaves(DeliveryFailure), ids=lambda kind: kind.__name__)
def test_an_error_without_detail_says_its_label(failure: type[DeliveryFailure]) -> None:
    assert str(failure()) == failure.label
    assert str(failure("status 599")) == "status 599"
