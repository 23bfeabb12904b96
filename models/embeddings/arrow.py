"""Arrow IPC, file and stream: mapped, and each message's claims read before its buffers.

A file is read as the stream it contains: its footer may point twice at one batch, or at bytes that
are in no message, and says nothing that is needed here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.embeddings.arrow_message import claims
from models.embeddings.limits import Limits
from models.embeddings.parquet import arrow_problems
from models.embeddings.wording import show, size
from models.errors import InputProblem

_FILE_MAGIC = b"ARROW1"


class ArrowTable:
    """An Arrow IPC file or stream whose messages have been held against the limits."""

    def __init__(self, path: Path, filename: str, limits: Limits) -> None:
        self.where = show(filename)
        self._path = path
        self._filename = filename
        self._limits = limits
        self._stored = path.stat().st_size
        self._start = self._find_start()
        with arrow_problems("bad_arrow", self.where, filename):
            with self._mapped() as mapped, pa.ipc.open_stream(mapped) as reader:
                self.schema: Any = reader.schema
            _ = self.schema.names  # decoded when they are asked for: here, where it is caught
            self.rows: int = self._check()

    def _find_start(self) -> int:
        """Return where the stream begins; a file that does not end like one is cut off."""
        with self._path.open("rb") as file:
            if file.read(6) != _FILE_MAGIC:
                return 0
            file.seek(max(0, self._stored - 6))
            if self._stored < 16 or file.read() != _FILE_MAGIC:
                raise InputProblem(
                    "truncated_file",
                    f"{self.where} begins like an Arrow file but does not end like one: it is cut "
                    f"off ({size(self._stored)}).",
                    self._filename,
                )
        return 8

    @contextmanager
    def _mapped(self) -> Iterator[Any]:
        with pa.memory_map(str(self._path)) as mapped:
            mapped.seek(self._start)
            yield mapped

    def _check(self) -> int:
        """Return how many rows the messages claim, their sum of bytes held against the limits."""
        rows, total = 0, 0
        with self._mapped() as mapped:
            reader = pa.ipc.MessageReader.open_stream(mapped)
            while True:
                try:
                    message = reader.read_next_message()
                except StopIteration:
                    return rows
                claim = claims(message.metadata, message.body)
                rows += claim.rows
                total += claim.unpacked
                if rows > self._limits.max_rows:
                    self._refuse(f"{rows:,} rows; at most {self._limits.max_rows:,} are taken")
                if total > self._limits.max_array_bytes or self._limits.is_bomb(
                    total, self._stored
                ):
                    self._refuse(
                        f"{size(total)} or more from {size(self._stored)}; at most "
                        f"{self._limits.max_ratio} times, and {size(self._limits.max_array_bytes)}, "
                        "are taken"
                    )

    def _refuse(self, claimed: str) -> None:
        raise InputProblem("table_too_large", f"{self.where} claims {claimed}.", self._filename)

    def list_length(self, name: str) -> float:
        """Return the length of fixed-size lists; of others no header tells."""
        kind = self.schema.field(name).type
        return float(kind.list_size) if pa.types.is_fixed_size_list(kind) else 1.0

    def arrays(self, name: str, rows: int) -> Iterator[Any]:
        wanted = [self.schema.get_field_index(name)]
        options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
        with (
            arrow_problems("bad_arrow", self.where, self._filename),
            self._mapped() as mapped,
            pa.ipc.open_stream(mapped, options=options) as reader,
        ):
            seen = 0
            for batch in reader:
                array = batch.column(0)
                seen += len(array)
                array = array.storage if isinstance(array, pa.ExtensionArray) else array
                array.validate(full=True)  # offsets and indices that point outside the buffers
                for start in range(0, len(array), rows):
                    yield array.slice(start, rows)
        if seen != self.rows:
            raise InputProblem(
                "bad_arrow",
                f"{self.where} claims {self.rows:,} rows, but column {show(name)} has {seen:,}.",
                self._filename,
            )
