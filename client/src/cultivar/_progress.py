"""What a person sees while bytes travel and jobs run: bars on a terminal, lines elsewhere."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from cultivar._records import UNFINISHED, JobRecord

OnBytes = Callable[[int], None]

_drawing = threading.Lock()


def stderr() -> Console:
    """Return a console on standard error: results alone go to standard output."""
    return Console(stderr=True, highlight=False)


class Watcher(Protocol):
    """Hears of every new version of a job."""

    def __call__(self, job: JobRecord, /) -> None: ...


@contextmanager
def transfer(name: str, *verbs: str, total: int, show: bool) -> Iterator[list[OnBytes]]:
    """Yield one counter of bytes a verb, each shown as a bar while the block runs."""
    console = stderr()
    if not show:
        yield [lambda _n: None for _ in verbs]
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(_screen(console))
        bars = Progress(*columns, TransferSpeedColumn(), console=console, disable=not mine)
        if not mine:
            print(f"{' and '.join(verbs)} {name}", file=sys.stderr, flush=True)
        stack.enter_context(bars)
        yield [_counter(bars, bars.add_task(f"{verb} {name}", total=total)) for verb in verbs]


def _counter(bars: Progress, task: TaskID) -> OnBytes:
    return lambda n: bars.advance(task, n)


@contextmanager
def watching(show: bool) -> Iterator[Watcher]:
    """Yield what to tell of a job: live bars on a terminal or in a notebook, else plain lines."""
    console = stderr()
    if not show:
        yield lambda _job: None
        return
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(_screen(console))
        yield stack.enter_context(JobBars(console)) if mine else JobLines()


@contextmanager
def _screen(console: Console) -> Iterator[bool]:
    """Yield whether live bars may be drawn: there is a terminal, and nobody else draws on it.

    Waits that run side by side would overwrite each other's bars; all but the first use lines.
    """
    mine = (console.is_terminal or console.is_jupyter) and _drawing.acquire(blocking=False)
    try:
        yield mine
    finally:
        if mine:
            _drawing.release()


class JobBars:
    """A live bar a step, and a line on top that says how the job stands."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._head: TaskID | None = None
        self._steps: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, job: JobRecord) -> None:
        done = sum(step.max > 0 and step.value >= step.max for step in job.steps)
        if self._head is None:
            self._head = self._progress.add_task("", total=None)
        total = max(1, len(job.steps))
        finished = job.state not in UNFINISHED
        self._progress.update(
            self._head,
            description=_standing(job),
            total=total,
            completed=total if finished else done,
        )
        for step in job.steps:
            if step.code not in self._steps and (step.max > 0 or step.value > 0):
                self._steps[step.code] = self._progress.add_task(f"  {step.code}", total=None)
            if step.code in self._steps:
                # Beside its own bar: on the line on top it would leave no room for any.
                left = _left(job) if 0 < step.value < step.max else ""
                self._progress.update(
                    self._steps[step.code],
                    description=f"  {step.code}{left}",
                    total=step.max or None,
                    completed=step.value,
                )


class JobLines:
    """A line when the job's state or step changes, and now and then in between."""

    SECONDS = 10.0

    def __init__(self) -> None:
        self._last = ""
        self._told = 0.0

    def __call__(self, job: JobRecord) -> None:
        steps = [step for step in job.steps if step.value < step.max]
        what = f"{job.state} {steps[0].code if steps else ''} {job.unserved_class or ''}"
        if what == self._last and time.monotonic() - self._told < self.SECONDS:
            return
        self._last, self._told = what, time.monotonic()
        step = f" · {steps[0].code} {steps[0].value / steps[0].max:.0%}" if steps else ""
        print(headline(job) + step, file=sys.stderr, flush=True)


def headline(job: JobRecord) -> str:
    """Return one line: kind, id, state, what it waits for, and how long its step will take."""
    left = _left(job)
    return f"{_standing(job)}{left} in this step" if left else _standing(job)


def _standing(job: JobRecord) -> str:
    line = f"{job.kind} {job.id} · {job.state}"
    if job.awaiting:
        return f"{line}: its {job.awaiting} wait to be looked at"
    if job.state == "queued" and job.blocked_by:
        return f"{line}, waits for {', '.join(job.blocked_by)}"
    if job.state in UNFINISHED and job.unserved_class:
        return f"{line}, waits: no worker serves {job.unserved_class}"
    if job.state == "queued" and job.queue_position:
        return f"{line}, {job.queue_position} in the queue"
    return line


def _left(job: JobRecord) -> str:
    """Return e.g. ``, about 42 s left``; empty where nobody knows."""
    seconds = job.eta_seconds
    if job.state != "running" or not seconds:
        return ""
    if seconds < 90:
        return f", about {seconds:.0f} s left"
    return (
        f", about {seconds / 60:.0f} min left"
        if seconds < 5400
        else f", about {seconds / 3600:.1f} h left"
    )
