"""`cultivar jobs` and `cultivar report`: look at jobs, wait for them, fetch what they made."""

import argparse
import json
from pathlib import Path
from typing import Any

from cultivar._cli import deleting, reviewing
from cultivar._cli.listing import listing, show
from cultivar._client import Client
from cultivar._progress import headline, stderr
from cultivar.specs._requests import KINDS

MOST_LISTED = 50


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "jobs", help="list, show, wait for, review, cancel, download and delete jobs"
    )
    parser.set_defaults(command=_list, kind=None, state=None)
    verbs = parser.add_subparsers(metavar="VERB", title="verbs (list, if none is given)")
    newest = verbs.add_parser("list", help=f"list the newest {MOST_LISTED} jobs")
    newest.add_argument("--kind", choices=sorted([*KINDS, "ingest"]))
    newest.add_argument("--state", help="queued, running, succeeded, failed …")
    newest.set_defaults(command=_list)
    for verb, command, text in (
        ("show", _show, "show a job as JSON"),
        ("wait", _wait, "wait until a job has ended, or waits for a person"),
        ("cancel", _cancel, "ask the service to stop a job"),
        ("events", _events, "show what has happened to a job"),
        ("download", _download, "fetch a job's files"),
    ):
        sub = verbs.add_parser(verb, help=text)
        sub.add_argument("job")
        sub.set_defaults(command=command)
        if verb == "wait":
            sub.add_argument(
                "--until-ended",
                action="store_true",
                help="go on waiting while the job itself waits for a person",
            )
        if verb == "download":
            sub.add_argument("names", nargs="*", metavar="NAME", help="by default all of them")
            sub.add_argument("--to", type=Path, default=Path(), help="folder; by default this one")
    reviewing.add_to(verbs)
    deleting.add_to(verbs, "job", lambda client: client.jobs.delete)
    images = verbs.add_parser("images", help="fetch a job's synthetic images into a folder")
    images.add_argument("job")
    images.add_argument("folder", type=Path, help="is made, or is empty; one folder a class in it")
    images.set_defaults(command=_images)
    report = commands.add_parser("report", help="say whether a job's data helped, and by how much")
    report.add_argument("job")
    report.add_argument("--json", action="store_true", help="print the whole report.json")
    report.add_argument("--save", type=Path, help="folder for report.json and report.html")
    report.set_defaults(command=_report)


def _list(client: Client, arguments: argparse.Namespace) -> None:
    table = listing("id", "kind", "state", "made", "error")
    jobs = client.jobs.list(kind=arguments.kind, state=arguments.state)
    for job, _ in zip(jobs, range(MOST_LISTED), strict=False):
        made = job.record.created_at
        when = f"{made:%Y-%m-%d %H:%M}" if made else ""
        table.add_row(job.id, job.kind, job.state, when, str((job.error or {}).get("code", "")))
    show(table, "There are no such jobs." if arguments.kind or arguments.state else "No jobs yet.")


def _show(client: Client, arguments: argparse.Namespace) -> None:
    print(client.jobs.get(arguments.job).record.model_dump_json(indent=2))


def _wait(client: Client, arguments: argparse.Namespace) -> None:
    job = client.jobs.get(arguments.job).wait(until_ended=arguments.until_ended)
    reviewing.hint(job)
    print(job.state)


def _cancel(client: Client, arguments: argparse.Namespace) -> None:
    print(headline(client.jobs.get(arguments.job).cancel().record))


def _events(client: Client, arguments: argparse.Namespace) -> None:
    for event in client.jobs.get(arguments.job).events():
        when = f"{event.created_at:%H:%M:%S}" if event.created_at else ""
        print(f"{event.seq:>5}  {when}  {event.type:<14}  {json.dumps(event.data)}")


def _download(client: Client, arguments: argparse.Namespace) -> None:
    job = client.jobs.get(arguments.job)
    paths = job.download(arguments.to, arguments.names or None)
    for path in paths:
        print(path)
    if not paths:
        stderr().print(f"{job.id} ({job.state}) has made no files.", markup=False)


def _images(client: Client, arguments: argparse.Namespace) -> None:
    made = client.jobs.get(arguments.job).images(arguments.folder)
    stderr().print(f"{len(made):,} images of {len(made.classes)} classes", markup=False)
    print(made.folder)


def _report(client: Client, arguments: argparse.Namespace) -> None:
    job = client.jobs.get(arguments.job)
    if arguments.save:
        job.download(arguments.save, ["report.json", "report.html"])
    print(json.dumps(job.report.data, indent=2) if arguments.json else job.report)
