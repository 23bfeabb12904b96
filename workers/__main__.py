"""`python -m workers`: the one place where a worker is wired."""

import argparse
import logging
import sys
import threading
import time

from app.domain.problems import Unavailable
from app.queue import CLASSES, Bell
from app.reconcile import Reconciler
from app.settings import Settings
from app.store.blobs import open_blobs
from app.store.database import Store
from workers.listener import Listener
from workers.parent import Parent

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run one worker until SIGTERM; the exit status is 0 when it gave back all it held."""
    settings = Settings()
    options = _parse(arguments, settings)
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    store = Store(settings.database)
    _migrate(store, settings.poll_seconds)
    bell = Bell(settings.redis_url)
    # In the blob store's own staging, so that what a task has written becomes a blob by a rename.
    blobs = open_blobs(settings.blobs, settings.home)
    scratch = blobs.staging / "scratch"
    parent = Parent(store, bell, settings, classes=options.classes, scratch=scratch)
    parent.install_signals()
    stop = threading.Event()
    reconciler = Reconciler(store, bell, settings, blobs)
    threading.Thread(
        target=reconciler.run_forever, args=(stop,), name="reconciler", daemon=True
    ).start()
    listener = None
    if settings.redis_url is not None:
        listener = Listener(settings.redis_url, options.classes, parent.worker_id)
        listener.start()
    try:
        parent.run(burst=options.burst)
    finally:
        stop.set()
        if listener is not None:
            listener.stop()
        store.close()
    return 0


def _migrate(store: Store, seconds: float) -> None:
    """Bring the schema up to date, waiting for a database that is still starting or busy."""
    while True:
        try:
            store.migrate()
        except Unavailable as error:
            log.warning("waiting for the database: %s", error.detail)
            time.sleep(seconds)
        else:
            return


def _parse(arguments: list[str] | None, settings: Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument(
        "--classes",
        type=_classes,
        default=_classes(settings.worker_classes),
        help="classes of tasks to serve, separated by commas (default: %(default)s)",
    )
    parser.add_argument("--burst", action="store_true", help="end when there is nothing left to do")
    return parser.parse_args(arguments)


def _classes(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or not set(names) <= set(CLASSES):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(CLASSES)}; found {text!r}")
    return names


if __name__ == "__main__":
    sys.exit(main())
