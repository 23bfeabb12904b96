"""`cultivar jobs delete` and `cultivar datasets delete`: show what goes, ask, delete."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cultivar._cli.listing import listing, show
from cultivar._client import Client
from cultivar._deleting import Deletion, JobMade
from cultivar._exceptions import CultivarError, status_error
from cultivar._progress import stderr

Delete = Callable[..., Deletion]


def add_to(verbs: Any, noun: str, of: Callable[[Client], Delete]) -> None:
    """Add ``delete`` for a noun, and how a client does it."""
    sub = verbs.add_parser(
        "delete", help=f"delete a {noun} with all that it has made; shows that first, and asks"
    )
    sub.add_argument(noun)
    sub.add_argument("--dry-run", action="store_true", help="show what would go; delete nothing")
    sub.add_argument("--yes", action="store_true", help="do not ask")
    derived = sub.add_mutually_exclusive_group()
    derived.add_argument(
        "--cascade", action="store_true", default=None, help="delete what derives from it too"
    )
    derived.add_argument(
        "--keep-derived", action="store_false", dest="cascade", help="keep what derives from it"
    )
    sub.set_defaults(command=lambda client, given: _delete(of(client), noun, given))


def _delete(delete: Delete, noun: str, given: argparse.Namespace) -> None:
    named = vars(given)[noun]
    found = delete(named, dry_run=True, cascade=given.cascade)
    _describe(found)
    if given.dry_run:
        if found.refusal is not None:
            print(f"It would be refused, {found.refusal.code}: {found.refusal.detail}")
        return
    if found.refusal is not None:
        # Not left to the deletion: by then what stood in the way may be gone, and nobody was asked.
        raise status_error(409, found.refusal.model_dump())
    if not given.yes and not _agreed(named):
        raise CultivarError("nothing was deleted")
    done = delete(named, cascade=given.cascade)
    stderr().print(f"deleted {named}, {_size(done)}", markup=False)


def _agreed(named: str) -> bool:
    if not sys.stdin.isatty():
        raise CultivarError("nothing was deleted: nobody can be asked here; say --yes")
    return input(f"Delete {named} and all of the above? [y/N] ").strip().lower() in {"y", "yes"}


def _describe(found: Deletion) -> None:
    table = listing("goes", "kind", "state", "with")
    _add(table, found.jobs)
    for upload in found.uploads:
        table.add_row(upload, "upload", "", "")
    show(table, "")
    if found.derived:
        stays = listing("derives from it and stays", "kind", "state", "with")
        _add(stays, found.derived)
        show(stays, "")
    print(_size(found))


def _add(table: Any, jobs: Sequence[JobMade]) -> None:
    for job in jobs:
        made = [one for one in (job.dataset, job.generator, job.classifier) if one]
        if job.artifacts:
            made.append(f"{job.artifacts} files")
        table.add_row(job.id, job.kind, job.state, ", ".join(made))


def _size(found: Deletion) -> str:
    return f"{found.freed_blobs:,} files of {found.freed_bytes:,} bytes that nothing else names"
