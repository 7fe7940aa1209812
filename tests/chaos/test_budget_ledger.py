"""The audit of a rate limit's ledger, over ledgers written by hand."""

from __future__ import annotations

import pytest

from chaos.budget_ledger import Entry, audit

# A bucket with one token every second, two at once.
FIRST, SECOND = Entry("b", 10.0, 0.0, 11.0), Entry("b", 10.0, 11.0, 12.0)
THIRD = Entry("b", 11.0, 12.0, 13.0)
BACK = Entry("b", 10.5, 12.0, 11.0)
EMPTIED = Entry("b", 10.2, 11.0, 12.2)


def wrong(entries: list[Entry], asked: list[float]) -> list[str]:
    return list(audit(entries, asked, 1.0, 2))


@pytest.mark.parametrize(
    ("entries", "asked"),
    [
        ([FIRST, SECOND, THIRD], [10.0, 10.1, 11.0]),
        ([FIRST, SECOND, THIRD], [14.0, 14.0, 14.0]),  # all requests were slow to arrive
        ([FIRST, SECOND, BACK], [10.1]),
        ([FIRST, EMPTIED], [10.1]),
    ],
)
def test_a_sound_ledger_passes_the_audit(entries: list[Entry], asked: list[float]) -> None:
    assert wrong(entries, asked) == []


@pytest.mark.parametrize(
    ("entries", "asked"),
    [
        ([FIRST, Entry("b", 10.0, 11.0, 11.8)], [10.0]),  # too fast
        ([FIRST, SECOND, Entry("b", 10.0, 12.0, 13.0)], [10.0]),  # three at once
        ([FIRST, Entry("b", 10.0, 11.0, 10.5)], [10.0]),  # less than one token given back
        ([FIRST], [10.1, 10.2]),
        ([FIRST, SECOND], [9.0, 10.1]),  # asked before the token was taken
        ([FIRST, SECOND, BACK], [10.1, 11.0]),
        ([FIRST, Entry("other", 10.0, 0.0, 11.0)], [10.1]),
        ([], []),
    ],
)
def test_each_fault_of_a_ledger_is_found(entries: list[Entry], asked: list[float]) -> None:
    assert len(wrong(entries, asked)) == 1
