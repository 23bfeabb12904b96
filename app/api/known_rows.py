"""The rows that a plan counts, as a dataset's manifest or a generator's configuration tells them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Counts = Mapping[str, int]

_TRAINABLE = ("train", "unassigned")
_FEWEST_IMAGES = 2  # of which GLICO makes another


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Real rows by class and cell.

    Attributes:
        class_counts: labelled rows a class, in the order of the classes.
        subdomains: names, where the job or the generator is conditioned on them.
        cell_counts: rows by class and subdomain, a cell of none left out; None where there are more
            cells than are counted.
        barren: classes that nothing can be made of, whatever the plan asks for.
    """

    class_counts: Counts
    subdomains: tuple[str, ...] | None = None
    cell_counts: Mapping[str, Counts] | None = None
    barren: frozenset[str] = frozenset()


def of_dataset(manifest: Mapping[str, Any], *, conditioned: bool) -> KnownRows | None:
    """Return what ingest counted; without subdomains unless the job is conditioned on them.

    None where cells are needed and the dataset was made before cells were counted.
    """
    if not conditioned:
        return KnownRows(manifest["class_counts"])
    if "cell_counts" not in manifest:
        return None
    return KnownRows(
        manifest["class_counts"], tuple(manifest["subdomains"]), manifest["cell_counts"]
    )


def of_images(manifest: Mapping[str, Any], stats: Mapping[str, Any]) -> KnownRows:
    """Return what ingest counted, for a job that makes images of pairs of one class."""
    return KnownRows(manifest["class_counts"], barren=_lonely(trainable(manifest, stats)))


def of_sources(manifest: Mapping[str, Any], stats: Mapping[str, Any]) -> KnownRows:
    """Return what ingest counted, for a job that edits images, each by itself."""
    return KnownRows(manifest["class_counts"], barren=_below(1, trainable(manifest, stats)))


def trainable(manifest: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, int]:
    """Return the labelled rows a class that may be trained on: in split `train`, or in none."""
    by_split: Mapping[str, Counts] | None = stats.get("class_counts_by_split")
    if by_split is None:
        return dict(manifest["class_counts"])
    return {
        name: sum(by_split.get(split, {}).get(name, 0) for split in _TRAINABLE)
        for name in manifest["class_counts"]
    }


def _lonely(counts: Counts) -> frozenset[str]:
    return _below(_FEWEST_IMAGES, counts)


def _below(fewest: int, counts: Counts) -> frozenset[str]:
    return frozenset(name for name, count in counts.items() if count < fewest)


def of_generator(config: Mapping[str, Any]) -> KnownRows:
    """Return what a generator was trained on; its cells are numbered class · subdomains + subdomain."""
    class_counts: Counts = config["class_counts"]
    if config["method"] == "glico":
        return KnownRows(class_counts, barren=_lonely(class_counts))
    subdomains = tuple(config.get("subdomains") or ())
    if not subdomains:
        return KnownRows(class_counts)
    width = len(subdomains)
    cells = {
        name: dict(zip(subdomains, config["cell_counts"][start : start + width], strict=True))
        for name, start in zip(
            class_counts, range(0, width * len(class_counts), width), strict=True
        )
    }
    return KnownRows(class_counts, subdomains, cells)
