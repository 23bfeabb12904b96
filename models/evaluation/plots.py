"""The report's figures, each drawn from the report alone (the latent map from its points)."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from models.evaluation.arms import Method
from models.evaluation.latent_map import LatentMap
from models.evaluation.svg import FAINT, INK, figure_svg
from models.evaluation.verdict import signed

GROUP_COLOURS = {"many": "#4a86c5", "medium": "#c98a1b", "few": "#cf4f6b"}
STANDING_COLOURS = {"ahead": "#1f9d7a", "level": "#c98a1b", "behind": "#cf4f6b"}
CLASS_COLOURS = (
    "#cf4f6b", "#4a86c5", "#1f9d7a", "#c98a1b", "#8f6fd1", "#3aa6b9", "#a0672f", "#c05fb0",
)  # fmt: skip
BARS_UP_TO = 30
"""Classes that fit as a bar each; more become points over their training rows."""

NAMED_POINTS = 4
"""Best and worst classes that are named among points, of each."""


def shorten(name: str, length: int = 24) -> str:
    """A class name cut to `length`, so that one long name does not squeeze a whole figure."""
    return name if len(name) <= length else name[: length - 1] + "…"


def comparisons(report: Mapping[str, Any]) -> str:
    """The method minus each other arm with its interval, and zero."""
    rows = [row for row in report["comparisons"] if row["difference"] is not None][::-1]
    metric = report["verdict"]["metric"].replace("_", " ")
    label = report["method"]["label"]
    reach = _reach(rows)

    def draw(axes: Axes) -> None:
        for place, row in enumerate(rows):
            _compared(axes, place, row, reach)
        axes.axvline(0, color=INK, lw=0.9)
        lowest = min(row["low"] for row in rows)
        axes.set_xlim(max(-reach, min(1.3 * lowest, -0.15 * reach)), reach)
        axes.set_yticks(range(len(rows)), [shorten(row["label"], 32) for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(
            f"{label} minus the row, points of {metric} (right of zero: {label} is ahead)"
        )

    return figure_svg(
        draw, name="comparisons", title=f"{label} against each control", height=1 + 0.3 * len(rows)
    )


def _reach(rows: Sequence[Mapping[str, Any]]) -> float:
    """Half the axis: all rows, unless one lies so far out that the rest would be a blot at zero."""
    ends = sorted(max(abs(row["low"]), abs(row["high"]), 2.0) for row in rows)
    for near, far in pairwise(ends[len(ends) // 2 :]):
        if far > 3 * near:
            return float(1.12 * near)
    return float(1.12 * ends[-1])


def _compared(axes: Axes, place: int, row: Mapping[str, Any], reach: float) -> None:
    colour = STANDING_COLOURS[row["standing"]]
    if abs(row["difference"]) < reach:
        axes.plot([row["low"], row["high"]], [place, place], color=colour, lw=2.4)
        axes.plot(row["difference"], place, "o", color=colour, ms=6)
        return
    # Beyond the axis: an arrow at its end, and the figure in words.
    side = 1 if row["difference"] > 0 else -1
    axes.plot(side * 0.97 * reach, place, ">" if side > 0 else "<", color=colour, ms=7)
    axes.text(
        side * 0.94 * reach, place, signed(row["difference"]), color=INK,
        fontsize=8.5, va="center", ha="right" if side > 0 else "left",
    )  # fmt: skip


def gains(report: Mapping[str, Any]) -> str | None:
    """Gain in recall of each class against its training rows; None if no class has a test row."""
    rows = [row for row in report["per_class"] if row["gain"] is not None]
    if not rows:
        return None
    rows.sort(key=lambda row: (-row["train_rows"], row["class"]))
    real = _real(report)
    title = "Gain in recall, a class each"
    if len(rows) <= BARS_UP_TO:
        height = 1 + 0.24 * len(rows)
        return figure_svg(
            lambda axes: _bars(axes, rows, real), name="gains", title=title, height=height
        )
    return figure_svg(lambda axes: _points(axes, rows, real), name="gains", title=title, height=4.0)


def _real(report: Mapping[str, Any]) -> str:
    """What real rows are called."""
    return f"{Method(**report['method']).row}s"


def _bars(axes: Axes, rows: Sequence[Mapping[str, Any]], real: str) -> None:
    places = np.arange(len(rows))[::-1]
    axes.barh(
        places, [r["gain"] for r in rows], height=0.66,
        color=[GROUP_COLOURS[r["group"]] for r in rows],
    )  # fmt: skip
    axes.axvline(0, color=INK, lw=0.9)
    axes.set_yticks(places, [f"{shorten(r['class'])}  ({r['train_rows']:,})" for r in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(
        f"points of recall gained over real {real} alone  (training {real} in brackets)"
    )
    _group_legend(axes, rows, bars=True)


def _points(axes: Axes, rows: Sequence[Mapping[str, Any]], real: str) -> None:
    for group, colour in GROUP_COLOURS.items():
        own = [r for r in rows if r["group"] == group]
        # A class without a training row has no place on a logarithmic axis but the leftmost.
        x = [max(r["train_rows"], 1) for r in own]
        axes.scatter(x, [r["gain"] for r in own], s=26, color=colour, alpha=0.8, lw=0)
    axes.axhline(0, color=INK, lw=0.9)
    axes.set_xscale("log")
    counts = [max(r["train_rows"], 1) for r in rows]
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000)
             if min(counts) <= t <= max(counts)]  # fmt: skip
    axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
    axes.minorticks_off()
    axes.set_xlim(min(counts) / 1.25, max(counts) * 1.6)
    axes.set_xlabel(f"training {real} of the class")
    axes.set_ylabel("points of recall gained")
    _name_extremes(axes, rows)
    _group_legend(axes, rows, bars=False)


def _name_extremes(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Name the best and worst classes, leaving out a name that would lie on another."""
    by_gain = sorted(rows, key=lambda r: r["gain"])
    span = (by_gain[-1]["gain"] - by_gain[0]["gain"]) or 1.0
    decades = math.log10(max(max(r["train_rows"], 1) for r in rows)) or 1.0
    placed: list[tuple[float, float]] = []
    for row in [*by_gain[::-1][:NAMED_POINTS], *by_gain[:NAMED_POINTS]]:
        x, y = math.log10(max(row["train_rows"], 1)), row["gain"]
        if all(abs(y - v) > 0.05 * span or abs(x - u) > 0.28 * decades for u, v in placed):
            placed.append((x, y))
            axes.annotate(
                shorten(row["class"], 18), (max(row["train_rows"], 1), y),
                xytext=(5, 0), textcoords="offset points", va="center", fontsize=8, color=INK,
            )  # fmt: skip


