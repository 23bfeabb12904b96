"""Which columns of the uploaded files make up which rows of the dataset."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from models.embeddings.column import Column, Source, VectorColumn
from models.embeddings.limits import Limits
from models.embeddings.spec import Columns
from models.embeddings.vocabulary import check_text
from models.embeddings.wording import listing, show
from models.errors import InputProblem

TRAIN, VAL, TEST, UNASSIGNED = 0, 1, 2, -1
SPLITS = {"train": TRAIN, "val": VAL, "test": TEST, "unassigned": UNASSIGNED}
Rows = TypeVar("Rows", bound="Labelled")


class Labelled(Protocol):
    """Rows that stand together, and the columns that tell of each what it is.

    Attributes:
        split: what its rows are where it has no column that says so.
    """

    @property
    def rows(self) -> int: ...
    @property
    def split(self) -> int: ...
    @property
    def y(self) -> Column: ...
    @property
    def splits(self) -> Column | None: ...
    @property
    def id(self) -> Column | None: ...


class Part(NamedTuple):
    """Rows that stand together in the files: a table, or the arrays ``x``, ``x_val``, ``x_test``.

    Attributes:
        split: what its rows are where it has no column that says so.
    """

    split: int
    x: VectorColumn
    y: Column
    splits: Column | None
    id: Column | None
    subdomain: Column | None
    group: Column | None

    @property
    def rows(self) -> int:
        return self.x.rows


def find_parts(sources: Sequence[Source], columns: Columns, limits: Limits) -> list[Part]:
    """Return the parts of a dataset in the order of its rows.

    Raises:
        InputProblem: ``column_missing`` with what was found instead, ``length_mismatch``,
            ``no_rows``, ``too_many_rows``.
    """
    parts = [part for source in sources for part in _parts_of(source, columns)]
    for part in parts:
        _check_lengths(part)
    rows = sum(part.x.rows for part in parts)
    if rows == 0:
        raise InputProblem(
            "no_rows", f"{parts[0].x.where} has no rows; expected some of two classes.", "columns.x"
        )
    if rows > limits.max_rows:
        raise InputProblem(
            "too_many_rows",
            f"{parts[0].x.where} and what belongs to it have {rows:,} rows; at most "
            f"{limits.max_rows:,} are taken.",
            "columns.x",
        )
    return parts


def locate(parts: Sequence[Rows], row: int) -> tuple[Rows, int]:
    """Return the part that a row of the dataset is in, and its number there."""
    for part in parts:
        if row < part.rows:
            return part, row
        row -= part.rows
    raise IndexError(row)


def _parts_of(source: Source, columns: Columns) -> list[Part]:
    names = set(source.names())
    aside = {
        ending: split
        for ending, split in (("_val", VAL), ("_test", TEST))
        if {_derived(columns.x, ending), _derived(columns.y, ending)} & names
    }
    # Naming another part for validation or test says that the first one is for training.
    first = _part(source, columns, "", TRAIN if aside else UNASSIGNED)
    return [first, *(_part(source, columns, ending, split) for ending, split in aside.items())]


def _part(source: Source, columns: Columns, ending: str, split: int) -> Part:
    def required(field: str, name: str) -> VectorColumn:
        derived = _derived(name, ending)
        column = source.column(derived)
        if column is None:
            why = f" It is needed beside {show(_derived(columns.x, ending))}." if ending else ""
            raise InputProblem(
                "column_missing",
                f"{source.where} has no {show(derived)}, which `columns.{field}` asks for; found "
                f"{listing(source.names())}.{why}",
                f"columns.{field}",
            )
        return column

    def optional(field: str, name: str | None) -> Column | None:
        return None if name is None else required(field, name)

    return Part(
        split=split,
        x=required("x", columns.x),
        y=required("y", columns.y),
        # The name of a part apart already says its split.
        splits=None if ending else optional("split", columns.split),
        id=optional("id", columns.id),
        subdomain=optional("subdomain", columns.subdomain),
        group=optional("group", columns.group),
    )


def _derived(name: str, ending: str) -> str:
    """Return e.g. ``x_test`` for ``x``, and for ``x_train``."""
    return (name.removesuffix("_train") if ending else name) + ending


def _check_lengths(part: Part) -> None:
    for column in (part.y, part.splits, part.id, part.subdomain, part.group):
        if column is not None and column.rows != part.x.rows:
            raise InputProblem(
                "length_mismatch",
                f"{part.x.where} has {part.x.rows:,} rows, {column.where} has {column.rows:,}; "
                "expected as many.",
                column.name,
            )


def declared_classes(
    sources: Sequence[Source], columns: Columns, limits: Limits
) -> list[str] | None:
    """Return the class names that the files declare, or None.

    Raises:
        InputProblem: ``column_missing`` when a name was asked for that is not there,
            ``bad_classes`` when two files do not agree, or a name is there twice.
    """
    found: list[str] | None = None
    for source in sources:
        names = source.class_names(columns.classes)
        if names is not None and found is not None and names != found:
            raise InputProblem(
                "bad_classes",
                f"{source.where} declares other classes than the file before it; expected the same.",
                "columns.classes",
            )
        found = names if names is not None else found
    if found is None and columns.classes != Columns.model_fields["classes"].default:
        raise InputProblem(
            "column_missing",
            f"{sources[0].where} has no {show(columns.classes)}, which `columns.classes` asks for; "
            f"found {listing(sources[0].names())}.",
            "columns.classes",
        )
    check_class_names(found or [], sources[0].where, limits)
    return found


def check_class_names(names: Sequence[str], where: str, limits: Limits) -> None:
    """Refuse declared names that are not one for each class.

    Raises:
        InputProblem: ``bad_classes``, ``text_too_long``, ``bad_text``.
    """
    wrong = ""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if len(names) > limits.max_names:
        wrong = f"{len(names):,} classes; at most {limits.max_names:,} are taken"
    elif "" in names:
        wrong = f"no name for class {names.index('')}; expected one for each"
    elif twice:
        wrong = f"two classes of the same name: {listing(twice)}; expected each once"
    if wrong:
        raise InputProblem("bad_classes", f"{where} declares {wrong}.", "columns.classes")
    for name in names:
        check_text(name, f"{where}, among the classes,", "columns.classes", limits)
