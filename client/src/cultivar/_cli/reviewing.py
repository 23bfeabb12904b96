"""`cultivar jobs items`, `review` and `resume`: a job that waits for a person."""

import argparse
import sys
from pathlib import Path
from typing import Any

from cultivar._cli.listing import listing, show
from cultivar._client import Client
from cultivar._exceptions import ConfigurationError
from cultivar._handles import Job
from cultivar._progress import headline, stderr


def add_to(verbs: Any) -> None:
    items = verbs.add_parser("items", help="list what a job shows to be accepted or rejected")
    items.add_argument("job")
    items.add_argument("--to", type=Path, metavar="FOLDER", help="fetch their images as well")
    items.set_defaults(command=_items)
    review = verbs.add_parser(
        "review",
        help="say what a waiting job is to go on with",
        description="Say what a waiting job is to go on with. Without an option: print what it waits for.",
    )
    review.add_argument("job")
    review.add_argument(
        "--descriptions",
        type=Path,
        metavar="FILE",
        help="one a line, all to go on with, each with {} where the class goes",
    )
    review.add_argument("--accept", nargs="+", default=[], metavar="ID", help="items to keep")
    review.add_argument("--reject", nargs="+", default=[], metavar="ID", help="items to drop")
    review.set_defaults(command=_review)
    resume = verbs.add_parser("resume", help="let a job that waits for a person go on")
    resume.add_argument("job")
    resume.set_defaults(command=_resume)


def hint(job: Job) -> None:
    """Say on standard error how a job that waits is brought on; nothing of any other."""
    ways = {
        "descriptions": f"cultivar jobs review {job.id} --descriptions FILE",
        "edits": f"cultivar jobs items {job.id} --to FOLDER, cultivar jobs review {job.id} --reject ID",
    }
    if job.awaiting is not None:
        way = ways.get(job.awaiting, f"cultivar jobs review {job.id}")
        told = f"Its {job.awaiting} wait to be looked at: {way}\nand then cultivar jobs resume {job.id}"
        stderr().print(told, markup=False, soft_wrap=True)


def _items(client: Client, arguments: argparse.Namespace) -> None:
    job = client.jobs.get(arguments.job)
    table = listing("id", "class", "description", "decision", "verdict")
    for item in job.items():
        table.add_row(item.id, item.label, item.description, item.decision, item.verdict or "")
    show(table, f"{job.id} ({job.state}) shows nothing.")
    if arguments.to:
        for path in job.download_items(arguments.to):
            stderr().print(f"wrote {path}", markup=False, soft_wrap=True)


def _review(client: Client, arguments: argparse.Namespace) -> None:
    job = client.jobs.get(arguments.job)
    given = None if arguments.descriptions is None else _lines(arguments.descriptions)
    if given is None and not arguments.accept and not arguments.reject:
        _tell(job)
        return
    job.review(descriptions=given, accept=arguments.accept, reject=arguments.reject)
    said = job.reviews
    if given is not None:
        print(f"{len(said.descriptions or ())} descriptions")
    else:
        print(f"{len(said.accepted)} accepted, {len(said.rejected)} rejected")
    stderr().print(f"It goes on with cultivar jobs resume {job.id}", markup=False, soft_wrap=True)


def _resume(client: Client, arguments: argparse.Namespace) -> None:
    print(headline(client.jobs.get(arguments.job).resume().record))


def _tell(job: Job) -> None:
    """Print the descriptions as they stand, fit to be edited and given back; and what is awaited."""
    said = job.reviews
    for description in said.descriptions or job.result.get("descriptions") or ():
        print(description)
    for verdict, ids in (("accepted", said.accepted), ("rejected", said.rejected)):
        if ids:
            stderr().print(f"{verdict}: {' '.join(ids)}", markup=False, soft_wrap=True)
    hint(job)


def _lines(path: Path) -> list[str]:
    """Return the descriptions of a file, or of standard input for `-`.

    Raises:
        ConfigurationError: it has none, or is no text.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text in UTF-8: {error}") from error
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line]
    if not found:
        raise ConfigurationError(f"{path} has no description, one a line is expected")
    return found
