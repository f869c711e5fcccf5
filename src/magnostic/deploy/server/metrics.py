"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 128)


class Metrics:
    """Counters of one server; the names are those of :meth:`text`."""

    def __init__(self, waiting: Callable[[], int], held: Callable[[], int]) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "magnostic_requests", "Requests answered.", ["path", "method", "status"],
            registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "magnostic_request_seconds", "From the first byte of a request to its answer.",
            ["path"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batch_sizes = Histogram(
            "magnostic_batch_size", "Photographs computed at once.", buckets=_SIZES,
            registry=registry,
        )  # fmt: skip
        self.batch_seconds = Histogram(
            "magnostic_batch_seconds", "To compute a batch.", buckets=_SECONDS, registry=registry
        )
        self.photographs = Counter(
            "magnostic_photographs", "Photographs predicted.", registry=registry
        )
        self.rejected = Counter(
            "magnostic_rejected", "Uploads refused: photographs, or whole requests.", ["reason"],
            registry=registry,
        )  # fmt: skip
        queue = Gauge(
            "magnostic_queue_length", "Photographs waiting or being worked on.", registry=registry
        )
        queue.set_function(waiting)
        memory = Gauge("magnostic_held_bytes", "Of requests in memory.", registry=registry)
        memory.set_function(held)

    def batch(self, size: int, seconds: float) -> None:
        """Count one batch."""
        self.batch_sizes.observe(size)
        self.batch_seconds.observe(seconds)
        self.photographs.inc(size)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
