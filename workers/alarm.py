"""Waking the parent's one thread: from the bell's thread, from a signal handler, from its child."""

import contextlib
import os
import select


class Alarm:
    """A pipe with one meaning: look again.

    Unlike `threading.Event`, ringing takes no lock, so that a signal handler may ring while the
    same thread waits; and it can be waited for together with other pipes.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        return self._read

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # full: it rings already
            os.write(self._write, b"!")

    def wait(self, seconds: float) -> bool:
        """Return whether it rang within `seconds`; afterwards it is silent again."""
        ready, _, _ = select.select([self._read], [], [], max(0.0, seconds))
        if ready:
            self.silence()
        return bool(ready)

    def silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
