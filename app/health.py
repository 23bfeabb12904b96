"""``python -m app.health api|worker``: what a container's health check asks; exit status 0 is well.

It imports little, for it runs every few seconds.
"""

import argparse
import http.client
import socket
import sys

from redis import Redis
from redis.exceptions import RedisError
from rq import Worker

from app.settings import Settings

SECONDS = 4.0


def api_answers(settings: Settings) -> bool:
    """Whether the API on this host answers ``/healthz`` with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def worker_listens(settings: Settings) -> bool:
    """Whether a worker of this host is signed on at the bell.

    A Redis that does not answer says nothing about the worker, which goes on by its look at SQL:
    that is no reason to have it restarted.
    """
    if settings.redis_url is None:
        return True
    redis = Redis.from_url(
        settings.redis_url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS
    )
    try:
        return any(worker.hostname == socket.gethostname() for worker in Worker.all(redis))
    except RedisError:
        return True
    finally:
        redis.close()


def main(argv: list[str] | None = None) -> int:
    """Return 0 when the part named is well, else 1."""
    parser = argparse.ArgumentParser(prog="python -m app.health", description=__doc__)
    parser.add_argument("part", choices=("api", "worker"))
    part = parser.parse_args(argv).part
    well = {"api": api_answers, "worker": worker_listens}[part](Settings())
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
