"""Which column or field of uploaded raw data holds what."""

from typing import Annotated, Literal

from pydantic import Field

from models.embeddings.spec import ColumnName
from models.spec import Spec

Modality = Literal["image", "audio", "text"]
RawFormat = Literal["zip", "tar", "webdataset", "parquet", "jsonl", "csv"]

RAW_FORMATS: dict[Modality, tuple[RawFormat, ...]] = {
    "image": ("zip", "tar", "webdataset", "parquet"),
    "audio": ("zip", "tar", "webdataset", "parquet"),
    "text": ("jsonl", "csv", "parquet"),
}
"""Formats in which the items of each modality are taken."""


class RawColumns(Spec):
    """Which column or field holds what; without any, classes are the folders that files lie in."""

    item: ColumnName | None = None
    """The items, or in an archive's `metadata` their files. By default `image`, `audio` or `text`, as
    the modality is called, and `file_name` for files. In WebDataset shards the items' extension."""

    label: ColumnName = "label"
    """The labels: integers or names. Where the default is not there, files are of the class of their
    folder, and a WebDataset sample is of that in its `.cls` or `.txt`."""

    unlabelled: bool = False
    """Whether items may have no label: null, an empty name, no class folder, and -1 among integers. Such
    items are for training alone, never in `val` or `test`. Where it is off, a missing label is refused."""

    split: ColumnName | None = None
    """`train`, `val` or `test` for each item. Without it, folders of these names say so."""

    id: ColumnName | None = None
    """The caller's identifier of each item; by default its path, or its row's number."""

    subdomain: ColumnName | None = None
    """The subdomain (language, site, season) of each item."""

    group: ColumnName | None = None
    """Items of one group (speaker, patient) are never split apart."""

    max_bad_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Items at fault, as a share of all, up to which they are left out, by name, and the rest is taken."""
