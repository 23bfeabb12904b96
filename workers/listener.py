"""The RQ side of a worker: hears the bell, in a thread of its own, and trusts it with nothing.

A wake-up is latency, not correctness. So whatever Redis does (gone, slow, flushed, forged
messages) ends in this thread, and the parent's own look at SQL goes on by its timer.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout, DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from app.queue import REFUSED_KEY, WAKE
from workers.tasks import wake

log = logging.getLogger(__name__)

_LISTEN_SECONDS = 2
_WORKER_TTL = 35
_BACK_OFF_SECONDS = (0.5, 5.0)


class _Worker(SimpleWorker):  # type: ignore[misc]  # rq has no types that strict mypy accepts
    """An RQ worker as `rq info` sees it, with RQ's ways of calling functions by name left out.

    RQ's own loop imports callbacks that a message names, cleans registries of abandoned jobs by
    their failure callbacks, and obeys commands that anyone may publish. None of it is entered:
    a message is taken from its queue, looked at, and deleted.
    """

    def hear(self) -> bool | None:
        """Wait a few seconds for a message: True a wake-up, False a forged one, None silence."""
        self.heartbeat()
        try:
            taken = Queue.dequeue_any(
                self.queues, _LISTEN_SECONDS, connection=self.connection, serializer=JSONSerializer
            )
        except DequeueTimeout:
            return None
        except RedisError:
            raise
        except Exception as error:  # noqa: BLE001 - a message that RQ cannot even read
            self._forget(getattr(error, "job_id", None), getattr(error, "queue", None))
            return False
        if taken is None:
            return None
        job, queue = taken
        self._forget(job.id, queue)
        return _is_wake_up(job)

    def register_again_if_flushed(self) -> None:
        if not self.connection.hexists(self.key, "birth"):
            self.connection.delete(self.key)
            self.register_birth()

    def _forget(self, job_id: str | None, queue: Queue | None) -> None:
        if job_id is not None:
            self.connection.delete(Job.key_for(job_id))
        if job_id is not None and queue is not None:  # a worker of one queue takes by LMOVE
            self.connection.lrem(queue.intermediate_queue_key, 0, job_id)


def _is_wake_up(job: Job) -> bool:
    try:
        return bool(
            job.func_name == WAKE and job.instance is None and not job.args and not job.kwargs
        )
    except (DeserializationError, TypeError, ValueError):
        return False


class Listener(threading.Thread):
    """Listens until told to stop.

    Attributes:
        refused: messages of this worker that were not the one permitted wake-up.
    """

    def __init__(self, redis_url: str, classes: Iterable[str], name: str) -> None:
        super().__init__(name="bell", daemon=True)
        self.refused = 0
        self._worker_name = name
        self._classes = tuple(classes)
        self._done = threading.Event()
        self._redis = Redis.from_url(
            redis_url,
            socket_connect_timeout=2,
            socket_timeout=_LISTEN_SECONDS + 5,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), 2),
            health_check_interval=15,
        )

    def run(self) -> None:
        pause, longest = _BACK_OFF_SECONDS
        while not self._done.is_set():
            try:
                self._listen()
            except (RedisError, OSError) as error:
                log.warning("redis does not answer (%s); looking at the database only", error)
                self._done.wait(pause)
                pause = min(longest, pause * 2)
            else:
                pause = _BACK_OFF_SECONDS[0]

    def _listen(self) -> None:
        worker = _Worker(
            list(self._classes),
            name=self._worker_name,
            connection=self._redis,
            serializer=JSONSerializer,
            worker_ttl=_WORKER_TTL,
        )
        try:
            while not self._done.is_set():
                worker.register_again_if_flushed()
                heard = worker.hear()
                if heard:
                    wake()
                elif heard is False:
                    self._refuse()
        finally:
            with contextlib.suppress(RedisError, OSError):
                worker.register_death()

    def _refuse(self) -> None:
        self.refused += 1
        log.warning("a forged message was refused (%d by this worker)", self.refused)
        self._redis.incr(REFUSED_KEY)

    def stop(self) -> None:
        """Ask the thread to end, and give it a moment to sign off in Redis."""
        self._done.set()
        self.join(1.0)  # a daemon: a Redis that hangs holds nobody up
