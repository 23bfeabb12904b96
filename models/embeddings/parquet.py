"""Parquet files: the footer's claims first, then row group by row group, counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.embeddings.limits import Limits, MiB
from models.embeddings.parquet_footer import read_footer
from models.embeddings.wording import show, size
from models.errors import InputProblem


@contextmanager
def arrow_problems(code: str, where: str, filename: str) -> Iterator[None]:
    """Turn what Arrow says about damaged bytes into a problem; leave the host's errors alone."""
    try:
        yield
    except MemoryError:
        raise InputProblem(
            "table_too_large", f"{where} needs more memory to decode than there is.", filename
        ) from None
    except (pa.ArrowException, ValueError, OverflowError, KeyError, IndexError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the file's
        words = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputProblem(code, f"{where} cannot be read: {show(words)}.", filename) from None


class ParquetTable:
    """A Parquet file whose footer has been held against the limits."""

    def __init__(self, path: Path, filename: str, limits: Limits) -> None:
        self.where = show(filename)
        self._path = path
        self._filename = filename
        self._limits = limits
        self._stored = path.stat().st_size
        if self._stored < 12 or not _ends_well(path):
            raise InputProblem(
                "truncated_file",
                f"{self.where} begins like a Parquet file but does not end like one: it is cut off "
                f"({size(self._stored)}).",
                filename,
            )
        with arrow_problems("bad_parquet", self.where, filename):
            self.rows, self._leaves = read_footer(path)
            self._check(self.rows)
            with self._open() as file:
                self.schema: Any = file.schema_arrow
            _ = self.schema.names  # decoded when they are asked for: here, where it is caught

    def _open(self, texts: tuple[str, ...] = ()) -> Any:
        # A dictionary stays one while it is read: expanding it is how a small file turns huge.
        return pq.ParquetFile(
            self._path, read_dictionary=list(texts), memory_map=False, buffer_size=MiB,
            pre_buffer=False, page_checksum_verification=True,
        )  # fmt: skip

    def _check(self, rows: int) -> None:
        if rows > self._limits.max_rows:
            raise InputProblem(
                "table_too_large",
                f"{self.where} claims {rows:,} rows; at most {self._limits.max_rows:,} are taken.",
                self._filename,
            )
        largest = max(
            sum(leaf.decoded for leaf in self._leaves), sum(leaf.unpacked for leaf in self._leaves)
        )
        if largest > self._limits.max_array_bytes or self._limits.is_bomb(largest, self._stored):
            raise InputProblem(
                "table_too_large",
                f"{self.where} claims {size(largest)} from {size(self._stored)}; at most "
                f"{self._limits.max_ratio} times, and {size(self._limits.max_array_bytes)}, are taken.",
                self._filename,
            )

    def list_length(self, name: str) -> float:
        return self._values(name) / max(self.rows, 1)

    def rows_within(self, name: str, size: int) -> int:
        """Return how many of a column's rows weigh about ``size`` bytes by the footer, at least 1."""
        unpacked = sum(leaf.unpacked for leaf in self._leaves if leaf.column == name)
        return max(1, int(size // max(1.0, unpacked / max(self.rows, 1))))

    def _values(self, name: str) -> int:
        return sum(leaf.values for leaf in self._leaves if leaf.column == name)

    def arrays(self, name: str, rows: int, *, distinct: bool = False) -> Iterator[Any]:
        """Yield a column in validated arrays; see `models.embeddings.table.Table`.

        Args:
            name: of the column.
            rows: of an array, at most.
            distinct: few of a column's texts repeat. As a dictionary they would then all be held
                until their row group ends; expanded, ``rows`` times the longest at once.
        """
        kind = self.schema.field(name).type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        texts = (name,) if text and not distinct else ()
        seen, values = 0, 0
        declared = self._values(name)
        with arrow_problems("bad_parquet", self.where, self._filename), self._open(texts) as file:
            for batch in file.iter_batches(batch_size=rows, columns=[name], use_threads=False):
                array = batch.column(0)
                array = array.storage if isinstance(array, pa.ExtensionArray) else array
                array.validate(full=True)
                seen += len(array)
                values += len(array.flatten()) if _is_list(array.type) else len(array)
                if seen > self.rows or values > declared:
                    raise InputProblem(
                        "table_too_large",
                        f"{self.where} holds more than the {self.rows:,} rows or the {declared:,} "
                        f"values that its footer claims for {show(name)}.",
                        self._filename,
                    )
                yield array
        if seen != self.rows:
            raise InputProblem(
                "bad_parquet",
                f"{self.where} claims {self.rows:,} rows, but column {show(name)} ends after {seen:,}.",
                self._filename,
            )


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _ends_well(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-4, 2)
        return file.read() == b"PAR1"
