"""Runs the decoding process and watches it: time, progress, an early end."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from models.errors import InputProblem, Interrupted
from workers.task import TaskRun

_LOOK_SECONDS = 0.05
_REFUSED = {os.EX_CANTCREAT: errno.ENOSPC, os.EX_IOERR: errno.EIO}
"""What the disk said to a decoder that could not write its reply, by its exit status."""


def decode(task: TaskRun, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the decoding process made of `request` (see `workers.decoder`).

    Raises:
        InputProblem: the files are at fault, or reading them breaks a limit.
        Interrupted: the task was told to stop.
        OSError: the disk is full, and the like: the host's fault.
    """
    settings, reply = task.settings, task.scratch / "reply.json"
    reply.unlink(missing_ok=True)  # of the file before: what dies must not answer in its words
    request = request | {
        "reply": str(reply),
        "memory_bytes": settings.decode_memory_bytes,
        "seconds": settings.decode_seconds,
        "max_array_bytes": settings.max_array_bytes,
    }
    process = subprocess.Popen(  # noqa: S603 - our own module, under our own interpreter
        [sys.executable, "-P", "-m", "workers.decoder", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Arrow's own allocators reserve more address space than they use.
        env=os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(request).encode())
        process.stdin.close()
        _watch(task, process, sum(Path(file).stat().st_size for file in request["files"]))
    finally:
        process.kill()
        process.wait()
    if not reply.exists():
        raise _died(process.returncode, settings.decode_seconds)
    return _result(json.loads(reply.read_text()))


def _watch(task: TaskRun, process: subprocess.Popen[bytes], size: int) -> None:
    ends_at = time.monotonic() + task.settings.decode_seconds
    while process.poll() is None:
        if task.should_stop():
            raise Interrupted
        if time.monotonic() >= ends_at:
            return
        moved = _bytes_moved(process.pid)
        # How much reading it takes is not known beforehand: this grows with every byte, to 1.
        task.progress(moved / (moved + size + 1), 1.0)
        time.sleep(_LOOK_SECONDS)


def _bytes_moved(pid: int) -> int:
    """Return the bytes that a process has read and written so far; 0 where nobody counts them."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    counted = dict(line.split(": ") for line in lines)
    return int(counted.get("rchar", 0)) + int(counted.get("wchar", 0))


def _died(status: int, seconds: float) -> InputProblem | OSError:
    if status in _REFUSED:
        return OSError(_REFUSED[status], os.strerror(_REFUSED[status]))
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        found = f"did not end within {seconds:g} s, or took more memory than the host has"
    else:
        found = f"was ended by {_name(status)}"
    return InputProblem("decoding_failed", f"The process that read the files {found}.")


def _name(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def _result(reply: dict[str, Any]) -> dict[str, Any]:
    if "problem" in reply:
        raise InputProblem(*reply["problem"])
    if "errno" in reply:
        raise OSError(reply["errno"], os.strerror(reply["errno"] or 0))
    result: dict[str, Any] = reply["ok"]
    return result
