"""The figure of accuracy by domain."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from models.evaluation.arms import REAL
from models.evaluation.plots import BARS_UP_TO, shorten
from models.evaluation.svg import FAINT, INK, figure_svg

OWN = "#1f9d7a"


def domains(report: Mapping[str, Any]) -> str | None:
    """Accuracy of real images, of the method's and of every other arm, a domain each; None without any.

    Of very many domains those with the most test images are drawn.
    """
    found, own = report.get("per_subdomain"), report["method"]["name"]
    if found is None:
        return None
    most = sorted(found["subdomains"], key=lambda one: -one["test_rows"])[:BARS_UP_TO]
    each = [(one["subdomain"], one) for one in found["subdomains"] if one in most]
    both = [("out-of-domain", found["out_of_domain"]), ("in-domain", found["in_domain"])]
    rows = [*both, *each][::-1]

    def draw(axes: Axes) -> None:
        for place, (_, part) in enumerate(rows):
            if part["test_rows"]:
                _arms(axes, place, part["values"], own)
        axes.axhline(len(each) - 0.5, color=FAINT, lw=0.9)
        names = [f"{shorten(name)}  ({part['test_rows']:,})" for name, part in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("accuracy in percent  (test images in brackets)")
        _legend(axes, report, own)

    return figure_svg(
        draw, name="domains", title="Accuracy by domain", height=1.2 + 0.28 * len(rows)
    )


def _arms(axes: Axes, place: int, values: Mapping[str, float], own: str) -> None:
    others = [value for name, value in values.items() if name not in (own, REAL)]
    axes.plot([values[REAL], values[own]], [place, place], color=OWN, lw=1.6, alpha=0.6)
    axes.plot(others, [place] * len(others), "|", color=FAINT, ms=8, mew=1.4)
    axes.plot(values[REAL], place, "o", color=INK, mfc="none", ms=6, mew=1.4)
    axes.plot(values[own], place, "o", color=OWN, ms=7)


def _legend(axes: Axes, report: Mapping[str, Any], own: str) -> None:
    labels = {row["name"]: row["label"] for row in report["table"]["rows"]}
    marks = [
        axes.plot([], [], "o", color=OWN, ms=7)[0],
        axes.plot([], [], "o", color=INK, mfc="none", ms=6, mew=1.4)[0],
        axes.plot([], [], "|", color=FAINT, ms=8, mew=1.4)[0],
    ]
    names = [labels[own], labels[REAL], "every other arm"]
    shown = len(names) if len(labels) > 2 else 2
    axes.legend(
        marks[:shown], names[:shown], loc="lower left", bbox_to_anchor=(0, 1), ncols=3,
        borderaxespad=0.2, handletextpad=0.3,
    )  # fmt: skip