def _group_legend(axes: Axes, rows: Sequence[Mapping[str, Any]], *, bars: bool) -> None:
    present = [group for group in GROUP_COLOURS if any(r["group"] == group for r in rows)]
    if len(present) < 2:
        return
    marks = [
        axes.plot([], [], "s" if bars else "o", color=GROUP_COLOURS[group], ms=6)[0]
        for group in present
    ]
    axes.legend(
        marks, present, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2,
        handletextpad=0.1,
    )  # fmt: skip


def latents(points: LatentMap) -> str:
    """Real test rows as dots, synthetic rows as crosses, a colour a class."""

    def draw(axes: Axes) -> None:
        behind = points.real[points.real_label < 0]
        axes.scatter(behind[:, 0], behind[:, 1], s=9, color=FAINT, alpha=0.3, lw=0, rasterized=True)
        for number, name in enumerate(points.names):
            colour = CLASS_COLOURS[number % len(CLASS_COLOURS)]
            real = points.real[points.real_label == number]
            made = points.synthetic[points.synthetic_label == number]
            axes.scatter(made[:, 0], made[:, 1], s=20, marker="x", color=colour, alpha=0.65, lw=0.9)
            label = f"{shorten(name, 20)} ({points.train_rows[number]:,})"
            axes.scatter(real[:, 0], real[:, 1], s=24, color=colour, lw=0, alpha=0.9, label=label)
        if len(behind):
            axes.scatter([], [], s=16, color=FAINT, lw=0, label="other classes")
        axes.scatter([], [], s=20, color=INK, lw=0, label="real, from test")
        axes.scatter([], [], s=22, marker="x", color=INK, lw=0.9, label="synthetic")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"{points.method}, first dimension")
        axes.set_ylabel("second dimension")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, handletextpad=0.2)

    return figure_svg(draw, name="latents", title="Map of what is real and synthetic", height=4.4)


def distances(report: Mapping[str, Any]) -> str | None:
    """How far synthetic and held-out rows lie from the nearest training row; None if unknown."""
    shares = (report["fidelity"] or {}).get("histogram")
    if not shares:
        return None
    edges, real = shares["edges"], _real(report)

    def draw(axes: Axes) -> None:
        axes.stairs(shares["held_out"], edges, fill=True, color=FAINT, alpha=0.45, label="held-out")
        axes.stairs(shares["synthetic"], edges, color="#cf4f6b", lw=1.8, label="synthetic")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _place: f"{100 * value:g} %")
        axes.set_xlabel(f"distance to the nearest of the training {real}, in units of their spread")
        axes.set_ylabel(f"share of {real}")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)

    title = f"Distances to the nearest of the training {real}"
    return figure_svg(draw, name="distances", title=title, height=2.8)


def training(report: Mapping[str, Any]) -> str | None:
    """The generator's loss over its steps; None if none is known."""
    curve = report["training"]["steps_and_losses"]
    if len(curve) < 2:
        return None
    steps, losses = zip(*curve, strict=True)

    def draw(axes: Axes) -> None:
        axes.plot(steps, losses, color=FAINT, lw=0.9, alpha=0.6)
        axes.plot(*_smoothed(steps, losses), color="#4a86c5", lw=1.8)
        low, high = np.percentile(losses, [0, 99])
        axes.set_ylim(low - 0.05 * (high - low), high + 0.08 * (high - low) or None)
        axes.xaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("loss")

    return figure_svg(draw, name="training", title="The generator's loss", height=2.8)


def _smoothed(steps: Sequence[float], losses: Sequence[float]) -> tuple[Any, Any]:
    width = max(1, len(losses) // 20)
    kernel = np.ones(width) / width
    return np.convolve(steps, kernel, "valid"), np.convolve(losses, kernel, "valid")
