"""Classes and splits out of the folders that files lie in."""

from collections.abc import Sequence
from typing import NamedTuple

from models.embeddings.wording import show
from models.errors import InputProblem
from models.raw.parts import SPLIT_WORDS


class Place(NamedTuple):
    """What a file's folders say of it, where they say it."""

    split: int | None
    label: str | None


def places(names: Sequence[str]) -> list[Place]:
    """Return what each path says: `class/x.jpg`, `train/class/x.jpg`, either below one common folder."""
    folders = [tuple(name.split("/")[:-1]) for name in names]
    while _wrapped(folders):
        folders = [parts[1:] for parts in folders]
    return [_place(parts) for parts in folders]


def check_labels(
    names: Sequence[str], found: Sequence[Place], where: str, *, optional: bool
) -> None:
    """Refuse files whose folders are no class.

    Raises:
        InputProblem: ``label_missing``, ``bad_layout``, each with the file.
    """
    for name, place in zip(names, found, strict=True):
        if place.label is None and not optional:
            raise InputProblem(
                "label_missing",
                f"{where} has {show(name)} in no folder of a class; expected e.g. 'dog/1.jpg' or "
                "'train/dog/1.jpg', or a metadata.csv with a column of labels. Files that are meant "
                "to have no label need `columns.unlabelled: true`.",
                "columns.label",
            )
        if place.label is not None and "/" in place.label:
            raise InputProblem(
                "bad_layout",
                f"{where} has {show(name)} in the folders {show(place.label)}; expected one folder a "
                "class, below 'train', 'val' or 'test' if at all.",
                "columns.label",
            )


def _wrapped(folders: Sequence[tuple[str, ...]]) -> bool:
    """Tell whether every file lies in one and the same folder, and in another within it."""
    first = {parts[:1] for parts in folders}
    common = next(iter(first)) if len(first) == 1 else ()
    inner = all(len(parts) >= 2 for parts in folders)
    return bool(common) and inner and common[0].lower() not in SPLIT_WORDS


def _place(parts: tuple[str, ...]) -> Place:
    split = SPLIT_WORDS.get(parts[0].lower()) if parts else None
    rest = parts[1:] if split is not None else parts
    return Place(split, "/".join(rest) or None)
