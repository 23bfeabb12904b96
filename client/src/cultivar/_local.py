"""A service of one's own: the embedded stack as a process that does not outlive this one."""

import atexit
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cultivar._constants import LOCAL_POLL, LOCAL_START, LOCAL_STOP
from cultivar._exceptions import ConfigurationError, LocalServerError
from cultivar._settings import home_folder

SERVER = "cultivar-server"
LOG_TAIL = 20

# Runs a command until it ends or our end of the pipe is gone, however this process went.
_KEEPER = """
import os, subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: os._exit(child.wait() & 255), daemon=True).start()
sys.stdin.read()
child.terminate()
child.wait()
"""


def serve_command(*arguments: str) -> list[str]:
    """Return the command that serves, in this interpreter.

    Raises:
        ConfigurationError: the server's package is not installed.
    """
    _check_installed("so there is no service to start")
    # -P: a folder `app` where the caller happens to stand is not ours.
    return [sys.executable, "-P", "-m", "app", "serve", *arguments]


def models_command(*arguments: str) -> list[str]:
    """Return the command that lists or downloads foundation models, in this interpreter.

    Raises:
        ConfigurationError: the server's package is not installed.
    """
    _check_installed("and models are kept where its workers are")
    return [sys.executable, "-P", "-m", "models", *arguments]


def _check_installed(why: str) -> None:
    try:
        importlib.metadata.distribution(SERVER)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            f"The package {SERVER} is not installed here, {why}: "
            f"pip install '{SERVER}[worker]', or set CULTIVAR_URL to one that runs elsewhere."
        ) from error


class LocalServer:
    """The embedded stack on a free port. Ends with `close`, or with this process.

    Attributes:
        url: where it listens.
        api_key: what opens it.
        log: everything that it says, since it was last started.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = home_folder(home).absolute()
        self._folder = tempfile.TemporaryDirectory(prefix="cultivar-")
        self._ready = Path(self._folder.name) / "ready.json"
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log = self.home / "serve.log"
        command = serve_command(
            *("--home", str(self.home), "--port", "0", "--ready-file", str(self._ready))
        )
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own command line)
                [sys.executable, "-I", "-S", "-c", _KEEPER, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C detaches from a job; it does not stop the stack
            )
        atexit.register(self.close)
        try:
            ready = self._await_ready()
        except BaseException:
            self.close()
            raise
        self.url: str = ready["url"]
        self.api_key = Path(ready["key_file"]).read_text(encoding="utf-8").strip()

    def _await_ready(self) -> dict[str, Any]:
        give_up = time.monotonic() + LOCAL_START
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                raise LocalServerError(f"The service did not start.\n{self._tail()}")
            try:
                ready: dict[str, Any] = json.loads(self._ready.read_text(encoding="utf-8"))
            except (FileNotFoundError, ValueError):  # not there yet, or being written
                time.sleep(LOCAL_POLL)
            else:
                return ready
        raise LocalServerError(f"The service was not ready in {LOCAL_START:g} s.\n{self._tail()}")

    def _tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL:])

    def close(self) -> None:
        """Stop the stack and wait until all of it has ended. A second time does nothing."""
        atexit.unregister(self.close)
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()  # the keeper sees the end of its pipe
        try:
            self._process.wait(LOCAL_STOP)
        except subprocess.TimeoutExpired as error:
            raise LocalServerError(f"The service did not stop in {LOCAL_STOP:g} s.") from error
        finally:
            self._folder.cleanup()
