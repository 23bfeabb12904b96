"""Figures for Prometheus: requests as they go, jobs and tasks as the store counts them."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.domain.problems import Unavailable
from app.store.database import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Metrics:
    """A registry of its own, so that two applications in one process do not share figures."""

    def __init__(self, store: Store) -> None:
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

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("cultivar_jobs", "Jobs by state.", labels=("state",))
        yield GaugeMetricFamily("cultivar_queued_tasks", "Claimable tasks.", labels=("task_class",))
        yield GaugeMetricFamily("cultivar_store_up", "Whether the store answered.")

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("cultivar_store_up", "Whether the store answered.")
        try:
            with self._store.read() as tx:
                states = tx.jobs.counts_by_state()
                queued = tx.tasks.queued_by_class()
        except Unavailable:
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        jobs = GaugeMetricFamily("cultivar_jobs", "Jobs by state.", labels=("state",))
        for state, count in states.items():
            jobs.add_metric((str(state),), count)
        yield jobs
        tasks = GaugeMetricFamily(
            "cultivar_queued_tasks", "Claimable tasks.", labels=("task_class",)
        )
        for task_class, count in queued.items():
            tasks.add_metric((task_class,), count)
        yield tasks
