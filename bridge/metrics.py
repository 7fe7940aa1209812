"""Prometheus metrics; each help text is an operator's question. No label ever holds an id, a name or a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

REGISTRY: Final = CollectorRegistry()

INBOUND: Final = Counter(
    "bridge_inbound_requests_total",
    "What came in, and what became of it?",
    ["verdict"],
    registry=REGISTRY,
)
TURNS: Final = Counter("bridge_turns_total", "How did turns end?", ["kind", "outcome", "error"], registry=REGISTRY)
TURN_SECONDS: Final = Histogram(
    "bridge_turn_seconds",
    "How long from accepting a question to showing its answer?",
    registry=REGISTRY,
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
)
RUNNING: Final = Gauge("bridge_lanes_running", "How many conversations are at work now?", registry=REGISTRY)
DELIVERY_FAILURES: Final = Counter(
    "bridge_delivery_failures_total", "Why did Teams not take a message?", ["error"], registry=REGISTRY
)
MAYBE_DOUBLED: Final = Counter(
    "bridge_maybe_doubled_total",
    "How often was a message sent again because nobody could know whether it was shown?",
    registry=REGISTRY,
)
WAITING: Final = Gauge(
    "bridge_lanes_waiting", "How many conversations wait here for a place in the gateway?", registry=REGISTRY
)
QUEUED: Final = Gauge("bridge_turns_queued", "How many turns wait, over all replicas?", registry=REGISTRY)
OWNERSHIP_LOST: Final = Counter(
    "bridge_lives_lost_total",
    "How often did this process give up its work because others may have taken it over?",
    registry=REGISTRY,
)
TASK_FAILURES: Final = Counter(
    "bridge_task_failures_total",
    "Which task in the background failed and was started again?",
    ["task"],
    registry=REGISTRY,
)
PACED: Final = Counter(
    "bridge_paced_total",
    "How often did a conversation's send budget hold something back?",
    ["verdict"],
    registry=REGISTRY,
)
STORES_CREATED: Final = Counter(
    "bridge_store_created_total",
    "How often was a new, empty store made, because there was none?",
    registry=REGISTRY,
)
FEEDBACK: Final = Counter(
    "bridge_feedback_total", "What do people think of the answers?", ["reaction"], registry=REGISTRY
)
FILES_IN: Final = Counter(
    "bridge_files_in_total", "What became of files that people sent?", ["verdict"], registry=REGISTRY
)
FILES_OUT: Final = Counter(
    "bridge_files_out_total", "What became of files that the agent made?", ["verdict"], registry=REGISTRY
)


class LostLines(Collector):
    """The number of log lines that were lost.

    Not a Counter: a Counter's lock is not reentrant, and the garbage collector may log while the lock is held.
    """

    def __init__(self) -> None:
        self.total = 0
        self._reported = 0

    def add(self, lines: int) -> None:
        """Count lines as lost."""
        self.total += lines

    def unreported(self) -> int:
        """The lines lost since the last call."""
        lost = self.total - self._reported
        self._reported += lost
        return lost

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The metric, for the registry."""
        yield CounterMetricFamily(
            "bridge_log_lines_lost_total", "How many lines of the log could not be written?", value=self.total
        )


LOG_LINES_LOST: Final = LostLines()
REGISTRY.register(LOG_LINES_LOST)
