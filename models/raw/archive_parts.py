"""Archives of class folders, or of files with a `metadata.{csv,jsonl,parquet}` beside them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.embeddings.column import Column
from models.embeddings.parts import UNASSIGNED
from models.embeddings.vocabulary import FROM_0
from models.embeddings.wording import listing, show, size
from models.errors import InputProblem
from models.raw.archives import Archive, Member
from models.raw.extensions import MEDIA, extension
from models.raw.folders import Place, check_labels, places
from models.raw.limits import RawLimits
from models.raw.list_column import ListColumn
from models.raw.parts import RawItem, RawPart
from models.raw.problem import ItemProblem
from models.raw.spec import RawColumns
from models.raw.table_part import declared_names, wanted_columns
from models.raw.tables import RawTable, open_table, required

_METADATA = {"metadata.csv": "csv", "metadata.jsonl": "jsonl", "metadata.parquet": "parquet"}


def archive_parts(
    archive: Archive, columns: RawColumns, prefix: str, limits: RawLimits, scratch: Path
) -> list[RawPart]:
    """Return the rows of one archive, those of each metadata file together.

    Args:
        archive: what has been opened.
        columns: which column of the metadata holds what.
        prefix: what the names of its items begin with; '' where there is one archive only.
        limits: what the metadata may claim.
        scratch: a folder for a copy of the metadata.

    Raises:
        InputProblem: ``label_missing``, ``bad_layout``, ``file_missing``, ``row_missing``,
            ``column_missing``, and what is wrong with the metadata.
    """
    tables = [member for member in archive.members if member.name.rpartition("/")[2] in _METADATA]
    files = [member for member in archive.members if member not in set(tables)]
    if not tables:
        return [_folder_part(archive, files, columns, prefix, limits)]
    homes = {member.name.rpartition("/")[0]: member for member in tables}
    if len(homes) < len(tables):
        raise InputProblem(
            "bad_layout",
            f"{archive.where} has {listing(member.name for member in tables)}; expected one metadata "
            "file a folder.",
            archive.filename,
        )
    theirs: dict[str | None, list[Member]] = {}
    for file in files:
        theirs.setdefault(_home(file.name, homes), []).append(file)
    homeless = _ignored(archive, theirs.pop(None, []))
    return [
        _metadata_part(
            archive,
            member,
            theirs.get(home, []),
            columns,
            prefix,
            limits,
            scratch,
            ignored=() if number else homeless,
        )
        for number, (home, member) in enumerate(homes.items())
    ]


def _home(name: str, homes: dict[str, Member]) -> str | None:
    """Return the nearest folder above a file that has a metadata file."""
    folder = name
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in homes:
            return folder
    return None


def _folder_part(
    archive: Archive, files: Sequence[Member], columns: RawColumns, prefix: str, limits: RawLimits
) -> RawPart:
    for role in ("split", "id", "subdomain", "group"):
        if getattr(columns, role) is not None or columns.label != RawColumns().label:
            asked = role if getattr(columns, role) is not None else "label"
            raise InputProblem(
                "column_missing",
                f"{archive.where} has no metadata.csv, .jsonl or .parquet, in which `columns.{asked}` "
                "would be looked for.",
                f"columns.{asked}",
            )
    # What lies above all pictures and clips and is none tells about the set: a read-me.
    media = [file for file in files if extension(file.name) in MEDIA]
    depth = min((file.name.count("/") for file in media), default=1)
    notes = set(files) - set(media)
    notes = {file for file in notes if file.name.count("/") < depth}
    items = [file for file in files if file not in notes]
    names = [file.name for file in items]
    found = places(names)
    check_labels(names, found, archive.where, optional=columns.unlabelled)
    folders = f"the folders of {archive.where}"
    return RawPart(
        where=archive.where,
        rows=len(items),
        y=ListColumn("label", folders, [place.label for place in found]),
        id=ListColumn("id", archive.where, [prefix + name for name in names]),
        items=lambda: _items(archive, items, range(len(items)), prefix, limits),
        splits=_split_column(found, folders),
        ignored=tuple(sorted(file.name for file in notes)),
    )


def _metadata_part(
    archive: Archive,
    member: Member,
    files: Sequence[Member],
    columns: RawColumns,
    prefix: str,
    limits: RawLimits,
    scratch: Path,
    ignored: tuple[str, ...],
) -> RawPart:
    item = columns.item or "file_name"
    table = _open(archive, member, wanted_columns(columns, item), limits, scratch)
    home = member.name.rpartition("metadata.")[0]
    names = [home + name for name in _file_names(table, item)]
    order, notes = _match(names, files, table, archive)
    found = places(names)
    named = {role: getattr(columns, role) for role in ("split", "id", "subdomain", "group")}
    taken = {role: required(table, role, name) for role, name in named.items() if name is not None}
    return RawPart(
        where=table.where,
        rows=table.rows,
        y=_labels(table, columns, names, found),
        id=taken.get("id") or ListColumn("id", table.where, [prefix + name for name in names]),
        items=lambda: _items(
            archive, [files[at] for at in order], list(order.values()), prefix, limits
        ),
        splits=taken.get("split") or _split_column(found, f"the folders of {archive.where}"),
        subdomain=taken.get("subdomain"),
        group=taken.get("group"),
        declared=declared_names(table, columns),
        ignored=notes + ignored,
    )


def _open(
    archive: Archive, member: Member, wanted: Sequence[str], limits: RawLimits, scratch: Path
) -> RawTable:
    """Return the table of a metadata file, from a copy under a name of our own."""
    filename = f"{archive.filename}/{member.name}"
    if member.size > limits.max_metadata:
        raise InputProblem(
            "table_too_large",
            f"{show(filename)} has {size(member.size)}; at most {size(limits.max_metadata)} are taken.",
            filename,
        )
    copy = scratch / str(len(list(scratch.iterdir())))
    try:
        copy.write_bytes(archive.read(member))
    except ItemProblem as problem:
        raise InputProblem("bad_archive", f"{show(filename)} {problem.detail}.", filename) from None
    return open_table(copy, filename, _METADATA[member.name.rpartition("/")[2]], wanted, limits)


def _file_names(table: RawTable, item: str) -> list[str]:
    column = required(table, "item", item)
    names = [value for block in column.values() for value in block]
    odd = next(
        (row for row, name in enumerate(names) if not (isinstance(name, str) and name)), None
    )
    if odd is not None:
        raise InputProblem(
            "file_missing",
            f"{column.where} has {show(names[odd])} in row {odd} ({FROM_0}); expected a file's path.",
            "columns.item",
        )
    paths = [str(name).removeprefix("./") for name in names]
    twice = [name for name, count in Counter(paths).items() if count > 1]
    if twice:
        raise InputProblem(
            "duplicate_id", f"{column.where} has {listing(twice)} more than once.", "columns.item"
        )
    return paths


def _match(
    names: Sequence[str], files: Sequence[Member], table: RawTable, archive: Archive
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return the row of each file by its place among ``files``, and the files that need none."""
    row = {name: number for number, name in enumerate(names)}
    here = {file.name for file in files}
    missing = [number for number, name in enumerate(names) if name not in here]
    if missing:
        more = f", as {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise InputProblem(
            "file_missing",
            f"{table.where} names {show(names[missing[0]])} in row {missing[0]} ({FROM_0}), which is "
            f"not in {archive.where}{more}.",
            "columns.item",
        )
    rest = _ignored(archive, [file for file in files if file.name not in row], table.where)
    return {at: row[file.name] for at, file in enumerate(files) if file.name in row}, rest


