"""``backup``, ``verify`` and ``restore`` on the command line."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

from app.backup.checking import check_backup, check_service
from app.backup.findings import Findings, Say
from app.backup.folder import BackupError, Folder
from app.backup.restoring import restore_backup
from app.backup.taking import take_backup
from app.home import lock_home, migrate
from app.settings import Settings
from app.store.blobs import BlobStore, open_blobs
from app.store.database import Store

if TYPE_CHECKING:
    Nouns = argparse._SubParsersAction[argparse.ArgumentParser]


def add_arguments(nouns: "Nouns") -> None:
    """Add ``backup FOLDER``, ``verify [FOLDER]`` and ``restore FOLDER``."""
    command = nouns.add_parser("backup", help="copy database and blobs into a new folder")
    command.add_argument(
        "folder", metavar="FOLDER", type=Path, help="does not exist yet, or is empty"
    )
    command.set_defaults(action=_backup)
    command = nouns.add_parser(
        "verify", help="look at every row and blob, of the service or a backup"
    )
    command.add_argument(
        "folder", metavar="FOLDER", type=Path, nargs="?", help="of a backup; by default the service"
    )
    command.set_defaults(action=_verify)
    command = nouns.add_parser("restore", help="put a backup into an empty database and blob store")
    command.add_argument("folder", metavar="FOLDER", type=Path, help="of a backup")
    command.set_defaults(action=_restore)


def _backup(settings: Settings, arguments: argparse.Namespace, say: Say) -> None:
    with service(settings) as (store, blobs):
        findings = take_backup(store, blobs, Folder(arguments.folder), say)
    _judge(findings, "the backup is finished, but the service had lost something before")


def _verify(settings: Settings, arguments: argparse.Namespace, say: Say) -> None:
    if arguments.folder is not None:
        findings = check_backup(Folder(arguments.folder), say)
    else:
        with service(settings) as (store, blobs):
            findings = check_service(store, blobs, say)
    _judge(findings, "something is wrong")


def _restore(settings: Settings, arguments: argparse.Namespace, say: Say) -> None:
    folder = Folder(arguments.folder)
    folder.manifest()  # before anything is made for its sake
    with lock_home(settings.home):
        migrate(settings)
        with service(settings) as (store, blobs):
            findings = restore_backup(folder, store, blobs, say)
    _judge(findings, "all that could be was restored")


def _judge(findings: Findings, what: str) -> None:
    if findings.faults:
        raise BackupError(f"{what}: {findings.sentence()}")


@contextmanager
def service(settings: Settings) -> Iterator[tuple[Store, BlobStore]]:
    """Open database and blob store of a service that exists.

    Raises:
        BackupError: there is none: a wrong folder is not made into one.
    """
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise BackupError(f"there is no database {url.database}")
    store = Store(settings.database)
    try:
        yield store, open_blobs(settings.blobs, settings.home)
    finally:
        store.close()
