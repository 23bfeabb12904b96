"""Tables as files, the same for every database: a line of columns, then a JSON array a row."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Float,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    column,
    insert,
    select,
    table,
)
from sqlalchemy.types import JSON, TypeEngine

from app.backup.folder import BackupError, TableFile, create_private
from app.store.tables import Document, roles, workers
from app.store.times import UtcDateTime

LEFT_OUT = {roles.name, workers.name}
"""Tables without a file. Who does what at this moment: not so anywhere else, and at no other time."""

AT_ONCE = 100
"""Rows in memory: a spec may have megabytes."""

Row = dict[str, Any]

# What a column's file says that it holds; the first that fits. A file is read by these words alone, so one
# of an earlier schema is as good as one of today's.
_KINDS: tuple[tuple[str, type[TypeEngine[Any]], TypeEngine[Any]], ...] = (
    ("time", UtcDateTime, UtcDateTime()),
    ("json", JSON, Document),
    ("bytes", LargeBinary, LargeBinary()),
    ("boolean", Boolean, Boolean()),
    ("integer", Integer, BigInteger()),
    ("float", Float, Float()),
    ("text", String, Text()),
)
_TYPES = {kind: type_ for kind, _, type_ in _KINDS}


def read_rows(connection: Connection, source: Table) -> Iterator[list[Row]]:
    """Yield a table's rows in groups, at bounded memory."""
    found = connection.execute(select(source), execution_options={"yield_per": AT_ONCE})
    for some in found.mappings().partitions():
        yield [dict(row) for row in some]


def write_table(connection: Connection, source: Table, path: Path) -> TableFile:
    """Write a table into a new file, durably, and return what the file is."""
    kinds = {one.name: _kind(one.type) for one in source.columns}
    digest, rows, size = hashlib.sha256(), 0, 0
    with create_private(path) as file:

        def put(value: Any) -> None:
            nonlocal size
            line = json.dumps(value, separators=(",", ":")) + "\n"
            file.write(line)
            digest.update(line.encode())
            size += len(line)  # JSON escapes all that is not ASCII

        put(kinds)
        for some in read_rows(connection, source):
            for row in some:
                put([_plain(row[name], kind) for name, kind in kinds.items()])
            rows += len(some)
        file.flush()
        os.fsync(file.fileno())
    return TableFile(rows=rows, bytes=size, sha256=digest.hexdigest())


def load_table(connection: Connection, path: Path, name: str) -> None:
    """Insert a file's rows into the table of this name, as it was when the file was written.

    Raises:
        BackupError: the file is none of ours.
    """
    with path.open() as file:
        try:
            kinds: dict[str, str] = json.loads(file.readline())
            wanted = table(name, *(column(one, _TYPES[kind]) for one, kind in kinds.items()))
            rows = (json.loads(line) for line in file)
            while some := [
                {one: _value(plain, kinds[one]) for one, plain in zip(kinds, row, strict=True)}
                for row in islice(rows, AT_ONCE)
            ]:
                connection.execute(insert(wanted), some)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BackupError(f"{path} cannot be read: {error}") from error


def _kind(type_: TypeEngine[Any]) -> str:
    return next(kind for kind, of, _ in _KINDS if isinstance(type_, of))


def _plain(value: Any, kind: str) -> Any:
    """Return a value as JSON has it."""
    if value is None:
        return None
    if kind == "time":
        return value.isoformat()
    if kind == "bytes":
        return base64.b64encode(value).decode()
    return value


def _value(plain: Any, kind: str) -> Any:
    if plain is None:
        return None
    if kind == "time":
        return datetime.fromisoformat(plain)
    if kind == "bytes":
        return base64.b64decode(plain, validate=True)
    return plain
