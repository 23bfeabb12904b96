"""Figures as inline SVG that takes its text colour from the page, dark or light."""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the page's text colour: replaced by `currentColor` in the finished SVG."""

FAINT = "#8b929c"
"""Grid lines and grey points: readable on white and on near-black."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.unicode_minus": True,
}


def figure_svg(
    draw: Callable[[Axes], None], *, name: str, title: str, width: float = 7.2, height: float = 3.4
) -> str:
    """An `<svg>` element, sizes in inches at 72 to the inch; equal input gives equal bytes.

    Args:
        draw: draws on the axes it is given.
        name: keeps ids of several figures in one page apart.
        title: what a screen reader says.
        width: of the figure.
        height: of the figure.
    """
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}), warnings.catch_warnings():
        # Names in scripts that matplotlib's font lacks are drawn by the browser, which has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None}, dpi=144)
    return _inline(buffer.getvalue(), title)


def _inline(document: str, title: str) -> str:
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(r"(font: [0-9.]+px)[^;\"]*", r"\1 system-ui, sans-serif", svg)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
