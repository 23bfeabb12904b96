"""Which array or column of an uploaded file holds what."""

from typing import Annotated

from pydantic import Field

from models.spec import Spec

ColumnName = Annotated[str, Field(min_length=1, max_length=200)]


class Columns(Spec):
    """Which array or column of the files holds what; `x_val`, `y_test` and so on follow from `x` and `y`."""

    x: ColumnName = "x"
    """The embeddings: n × dim."""

    y: ColumnName = "y"
    """The labels: n integers or names."""

    unlabelled: bool = False
    """Whether rows may have no label: null, NaN or an empty name, and -1 among integers. Such rows are
    for training alone, never in `val` or `test`. Where it is off, a missing label is refused."""

    split: ColumnName | None = None
    """`train`, `val` or `test` for each row."""

    id: ColumnName | None = None
    """The caller's identifier of each row."""

    subdomain: ColumnName | None = None
    """The subdomain (language, site, season) of each row."""

    group: ColumnName | None = None
    """Rows of one group (speaker, patient) are never split apart."""

    classes: ColumnName = "classes"
    """Names of the classes, where labels are integers."""
