"""`report.html`: the report on one page that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from models.evaluation import choice_plot, domain_plot, plots
from models.evaluation.arms import REAL, Method
from models.evaluation.latent_map import LatentMap
from models.evaluation.pictures import Picture
from models.evaluation.verdict import signed


def render(
    report: Mapping[str, Any], latents: LatentMap | None = None, pictures: Sequence[Picture] = ()
) -> str:
    """The page. Names and sentences are escaped; figures are inline, nothing is fetched.

    Args:
        report: what `report.build` made.
        latents: the map of `latent_map.project`.
        pictures: shown in this order, the files within the page.
    """
    method = Method(**report["method"])
    figures = {
        "comparisons": plots.comparisons(report) if report["comparisons"] else None,
        "gains": plots.gains(report),
        "domains": domain_plot.domains(report),
        "distances": plots.distances(report),
        "latents": None if latents is None else plots.latents(latents),
        "training": plots.training(report),
        "choice": choice_plot.choice(report),
    }
    return _template().render(
        report=report,
        method=method,
        pictures=pictures,
        # The figures are our own SVG, in which matplotlib has escaped every name.
        figures={name: Markup(svg) for name, svg in figures.items() if svg},  # noqa: S704 - as said
        best=_best_values(report),
        chosen=choice_plot.in_words(report["choice"]["settings"].get(method.name, {})),
        classifier=_classifier(report, method),
    )


def _classifier(report: Mapping[str, Any], method: Method) -> str:
    """What the classifier is that is handed out, and what it was trained on."""
    told, rows = report["classifier"], f"{method.row}s"
    spec, arm = told["spec"], told["trained_on"]
    labels = {row["name"]: row["label"] for row in report["table"]["rows"]}
    synthetic = f"real {rows} and edits" if method.edits else f"real and synthetic {rows}"
    known = {method.name: synthetic, REAL: f"real {rows} only"}
    what = f"{spec['head']} head" if "head" in spec else spec["backbone"] or spec["network"]
    chosen = ", by validation" if told["val_scores"] else ""
    return f"{what} trained on {known.get(arm, labels.get(arm, arm))}{chosen}"


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("models.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["signed"] = _signed
    environment.filters["figure"] = _figure
    return environment.get_template("page.html.j2")


def _signed(value: float | None, places: int = 1) -> str:
    """An en dash for what there is not, e.g. a group without a class."""
    return "–" if value is None else signed(value, places)


def _figure(value: float | None) -> str:
    """Three digits for small figures and shares, none after the point for large ones."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _best_values(report: Mapping[str, Any]) -> dict[str, float]:
    columns = {
        column: [
            row["values"][column]
            for row in report["table"]["rows"]
            if row["values"][column] is not None
        ]
        for column in report["table"]["columns"]
    }
    return {column: max(values) for column, values in columns.items() if values}
