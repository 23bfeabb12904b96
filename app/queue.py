"""The bell: anonymous wake-ups through RQ. Losing one costs time, never a task."""

import threading
import time
from contextlib import suppress

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

CLASSES = ("cpu", "gpu")
WAKE = "workers.tasks.wake"
"""The one function that a worker permits. It takes no argument: a wake-up names no task."""

REFUSED_KEY = "cultivar:refused_messages"
"""Redis' counter of messages that workers refused, over all workers since it last lost its data."""

WAITING_LIMIT = 64
"""A worker that wakes goes on until nothing is left, so more wake-ups than workers are of no use."""

_ANSWER_SECONDS = 0.7
_REST_SECONDS = 5.0


class Bell:
    """Wakes workers up.

    After Redis has failed to answer, it is left alone for some seconds, so that an outage costs one
    caller less than a second and the others nothing.

    Args:
        redis_url: None makes a bell that never rings; workers still look by themselves.
    """

    def __init__(self, redis_url: str | None) -> None:
        self._redis = None
        self._queues: dict[str, Queue] = {}
        if redis_url:
            self._redis = redis.Redis.from_url(
                redis_url,
                socket_timeout=_ANSWER_SECONDS,
                socket_connect_timeout=_ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
            )
            # Made once: making one takes longer than asking Redis for its length.
            self._queues = {
                name: Queue(name, connection=self._redis, serializer=JSONSerializer)
                for name in CLASSES
            }
        self._resting_until = 0.0
        self._lock = threading.Lock()

    def ring(self, task_class: str, times: int = 1) -> bool:
        """Wake up to ``times`` workers of a class; False where Redis does not answer."""
        if self._redis is None or self._resting():
            return False
        try:
            queue = self._queues[task_class]
            wanted = min(times, WAITING_LIMIT - queue.count)
            if wanted > 0:
                wake = Queue.prepare_data(WAKE, result_ttl=0, failure_ttl=0, timeout=3600)
                queue.enqueue_many([wake] * wanted)
        except (redis.RedisError, OSError):
            self._rest()
            return False
        return True

    def ping(self) -> bool:
        """Return whether Redis answers, asked now."""
        if self._redis is None:
            return False
        with suppress(redis.RedisError, OSError):
            return bool(self._redis.ping())
        return False

    def depth(self) -> dict[str, int] | None:
        """Return the waiting wake-ups by class; None where Redis does not answer."""
        if self._redis is None or self._resting():
            return None
        try:
            return {name: queue.count for name, queue in self._queues.items()}
        except (redis.RedisError, OSError):
            self._rest()
            return None

    def refused(self) -> int | None:
        """Return how many messages workers have refused; None where Redis does not answer."""
        if self._redis is None or self._resting():
            return None
        try:
            return int(self._redis.get(REFUSED_KEY) or 0)
        except (redis.RedisError, OSError):
            self._rest()
            return None

    def close(self) -> None:
        if self._redis is not None:
            self._redis.close()

    def _resting(self) -> bool:
        with self._lock:
            return time.monotonic() < self._resting_until

    def _rest(self) -> None:
        with self._lock:
            self._resting_until = time.monotonic() + _REST_SECONDS
