"""`cultivar run`: data in, a job, its outcome."""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from cultivar import specs
from cultivar._cli import reviewing
from cultivar._cli.datasets import MODALITIES
from cultivar._client import Client
from cultivar._exceptions import ConfigurationError, JobFailed
from cultivar._handles import Job
from cultivar._progress import stderr
from cultivar.specs._requests import KINDS

Command = Callable[[], None]

NOT_RELEASED = "not_released"
"""Code of a job whose conditions of release did not hold."""

_ON_IMAGES = frozenset({"alia", "glico"})
"""Kinds of job whose data are images, without being told so."""

_EDITORS = get_args(specs.EditSpec.model_fields["editor"].annotation)
"""Of `alia` jobs."""

_NO_DATASET = f"ds_{0:032x}"
"""Stands for a dataset that is still a file, while the rest of the spec is looked at."""


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "run",
        help="run a job and wait for it",
        description="Run a job, wait for it, print its report. Ctrl-C detaches: the job goes on.",
    )
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--dataset", help="a dataset's id, or a file or folder to upload")
    parser.add_argument(
        "--modality",
        choices=MODALITIES,
        help="of what is uploaded (alia, glico: image; others: embedding)",
    )
    parser.add_argument("--encoder", metavar="MODEL", help="what makes embeddings of raw data")
    parser.add_argument(
        "--size", type=int, metavar="N", help="alia, glico: side in pixels of what classifiers read"
    )
    parser.add_argument(
        "--backbone",
        metavar="MODEL",
        help="alia, glico: an image model for the classifier to start at",
    )
    _add_editing(parser)
    parser.add_argument("--generator", help="sample: a generator's or a job's id")
    parser.add_argument("--mix", action="append", metavar="JOB", help="classifier: rows to add")
    parser.add_argument("--raise-to", type=int, metavar="N", help="raise every class to N rows")
    parser.add_argument("--per-class", type=int, metavar="N", help="N synthetic rows a class")
    parser.add_argument("--match", choices=["largest", "median"], help="raise to that class's size")
    parser.add_argument("--multiply", type=float, metavar="F", help="F synthetic rows a real one")
    parser.add_argument("--seed", type=int, help="everything random follows from it")
    parser.add_argument("--no-evaluate", action="store_true", help="no controls, no report")
    parser.add_argument(
        "--release-if",
        action="append",
        default=[],
        metavar="CONDITION=VALUE",
        help="alia, gelda, glico: hand nothing out unless it holds, as in min_gain_low=0 or max_copy_share=0",
    )
    parser.add_argument("--spec", type=Path, help="JSON file with the spec; options win over it")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="any other field, as in objective.steps=300 or edit.strength=0.6",
    )
    parser.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where its files go")
    parser.add_argument("--detach", action="store_true", help="print the job's id and leave")
    parser.set_defaults(command=_run)


def _add_editing(parser: argparse.ArgumentParser) -> None:
    """Add what is asked of an `alia` job alone."""
    alia = parser.add_argument_group("alia")
    alia.add_argument("--subject", metavar="WORD", help="what the classes are kinds of: bird")
    alia.add_argument("--editor", metavar="NAME", help=f"{', '.join(_EDITORS)}; by default img2img")
    alia.add_argument(
        "--descriptions",
        type=Path,
        metavar="FILE",
        help="the domains, where they are known: a line each, with {} where the class goes",
    )
    alia.add_argument(
        "--extra",
        metavar="DATASET",
        help="further real images to compare with: an id, or a file or folder to upload",
    )
    alia.add_argument(
        "--pause-after",
        choices=["summarise"],
        help="wait for a person to look at the descriptions found",
    )
    alia.add_argument(
        "--review",
        choices=["sample", "all"],
        help="wait for a person to accept or reject some or all of the edits",
    )


def _run(client: Client, arguments: argparse.Namespace) -> None:
    fields = _fields(arguments)
    metadata = dict(_pair(text) for text in arguments.metadata)
    files = _files(fields)
    # A spec that is at fault shows before gigabytes are sent for it.
    spec = specs.parse(fields | dict.fromkeys(files, _NO_DATASET))
    if files:
        modality = arguments.modality or ("image" if arguments.kind in _ON_IMAGES else "embedding")
        for field, file in files.items():
            fields[field] = client.datasets.upload(file, modality=modality)
        spec = specs.parse(fields)
    job = client.jobs.create(
        spec,
        evaluate=False if arguments.no_evaluate else None,
        metadata=metadata or None,
    )
    if arguments.detach:
        print(job.id)
        return
    try:
        job.wait()
    except JobFailed as error:
        if error.code == NOT_RELEASED:  # its report says why, and by how much
            _tell(job, arguments)
        raise
    reviewing.hint(job)
    _tell(job, arguments)


def _files(fields: dict[str, Any]) -> dict[str, Path]:
    """Return, by field, the files and folders that stand in the place of a dataset's id."""
    files = {}
    for field in ("dataset", "extra"):
        named = fields.get(field)
        if isinstance(named, str) and not re.fullmatch(r"ds_[0-9a-f]{32}", named):
            files[field] = Path(named).expanduser()
            if not files[field].exists():
                raise ConfigurationError(
                    f"{named} is neither a file here nor a dataset's id (ds_…)"
                )
    return files


def _tell(job: Job, arguments: argparse.Namespace) -> None:
    names = {artifact.name for artifact in job.artifacts}
    if arguments.output:
        for path in job.download(arguments.output):
            stderr().print(f"wrote {path}", markup=False)
    if "report.json" in names:
        print(job.report)
    print(job.id)


def _fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the spec's fields: those of the file, then options, then `--set`."""
    fields = _of_file(arguments.spec) if arguments.spec else {}
    fields["kind"] = arguments.kind
    plan = ("raise_to", "per_class", "match", "multiply")
    alone = ("extra", "subject", "pause_after", "review")
    names = ("dataset", "generator", "mix", "size", *alone, *plan, "seed")
    given = {name: getattr(arguments, name) for name in names}
    fields.update({name: value for name, value in given.items() if value is not None})
    if arguments.descriptions:
        lines = arguments.descriptions.read_text(encoding="utf-8").splitlines()
        fields["descriptions"] = [line.strip() for line in lines if line.strip()]
    inner = {
        ("encoder", "model"): arguments.encoder,
        ("classifier", "backbone"): arguments.backbone,
        ("edit", "editor"): arguments.editor,
    }
    for (part, name), value in inner.items():
        if value:
            fields[part] = {**(fields.get(part) or {}), name: value}
    _set(fields, [*arguments.set, *(f"release_if.{one}" for one in arguments.release_if)])
    return fields


def _set(fields: dict[str, Any], texts: list[str]) -> None:
    """Set fields by their paths, as in `objective.steps=300`."""
    for text in texts:
        path, value = _pair(text)
        *parents, last = path.split(".")
        inner = fields
        for parent in parents:
            found = inner.get(parent)
            # Copied: a part that came from a file stays as the file has it.
            inner[parent] = dict(found) if isinstance(found, dict) else {}
            inner = inner[parent]
        inner[last] = _value(value)


def _of_file(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{path} should hold a JSON object, a spec's fields")
    return fields


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} should look like NAME=VALUE")
    return name, value


def _value(text: str) -> Any:
    """Return a JSON value, or the text itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
