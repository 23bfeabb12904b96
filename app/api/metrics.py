"""Figures for Prometheus: requests as they go; jobs, tasks and workers as the store counts them."""

from collections.abc import Iterator, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.domain.problems import Unavailable
from app.queue import CLASSES, Bell
from app.store.database import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

_UP = partial(GaugeMetricFamily, "cultivar_store_up", "Whether the store answered.")
_JOBS = partial(GaugeMetricFamily, "cultivar_jobs", "Jobs by state.", labels=("state",))
_QUEUED = partial(
    GaugeMetricFamily, "cultivar_queued_tasks", "Claimable tasks.", labels=("task_class",)
)
_WORKERS = partial(
    GaugeMetricFamily, "cultivar_workers", "Live workers by class.", labels=("task_class",)
)
_REFUSED = partial(
    CounterMetricFamily,
    "cultivar_refused_messages",
    "Messages on the bell's queues that workers refused, for they were no wake-ups.",
)


class Metrics:
    """A registry of its own, so that two applications in one process do not share figures."""

    def __init__(self, store: Store, bell: Bell) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "cultivar_http_requests_total",
            "Answers by method, route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "cultivar_http_request_seconds",
            "Time to the end of the answer.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.upload_bytes = Counter(
            "cultivar_upload_bytes_total", "Bytes of parts received.", registry=self.registry
        )
        self.registry.register(_StoreCollector(store))
        self.registry.register(_BellCollector(bell))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def exposition(self) -> bytes:
        """Return the text format; it asks the store, so it blocks."""
        return generate_latest(self.registry)


class _StoreCollector(Collector):
    """Gauges that are read from the store at each scrape; left out while it does not answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> Iterator[Metric]:
        yield from (_JOBS(), _QUEUED(), _WORKERS(), _UP())

    def collect(self) -> Iterator[Metric]:
        up = _UP()
        try:
            with self._store.read() as tx:
                states = tx.jobs.counts_by_state()
                queued = tx.tasks.queued_by_class()
                workers = tx.workers.count_by_class()
        except Unavailable:
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        yield _filled(_JOBS(), states)
        yield _filled(_QUEUED(), queued)
        # A class without a worker is a 0, which an alert can be set on.
        yield _filled(_WORKERS(), dict.fromkeys(CLASSES, 0) | workers)


class _BellCollector(Collector):
    """What Redis counts, read at each scrape; left out while it does not answer."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell

    def describe(self) -> Iterator[Metric]:
        yield _REFUSED()

    def collect(self) -> Iterator[Metric]:
        refused = self._bell.refused()
        if refused is not None:
            counter = _REFUSED()
            counter.add_metric((), refused)
            yield counter


def _filled(family: GaugeMetricFamily, figures: Mapping[str, int]) -> GaugeMetricFamily:
    for label, count in figures.items():
        family.add_metric((label,), count)
    return family
