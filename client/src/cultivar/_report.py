"""A job's report in memory: the verdict first, then the table that it rests on."""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from cultivar._exceptions import CultivarError

WIDTH = 100
FORMATS = ("cultivar-report/1", "cultivar-classifier-report/1")


@dataclass(frozen=True, slots=True)
class Row:
    """One way to a classifier.

    Attributes:
        label: in words.
        values: percent on held-out rows, one a column; None where there is no such class.
        lead: points by which the augmented head is ahead of it: mean, low, high (95 %).
    """

    label: str
    values: tuple[float | None, ...]
    lead: tuple[float, float, float] | None = None


class Report:
    """What a job says about itself. `print` it, or let a notebook show it.

    Attributes:
        data: the whole of `report.json`.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        form = data.get("schema") or data.get("format")
        if form not in FORMATS:
            raise CultivarError(f"This client cannot read a report of format {form!r}; update it")
        self.data = data
        self._read = _Evaluation(data) if form == FORMATS[0] else _Classifier(data)

    def __repr__(self) -> str:
        return f"<Report {self.verdict!r}>"

    @property
    def verdict(self) -> str:
        """One sentence: whether it helped, by how much, and what does as well for less."""
        return self._read.verdict

    @property
    def helps(self) -> bool | None:
        """Whether a gain over real rows alone was shown; None where nothing was compared."""
        return self._read.helps

    @property
    def columns(self) -> tuple[str, ...]:
        """What the table's figures are, in percent."""
        return self._read.columns

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table: real rows alone, with synthetic ones, and the controls."""
        return tuple(self._read.rows())

    @property
    def caveats(self) -> tuple[str, ...]:
        return tuple(self.data.get("caveats", ()))

    def __str__(self) -> str:
        """Return verdict, table and caveats as plain text."""
        table = Table("", *self.columns, "gain over it [95 %]", box=box.SIMPLE_HEAD)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in self.rows:
            table.add_row(*_cells(row))
        screen = io.StringIO()
        Console(file=screen, width=WIDTH, color_system=None).print(table)
        drawn = [line.rstrip() for line in screen.getvalue().splitlines()]
        parts = [_wrapped(text) for text in (self.verdict, *self._read.details)]
        parts.append("\n".join(line for line in drawn if line))
        parts += [_wrapped(text) for text in self._read.notes]
        parts += [_wrapped(f"Note: {caveat}") for caveat in self.caveats]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        heads = "".join(f"<th>{escape(name)}</th>" for name in ("", *self.columns))
        lines = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(row))}</tr>"
            for row in self.rows
        )
        details = "".join(f"<p>{escape(text)}</p>" for text in self._read.details)
        notes = "".join(f"<li>{escape(text)}</li>" for text in (*self._read.notes, *self.caveats))
        return (
            f"<p><b>{escape(self.verdict)}</b></p>{details}"
            f"<table><tr>{heads}<th>gain over it [95 %]</th></tr>{lines}</table><ul>{notes}</ul>"
        )


class _Evaluation:
    """The report of an augmentation job that evaluated itself."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self.verdict: str = data["verdict"]["sentence"]
        self.details: Sequence[str] = (*_released(data), *data["verdict"]["details"])
        self.notes: Sequence[str] = tuple(_fidelity(data))
        self.helps: bool | None = data["verdict"]["helps"]
        self.columns: tuple[str, ...] = tuple(data["table"]["columns"])

    def rows(self) -> Iterator[Row]:
        leads = {one["control"]: one for one in self._data["comparisons"]}
        for row in self._data["table"]["rows"]:
            values = tuple(row["values"].get(column) for column in self.columns)
            yield Row(row["label"], values, _lead(leads.get(row["name"]), "difference", 1.0))


class _Classifier:
    """The report of a `classifier` job; its figures are shares."""

    columns = ("accuracy", "balanced_accuracy", "many", "medium", "few")
    details: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self.verdict: str = data["verdict"]
        interval = data["interval"]
        self.helps: bool | None = None if interval is None else interval["low"] > 0

    def rows(self) -> Iterator[Row]:
        for name, found in self._data["methods"].items():
            values = (found.get(column) for column in self.columns)
            percent = tuple(None if value is None else 100 * value for value in values)
            interval = self._data["interval"] if name == "real" else None
            yield Row(name, percent, _lead(interval, "mean", 100.0))


SHOWN = {
    "frechet_distance": "Fréchet distance",
    "coverage": "coverage",
    "c2st": "C2ST",
    "nearest_ratio": "distance to training rows",
    "copy_share": "copies",
}
"""The figures of fidelity and novelty that a line has room for; `data` has all of them."""


def _released(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was judged; reports of older services have no such thing."""
    release = data.get("release")
    if release:
        yield release["sentence"]


def _fidelity(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line of figures, each with what a perfect generator would get."""
    found = {one["name"]: one for one in (data.get("fidelity") or {}).get("figures", ())}
    told = [
        f"{label} {found[name]['value']:.3g} ({found[name]['reference']:.3g})"
        for name, label in SHOWN.items()
        if name in found and found[name]["value"] is not None
    ]
    if told:
        yield f"How real and how new (in brackets: a perfect generator): {', '.join(told)}."


def _lead(
    interval: Mapping[str, Any] | None, mean: str, scale: float
) -> tuple[float, float, float] | None:
    if interval is None or interval[mean] is None:
        return None
    return scale * interval[mean], scale * interval["low"], scale * interval["high"]


def _cells(row: Row) -> Iterator[str]:
    yield row.label
    for value in row.values:
        yield "–" if value is None else f"{value:.1f}"
    yield "" if row.lead is None else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*row.lead)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False)
