"""The home folder of an embedded stack: served by one process at a time; it keeps the first key."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from app.domain.records import ALL_SCOPES
from app.settings import Settings
from app.store.database import Store
from app.supervisor import StackError

TENANT = "default"
KEY_FILE = "key"


class HomeTaken(StackError):
    """Another process serves this home."""

    def __init__(self, home: Path, pid: str) -> None:
        super().__init__(
            f"{home} is already served by process {pid}; stop it, or name another --home"
        )


@contextlib.contextmanager
def lock_home(home: Path) -> Iterator[None]:
    """Hold `home` for this process; the kernel lets go of it when the process ends, however it ends.

    Raises:
        HomeTaken: another process holds it; its pid is named.
        StackError: it cannot be made or written to.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(
            f"{home} cannot be the home: {error.strerror}; name another --home"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 32).decode().strip() or "unknown"
            raise HomeTaken(home, pid) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def migrate(settings: Settings) -> None:
    """Bring the database up to date; make the folder of an SQLite one that has none."""
    if settings.database_url is None:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(settings.database)
    try:
        store.migrate()
    finally:
        store.close()


def first_key(settings: Settings) -> Path:
    """Migrate the database and return the file with a key of the tenant `default` (mode 0600).

    A key that the database does not know, because the database is new, is replaced.
    """
    store = Store(settings.database)
    try:
        store.migrate()
        path = settings.home / KEY_FILE
        with store.write() as tx:
            if path.exists() and tx.keys.authenticate(path.read_text().strip()):
                return path
            tenant = tx.tenants.by_name(TENANT) or tx.tenants.create(TENANT)
            _, secret = tx.keys.create(tenant.id, "serve", ALL_SCOPES)
        write_private(path, secret + "\n")
    finally:
        store.close()
    return path


def write_private(path: Path, text: str) -> None:
    """Make `path` hold `text`, readable by its owner alone; it appears whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
