"""The API as `python -m app api` runs it, in a process that may be traced and killed, and made again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import httpx

from app.embedded import serve_api
from app.settings import Settings
from app.store.failpoints import VARIABLE
from benchmarks.processes import free_port
from tests.sweep.injection import let_others_trace_me
from tests.sweep.publishing import forking

START_SECONDS = 150.0


class Api:
    """A running API.

    Attributes:
        http: speaks to it with a key; a broken connection is not tried again.
    """

    def __init__(self, settings: Settings, key: str, failpoint: str | None = None) -> None:
        self._settings = settings.model_copy(update={"port": free_port()})
        self.process: BaseProcess = forking.Process(target=_serve, args=(self._settings, failpoint))
        self.process.start()
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self._settings.port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )
        self._await_answer()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def dead(self) -> bool:
        return not self.process.is_alive()

    def kill(self) -> None:
        self.http.close()
        if self.process.is_alive():
            os.kill(self.pid, signal.SIGKILL)
        self.process.join()

    def _await_answer(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.http.get("/healthz")
            except httpx.TransportError:
                assert self.process.is_alive(), "the API did not start"
                assert time.monotonic() < end, "the API does not answer"
                time.sleep(0.01)
            else:
                # The key's last use is written down now, not in the middle of what is swept.
                assert self.http.get("/v1/jobs").status_code == 200
                return


@contextmanager
def api(settings: Settings, key: str, failpoint: str | None = None) -> Iterator[Api]:
    """Run an API until the end of the block."""
    running = Api(settings, key, failpoint)
    try:
        yield running
    finally:
        running.kill()


def _serve(settings: Settings, failpoint: str | None) -> None:
    let_others_trace_me()
    if failpoint is not None:
        os.environ[VARIABLE] = failpoint
    serve_api(settings)