def _ignored(
    archive: Archive, files: Sequence[Member], where: str = "any metadata"
) -> tuple[str, ...]:
    """Return the names of files that no row tells of, once none of them is a picture or clip."""
    media = [file.name for file in files if extension(file.name) in MEDIA]
    if media:
        more = f", as {len(media) - 1:,} more" if len(media) > 1 else ""
        raise InputProblem(
            "row_missing",
            f"{archive.where} has {show(media[0])}, which has no row in {where}{more}.",
            "columns.item",
        )
    return tuple(file.name for file in files)


def _labels(
    table: RawTable, columns: RawColumns, names: Sequence[str], found: Sequence[Place]
) -> Column:
    """Return the column of labels, or the class folders where it is not there and was not asked for."""
    in_folders = any(place.label for place in found)
    if columns.label in table.names or columns.label != RawColumns().label or not in_folders:
        return required(table, "label", columns.label)
    check_labels(names, found, table.where, optional=columns.unlabelled)
    return ListColumn("label", f"the folders of {table.where}", [place.label for place in found])


def _split_column(found: Sequence[Place], where: str) -> Column | None:
    if all(place.split is None for place in found):
        return None
    codes = [UNASSIGNED if place.split is None else place.split for place in found]
    return ListColumn("split", where, codes)


def _items(
    archive: Archive, files: Sequence[Member], rows: Sequence[int], prefix: str, limits: RawLimits
) -> Iterator[RawItem]:
    for row, file in zip(rows, files, strict=True):
        yield RawItem(row, prefix + file.name, read_item(archive, file, limits))


def read_item(archive: Archive, file: Member, limits: RawLimits) -> bytes | ItemProblem:
    """Return an item's bytes; one that is too large is not read."""
    if file.size > limits.max_item_bytes:
        return ItemProblem(
            "item_too_large",
            f"has {size(file.size)}; at most {size(limits.max_item_bytes)} are taken",
        )
    try:
        return archive.read(file)
    except ItemProblem as problem:
        return problem
