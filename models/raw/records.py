"""CSV and JSONL: records, line by line, and where in the file the first bad one stands."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from models.embeddings.wording import listing, show
from models.errors import InputProblem
from models.raw.limits import RawLimits
from models.raw.list_column import ListColumn, Value, from_text

_FIELD = r'(?:"(?:[^"]|"")*"|[^",\r\n]*)'
_RECORD = re.compile(rf"{_FIELD}(?:,{_FIELD})*\r?\n?")
_RECORDS_FOR_NAMES = 20


class RecordTable:
    """A CSV or JSONL file; the wanted columns are held, the items are read again as they stream.

    Attributes:
        where: what it is called in a sentence.
        rows: how many records it has.
        names: its columns, in the order of first sight.
    """

    def __init__(
        self, path: Path, filename: str, kind: str, wanted: Sequence[str], limits: RawLimits
    ) -> None:
        self.where = show(filename)
        self.rows = 0
        self.names: list[str] = []
        self._path = path
        self._filename = filename
        self._kind = kind
        self._limits = limits
        self._columns: dict[str, list[Any]] = {name: [] for name in wanted}
        self._header_names: list[str] = []
        self._load()

    def _load(self) -> None:
        names: dict[str, None] = {}
        for record in self._records():
            names.update(dict.fromkeys(record))
            if len(names) > self._limits.max_entries:
                raise self._bad(self.rows, "it has more distinct fields than rows are taken")
            for name, values in self._columns.items():
                values.append(record.get(name))
            self.rows += 1
            if self.rows > self._limits.max_rows:
                raise InputProblem(
                    "too_many_rows",
                    f"{self.where} has more than {self._limits.max_rows:,} rows.",
                    self._filename,
                )
        self.names = self._header_names or list(names)

    def column(self, name: str) -> ListColumn | None:
        """Return one of the wanted columns; None where the file has none of that name."""
        if name not in self.names:
            return None
        values: Sequence[Value] = self._columns[name]
        where = f"column {show(name)} of {self.where}"
        return ListColumn(name, where, from_text(values) if self._kind == "csv" else values)  # type: ignore[arg-type]

    def declared(self, _name: str) -> list[str] | None:
        """Return None: such a file declares no names."""
        return None

    def items(self, name: str) -> Iterator[Any]:
        """Yield a column's values once more, as they are in the file."""
        for record in self._records():
            yield record.get(name)

    def _records(self) -> Iterator[Mapping[str, Any]]:
        with self._path.open("rb") as file:
            yield from self._csv(file) if self._kind == "csv" else self._jsonl(file)

    def _jsonl(self, file: BinaryIO) -> Iterator[Mapping[str, Any]]:
        for number, line in self._lines(file):
            if not line.strip():
                continue
            try:
                record = json.loads(line, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                found = str(error) or "nested too deeply"
                raise self._bad(number, f"it is no JSON ({found[:100]})") from None
            if not isinstance(record, dict):
                raise self._bad(number, f"it is {show(line.strip())}; expected a JSON object")
            yield {key: _scalar(value) for key, value in record.items()}

    def _csv(self, file: BinaryIO) -> Iterator[Mapping[str, Any]]:
        taken: list[str] = []
        first = 1

        def lines() -> Iterator[str]:
            nonlocal first
            for number, line in self._lines(file):
                first = number if not taken else first
                taken.append(line)
                yield line

        header: list[str] | None = None
        reader = csv.reader(lines(), strict=True)
        while True:
            taken.clear()
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise self._bad(
                    first, f"a quote in it is not closed, or stands alone ({error})"
                ) from None
            if fields is None:
                return
            raw = "".join(taken)
            if '"' in raw and not _RECORD.fullmatch(raw):
                raise self._bad(
                    first, 'a quote stands in the middle of a field; write it as "a ""b"" c"'
                )
            if header is None:
                header = self._header_names = self._header(fields, first)
            elif fields:
                if len(fields) != len(header):
                    raise self._bad(
                        first,
                        f"it has {len(fields)} fields; expected {len(header)}, as the first line",
                    )
                yield dict(zip(header, fields, strict=True))

    def _header(self, fields: list[str], line: int) -> list[str]:
        if len(set(fields)) < len(fields) or "" in fields:
            raise self._bad(
                line, f"the columns are called {listing(fields)}; expected a name for each, once"
            )
        return fields

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, str]]:
        """Yield lines with their numbers, from 1; UTF-8, with or without a byte order mark."""
        most = 8 * self._limits.max_characters
        number = 0
        while line := file.readline(most):
            number += 1
            if len(line) >= most:
                raise self._bad(number, f"it has more than {most:,} bytes")
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise self._bad(number, f"it is not UTF-8 ({error.reason})") from None

    def _bad(self, line: int, found: str) -> InputProblem:
        return InputProblem(
            f"bad_{self._kind}", f"{self.where}, line {line}: {found}.", self._filename
        )


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


def _scalar(value: object) -> object:
    """Return a value as columns hold it: truth is 0 or 1."""
    return int(value) if isinstance(value, bool) else value
