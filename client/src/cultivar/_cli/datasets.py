"""`cultivar datasets`: bring data to the service and look at it."""

import argparse
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from cultivar._cli import deleting
from cultivar._cli.listing import listing, show
from cultivar._client import Client
from cultivar._handles import Dataset
from cultivar._progress import stderr

EMBEDDINGS = {
    "x": "the embeddings; by default x",
    "y": "the labels; by default y",
    "classes": "names of the classes; by default classes",
}
RAW = {
    "item": "what an item is in: by default image, audio, text, or file_name",
    "label": "the labels of raw data; by default label, or the folder's name",
}
COLUMNS = {
    "split": "train, val or test",
    "id": "your identifier of a row",
    "subdomain": "language, site, season …",
    "group": "what must stay together: speaker, patient …",
}
MODALITIES = ("embedding", "image", "audio", "text")


def add_to(commands: Any) -> None:
    parser = commands.add_parser("datasets", help="upload, list, show and delete datasets")
    parser.set_defaults(command=_list)
    verbs = parser.add_subparsers(metavar="VERB", title="verbs (list, if none is given)")
    upload = verbs.add_parser("upload", help="bring a file (or several, in order) to the service")
    upload.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="npz, npy, safetensors, parquet …; raw: a folder, zip, tar, parquet, jsonl, csv",
    )
    upload.add_argument(
        "--modality", choices=MODALITIES, default="embedding", help="what a row is (embedding)"
    )
    upload.add_argument("--name", help="for people; by default the file's name")
    upload.add_argument("--format", help="by default told by the suffix")
    for column, holds in (EMBEDDINGS | RAW | COLUMNS).items():
        upload.add_argument(f"--{column}", metavar="COLUMN", help=f"array or column of {holds}")
    upload.add_argument(
        "--unlabelled", action="store_true", help="rows may have no label: null, NaN, empty or -1"
    )
    upload.add_argument(
        "--max-bad-share",
        type=float,
        metavar="SHARE",
        help="raw: share of items at fault up to which the rest is taken (0.1)",
    )
    upload.add_argument("--detach", action="store_true", help="do not wait until it is ready")
    upload.set_defaults(command=_upload)
    listing = verbs.add_parser("list", help="list datasets, newest first")
    listing.set_defaults(command=_list)
    shown = verbs.add_parser("show", help="show what is in a dataset")
    shown.add_argument("dataset")
    shown.add_argument(
        "--thumbnails",
        metavar="FOLDER",
        help="images: write one picture of some of each class there",
    )
    shown.set_defaults(command=_show)
    deleting.add_to(verbs, "dataset", lambda client: client.datasets.delete)


def columns_of(arguments: argparse.Namespace) -> dict[str, str | bool | float]:
    """Return what was said of columns; the service refuses what the modality does not have."""
    names = (*EMBEDDINGS, *RAW, *COLUMNS, "unlabelled", "max_bad_share")
    given = vars(arguments)
    return {name: given[name] for name in names if given.get(name) not in (None, False)}


def _upload(client: Client, arguments: argparse.Namespace) -> None:
    dataset = client.datasets.upload(
        arguments.files,
        name=arguments.name,
        format=arguments.format,
        columns=columns_of(arguments) or None,
        modality=arguments.modality,
    )
    if not arguments.detach:
        dataset.wait()
    print(dataset.id)


def _list(client: Client, _arguments: argparse.Namespace) -> None:
    table = listing("id", "name", "state", "rows", "classes", "made")
    for dataset in client.datasets.list():
        rows, classes = _size(dataset)
        made = dataset.record.created_at
        when = f"{made:%Y-%m-%d %H:%M}" if made else ""
        table.add_row(dataset.id, dataset.name, dataset.state, rows, classes, when)
    show(table, "There are no datasets yet.")


def _show(client: Client, arguments: argparse.Namespace) -> None:
    dataset = client.datasets.get(arguments.dataset)
    console = Console()
    console.print(f"{dataset.name} · {dataset.state}", markup=False)
    if dataset.error:
        console.print(f"{dataset.error['code']}: {dataset.error['detail']}", markup=False)
    if dataset.manifest:
        rows, classes = _size(dataset)
        bare = dataset.manifest.get("unlabelled")
        without = f", {bare} without a label" if bare else ""
        dim = dataset.manifest.get("dim")
        what = f"rows × {dim}" if dim else f"items of {dataset.record.modality}"
        console.print(f"{rows} {what}, {classes} classes{without}")
        counts = Table("class", "rows", box=box.SIMPLE_HEAD)
        for name, count in dict(dataset.manifest.get("class_counts", {})).items():
            counts.add_row(str(name), str(count))
        console.print(counts)
    if arguments.thumbnails:
        stderr().print(f"wrote {dataset.thumbnails(arguments.thumbnails)}", markup=False)


def _size(dataset: Dataset) -> tuple[str, str]:
    manifest = dataset.manifest or {}
    return str(manifest.get("rows", "")), str(len(manifest["classes"]) if manifest else "")
