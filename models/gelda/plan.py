"""How many latents of each class to make, and the seed of each of them."""

import hashlib
from collections.abc import Mapping

from models.errors import InputProblem
from models.gelda.spec import PlanSpec


def counts(plan: PlanSpec, class_counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many synthetic rows of each class ``plan`` asks for.

    Args:
        plan: one rule of `PlanSpec`.
        class_counts: real training rows a class; a class without rows counts 0.

    Raises:
        InputProblem: ``unknown_class``, when the plan names a class that the dataset has not;
            ``plan_too_large``.
    """
    unknown = plan.unknown_classes(class_counts)
    if unknown:
        raise InputProblem(
            "unknown_class",
            f"plan.per_class names {unknown[0]!r}, which is not a class of the dataset",
            "plan.per_class",
        )
    excess = plan.too_large(class_counts)
    if excess:
        raise InputProblem("plan_too_large", excess, "plan")
    return plan.counts(class_counts)


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
