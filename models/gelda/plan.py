"""How many latents of each class to make, and the seed of each of them."""

import hashlib
import math
import statistics
from collections.abc import Mapping

from models.errors import InputProblem
from models.gelda.spec import PlanSpec


def counts(plan: PlanSpec, class_counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many synthetic rows of each class ``plan`` asks for.

    Args:
        plan: one rule of `PlanSpec`.
        class_counts: real training rows a class; a class without rows counts 0.

    Raises:
        InputProblem: ``unknown_class``, when the plan names a class that the dataset has not.
    """
    if isinstance(plan.per_class, dict):
        unknown = sorted(set(plan.per_class) - set(class_counts))
        if unknown:
            raise InputProblem(
                "unknown_class",
                f"plan.per_class names {unknown[0]!r}, which is not a class of the dataset",
                "plan.per_class",
            )
        return {name: plan.per_class.get(name, 0) for name in class_counts}
    if plan.per_class is not None:
        return dict.fromkeys(class_counts, plan.per_class)
    if plan.multiply is not None:
        # Half up: Python's own round() would turn 0.5 and 2.5 rows into 0 and 2.
        return {name: math.floor(plan.multiply * n + 0.5) for name, n in class_counts.items()}
    target = _target(plan, class_counts)
    return {name: max(0, target - n) for name, n in class_counts.items()}


def _target(plan: PlanSpec, class_counts: Mapping[str, int]) -> int:
    """Return the size to which every class is raised."""
    if plan.raise_to is not None:
        return plan.raise_to
    if plan.match == "median":
        return round(statistics.median(class_counts.values())) if class_counts else 0
    return max(class_counts.values(), default=0)


def item_seed(seed: int, class_index: int, counter: int) -> int:
    """Return the uint64 from which alone the noise of one item is drawn.

    It depends on the job's seed, the item's class and its number within the class, never on the
    shard or batch it is made in.
    """
    return derived_seed("item", seed, class_index, counter)


def derived_seed(purpose: str, *numbers: int) -> int:
    """Return a uint64 that is as good as independent for every purpose and every tuple of numbers."""
    text = ":".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
