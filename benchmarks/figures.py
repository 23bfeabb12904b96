"""Figures of the benchmarks: each as PNG and as SVG, in one plain style.

A series is told apart by colour and by marker or hatching, so that neither colour vision nor a
black-and-white print loses it; the colours are those of Okabe & Ito 2008. Equal input gives equal
bytes: no date, and ids from a fixed salt.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#4D4D4D", "#56B4E9", "#A6761D", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
HATCHES = ("", "//", "--", "\\\\", "xx", "||", "++", "/-")
AHEAD, LEVEL, BEHIND = COLOURS[0], "#7A7A7A", COLOURS[1]

WIDTH = 7.2
"""Inches; the text then has the size of a page's."""

DPI = 150
NAMED_TICKS = 10
"""Positions of whole numbers that are each named, at most."""

DECADE = 10

LEGEND_LETTERS = 80
"""In a row of the legend, at most."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cultivar",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.edgecolor": "#7A7A7A",
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
}


class Estimate(NamedTuple):
    """A value and how far it is uncertain; without ends where nothing is known of that."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def over(cls, values: Sequence[float]) -> Self:
        """Return the mean of repetitions, with the lowest and the highest as ends."""
        if len(values) == 1:
            return cls(float(values[0]))
        return cls(float(np.mean(values)), float(min(values)), float(max(values)))

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest value; the value itself where an end is not known."""
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high


def grouped_bars(
    groups: Sequence[str],
    series: Mapping[str, Sequence[Estimate | None]],
    *,
    y_label: str,
    title: str = "",
) -> Figure:
    """Return bars side by side in each group, a whisker where an estimate has ends.

    Args:
        groups: names along the axis.
        series: by name, an estimate a group; None leaves the bar out.
        y_label: quantity and unit, and which direction is better.
        title: above the axes.

    Raises:
        ValueError: a series has another number of estimates than there are groups.
    """
    _check(series)
    with _axes(title) as axes:
        width = 0.8 / max(1, len(series))
        for i, (name, estimates) in enumerate(series.items()):
            pairs = zip(range(len(groups)), estimates, strict=True)
            drawn = [(place, estimate) for place, estimate in pairs if estimate is not None]
            axes.bar(
                [place + (i - (len(series) - 1) / 2) * width for place, _ in drawn],
                [estimate.value for _, estimate in drawn],
                width=0.92 * width, color=COLOURS[i], hatch=HATCHES[i], edgecolor="white",
                linewidth=0, label=name, yerr=_whiskers([estimate for _, estimate in drawn]),
                error_kw={"ecolor": "#222222", "elinewidth": 1, "capsize": 2},
            )  # fmt: skip
        axes.set_xticks(range(len(groups)), groups)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(y_label)
        _legend(axes, list(series))
        return _figure(axes)


def lines(
    series: Mapping[str, Sequence[tuple[float, Estimate]]],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
) -> Figure:
    """Return a line a series, with a band between the ends of its estimates.

    Args:
        series: by name, the points in their order.
        x_label: quantity and unit.
        y_label: quantity and unit, and which direction is better.
        title: above the axes.
        log_x: logarithmic. Up to ten positions, where they are whole numbers, are each named.
        log_y: logarithmic, where the values span a decade: within one it would have no number.
    """
    _check(series)
    with _axes(title) as axes:
        for i, (name, points) in enumerate(series.items()):
            xs = [x for x, _ in points]
            lows, highs = zip(*(estimate.reach for _, estimate in points), strict=True)
            axes.plot(
                xs, [e.value for _, e in points], marker=MARKERS[i], color=COLOURS[i], label=name
            )
            axes.fill_between(xs, lows, highs, color=COLOURS[i], alpha=0.18, linewidth=0)
        if log_x:
            axes.set_xscale("log")
            _plain_numbers(axes.xaxis, axes.get_xlim())
        places = sorted({x for points in series.values() for x, _ in points})
        if len(places) <= NAMED_TICKS and all(place == round(place) for place in places):
            axes.set_xticks(places)
            axes.xaxis.set_minor_locator(NullLocator())
        low, high = axes.get_ylim()
        if log_y and 0 < low <= high / DECADE:
            axes.set_yscale("log")
            _plain_numbers(axes.yaxis, axes.get_ylim())
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        _legend(axes, list(series))
        return _figure(axes)


def forest(
    rows: Sequence[tuple[str, Estimate]], *, x_label: str, title: str = "", lowest_worth: float = 0
) -> Figure:
    """Return differences with their intervals, from top to bottom, and the line of no difference.

    An interval wholly right of zero has a filled blue point, one wholly left of it a filled orange
    one, one that holds zero a hollow grey one.

    Args:
        rows: what is compared, and the difference with its interval.
        x_label: what is subtracted from what, and the unit.
        title: above the axes.
        lowest_worth: where it is not zero, a second, dotted line: the difference that is asked for.
    """
    with _axes(title, height=0.9 + 0.3 * len(rows)) as axes:
        for place, (_, estimate) in enumerate(reversed(rows)):
            low, high = estimate.reach
            colour = AHEAD if low > 0 else BEHIND if high < 0 else LEVEL
            fill = "white" if colour == LEVEL else colour
            axes.plot([low, high], [place, place], color=colour, linewidth=2.2)
            axes.plot(estimate.value, place, "o", color=colour, markerfacecolor=fill, markersize=6)
        axes.axvline(0, color="#222222", linewidth=0.9)
        if lowest_worth:
            axes.axvline(lowest_worth, color="#222222", linewidth=0.9, linestyle=":")
        axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(x_label)
        return _figure(axes)


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the figure as ``name``.png and ``name``.svg; return both paths.

    Args:
        figure: of this module.
        folder: is made where there is none.
        name: of the files, without an ending.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with mpl.rc_context(_STYLE):
        figure.savefig(png, dpi=DPI, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return png, svg


@contextmanager
def _axes(title: str, height: float = 3.4) -> Iterator[Axes]:
    """Yield empty axes of a new figure, and keep the style for as long as they are drawn on."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set_title(title)
        yield axes


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return figure


def _check(series: Mapping[str, object]) -> None:
    if len(series) > len(COLOURS):
        raise ValueError(f"a figure tells {len(COLOURS)} series apart; {len(series)} were given")


def _whiskers(estimates: Sequence[Estimate]) -> list[list[float]] | None:
    """Return distances down and up from each value; None where no estimate has ends."""
    if all(estimate.low is None and estimate.high is None for estimate in estimates):
        return None
    reaches = [(e.value, *e.reach) for e in estimates]
    return [
        [value - low for value, low, _ in reaches],
        [high - value for value, _, high in reaches],
    ]


def _plain_numbers(axis: Axis, limits: tuple[float, float]) -> None:
    """Write 200, not 2 × 10²; between powers of ten only where there are too few of those."""
    narrow = limits[1] < 30 * limits[0]

    def between(value: float, _place: int | None) -> str:
        first = f"{value:e}"[0]
        return f"{value:,g}" if narrow and first in "235" else ""

    axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,g}"))
    axis.set_minor_formatter(FuncFormatter(between))


def _legend(axes: Axes, names: Sequence[str]) -> None:
    """Place the legend below the axes, where it covers nothing, in rows that fit the width."""
    columns = min(len(names), 4)
    while columns > 1 and columns * max(map(len, names)) > LEGEND_LETTERS:
        columns -= 1
    if len(names) > 1:
        _figure(axes).legend(loc="outside lower center", ncols=columns)
