"""``python -m app``: start processes (the embedded stack, its parts) and administer; nothing else."""

import argparse
import logging
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from app import admin
from app.backup.folder import BackupError
from app.domain.problems import Problem
from app.embedded import serve, serve_api
from app.home import migrate
from app.queue import Bell
from app.reconcile import Reconciler
from app.settings import Settings
from app.store.blobs import open_blobs
from app.store.database import Store
from app.supervisor import StackError


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0, or 1 with a sentence on standard error."""
    arguments = _parser().parse_args(_with_command(sys.argv[1:] if argv is None else argv))
    try:
        settings = _settings(arguments)
        logging.basicConfig(
            level=settings.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        # Lines for every request and every start would drown ours.
        for name in ("httpx", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        arguments.run(settings, arguments)
    except (StackError, admin.AdminError, BackupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Problem as problem:
        print(f"error: {problem.detail}", file=sys.stderr)
        return 1
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            message = fault["msg"].removeprefix("Value error, ")
            print(f"error: CULTIVAR_{name}: {message}", file=sys.stderr)
        return 1
    return 0


def _with_command(words: list[str]) -> list[str]:
    """Return `words` with the command that goes without saying: ``serve``."""
    if not words or (words[0].startswith("-") and words[0] not in {"-h", "--help"}):
        return ["serve", *words]
    return words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app", description="Cultivar: augmentation as a service."
    )
    # Only what is named replaces CULTIVAR_*, so there are no defaults here.
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--home", type=Path, help="folder of database, blobs and key")
    listening = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    listening.add_argument("--host", help="address to listen on")
    listening.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")

    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "serve", parents=[common, listening], help="Redis, workers and API as one (the default)"
    )
    command.add_argument("--workers", type=int, default=argparse.SUPPRESS, help="how many workers")
    command.add_argument(
        "--ready-file", type=Path, help="once ready, url, key file and pid are written here"
    )
    command.set_defaults(run=lambda settings, given: serve(settings, ready_file=given.ready_file))
    command = commands.add_parser("api", parents=[common, listening], help="the API alone")
    command.set_defaults(run=lambda settings, _: serve_api(settings))
    command = commands.add_parser("migrate", parents=[common], help="bring the database up to date")
    command.set_defaults(run=lambda settings, _: migrate(settings))
    command = commands.add_parser(
        "reconcile", parents=[common], help="put back what was lost, in a process of its own"
    )
    command.set_defaults(run=lambda settings, _: _reconcile(settings))
    command = commands.add_parser("admin", parents=[common], help="tenants, keys, blobs, backups")
    admin.add_arguments(command)
    command.set_defaults(run=_admin)
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    given = vars(arguments)
    names = [name for name in ("home", "host", "port", "workers") if name in given]
    return Settings(**{name: given[name] for name in names})


def _reconcile(settings: Settings) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    store = Store(settings.database)
    try:
        blobs = open_blobs(settings.blobs, settings.home)
        Reconciler(store, Bell(settings.redis_url), settings, blobs).run_forever(stop)
    finally:
        store.close()


def _admin(settings: Settings, arguments: argparse.Namespace) -> None:
    admin.run(settings, arguments, partial(print, flush=True))


if __name__ == "__main__":
    sys.exit(main())
