"""Folders that last as long as a task, and the sweeping up after workers that were killed."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_LOCK, _NEW = "lock", "new-"


class Scratch:
    """A worker's own folder; the lock on it ends with the process, even one that was killed."""

    def __init__(self, root: Path, worker_id: str) -> None:
        root.mkdir(parents=True, exist_ok=True)
        sweep(root)
        new = root / f"{_NEW}{worker_id}"
        new.mkdir(mode=0o700)
        self._lock = os.open(new / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Under its name only once it is locked, so that no one sweeps it in between.
        self._folder = new.rename(root / worker_id)

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """Give an empty folder, and remove it with all it holds afterwards."""
        path = self._folder / name
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)


def sweep(root: Path) -> list[str]:
    """Remove the folders of workers that are no more; return their names."""
    swept = []
    for folder in root.iterdir():
        if folder.name.startswith(_NEW):
            continue
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # another worker has swept it at this moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            swept.append(folder.name)
        except BlockingIOError:
            pass  # its worker lives
        finally:
            os.close(lock)
    return swept
