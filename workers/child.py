"""The warm child: imports torch once, keeps models, runs one task after the other.

It has no database. It reads blobs, writes blobs, and tells its parent; killing it at any point
loses the work since the last checkpoint and nothing else. `python -m workers.child FD PARENT`.
"""

import errno
import importlib
import logging
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from app.domain.problems import OutOfSpace, Problem, Unavailable
from app.settings import Settings
from app.store.blobs import BlobStore, open_blobs
from models.errors import InputProblem, Interrupted
from workers.disk import refusal
from workers.messages import (
    OUT_OF_MEMORY,
    OUT_OF_SPACE,
    UNAVAILABLE,
    Done,
    Failed,
    Hello,
    Outcome,
    Retry,
    Run,
    Stop,
    Stopped,
    receive_in_child,
    send_to_parent,
)
from workers.orphans import die_with_parent, prefer_as_victim
from workers.pipelines.registry import entry_point
from workers.shelf import Shelf
from workers.task import TaskRun

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.05


class Child:
    """Serves its parent's messages until the pipe ends."""

    def __init__(self, pipe: Connection, settings: Settings, blobs: BlobStore) -> None:
        self._pipe = pipe
        self._settings = settings
        self._blobs = blobs
        self._shelf = Shelf()
        self._warm = threading.Thread(target=_warm_up, args=(settings.torch_threads,), daemon=True)

    def serve(self) -> None:
        self._warm.start()
        while True:
            message = receive_in_child(self._pipe)
            if isinstance(message, Run):
                outcome = self._run(message)
                send_to_parent(self._pipe, outcome)
                if isinstance(outcome, Retry) and outcome.reason == OUT_OF_MEMORY:
                    return  # a fresh process has all its memory back; the parent starts one

    def _run(self, message: Run) -> Outcome:
        task = TaskRun(
            claim=message.claim,
            blobs=self._blobs,
            scratch=Path(message.scratch),
            settings=self._settings,
            shelf=self._shelf,
            send=lambda said: send_to_parent(self._pipe, said),
            asked_to_stop=self._asked_to_stop,
        )
        claim = message.claim
        try:
            # Two threads that import one package can meet half of it: only the stage that imports
            # nothing heavy starts before torch is there.
            if claim.kind != "ingest":
                self._await_warmth(task)
            return Done(entry_point(claim.kind, claim.stage)(task))
        except Exception as error:  # the process boundary; each is reported
            outcome = outcome_of(error)
            if isinstance(outcome, Failed) and outcome.code == "internal_error":
                log.exception("job %s, stage %s: a bug", claim.job_id, claim.stage)
            return outcome

    def _await_warmth(self, task: TaskRun) -> None:
        """Wait for the imports, which take seconds; a worker that is told to end does not wait for them."""
        while self._warm.is_alive():
            task.stop_here()
            self._warm.join(_LOOK_SECONDS)

    def _asked_to_stop(self) -> bool:
        return self._pipe.poll(0) and isinstance(receive_in_child(self._pipe), Stop)


def outcome_of(error: Exception) -> Outcome:
    """Say what an exception that ended a task means for the job."""
    if isinstance(error, Interrupted):
        return Stopped()
    if isinstance(error, InputProblem):
        return Failed(error.code, error.detail, error.param)
    refused = refusal(error)
    if isinstance(error, OutOfSpace) or refused == errno.ENOSPC:
        return Retry(OUT_OF_SPACE, "The disk is full.")
    if refused == errno.EIO:
        return Retry(UNAVAILABLE, "The disk failed.")
    if isinstance(error, Unavailable):
        return Retry(UNAVAILABLE, error.detail)
    if isinstance(error, Problem):
        return Failed(error.code, error.detail, error.param)
    if _is_out_of_memory(error):
        return Retry(OUT_OF_MEMORY, "Memory did not suffice.")
    return Failed("internal_error", "The service met an error of its own; its log has it.")


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (
        torch is not None and isinstance(error, torch.OutOfMemoryError)
    ):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch on CPU


def _warm_up(threads: int) -> None:
    """Import what takes seconds, while the first task is still being claimed."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    importlib.import_module("models.gelda.method")


def main(fd: int, parent: int) -> None:
    die_with_parent(parent)
    prefer_as_victim()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to judge
    pipe = Connection(fd)
    try:
        hello = receive_in_child(pipe)
        assert isinstance(hello, Hello)
        settings = Settings(**hello.settings)
        logging.basicConfig(
            level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        Child(pipe, settings, open_blobs(settings.blobs, settings.home)).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone, and so is whom to tell
    os._exit(0)  # no teardown of threads and devices: nothing of value is left in this process


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
