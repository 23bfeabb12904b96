"""Guidance for two conditions, each with a scale of its own, within an interval of times.

Ho & Salimans 2022 for one condition; two are composed as by Brooks, Holynski & Efros 2023
(*InstructPix2Pix*, equation 3); the interval is Kynkäänniemi et al. 2024's.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from models.gelda.samplers import Model
from models.gelda.spec import SamplerSpec

Kept = tuple[bool, bool]
"""Whether class vector and subdomain vector are kept."""

BOTH: Kept = (True, True)

EDGE = 1e-6
"""Tolerance of the interval's bounds: a solver's times are float32."""


@dataclass(frozen=True)
class Guidance:
    """Scales of both conditions and the times, from 1 (noise) to 0, at which they apply.

    Attributes:
        gamma: of the class vector; 1 is none, 0 draws without it.
        kappa: of the subdomain vector, likewise.
        interval: lower and upper time, both included; elsewhere both conditions are kept as they are.
    """

    gamma: float = 1.0
    kappa: float = 1.0
    interval: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def of(cls, sampler: SamplerSpec, *, subdomains: bool) -> "Guidance":
        """Return a sampler's; without subdomains the second scale is that of the first condition."""
        kappa = sampler.guidance_subdomain if subdomains else sampler.guidance
        return cls(sampler.guidance, kappa, sampler.guidance_interval)

    def terms(self) -> dict[Kept, float]:
        """Return the factor of each flow that is needed; they add up to 1.

        v = v_00 + g_γ (v_γ0 − v_00) + g_κ (v_γκ − v_γ0), with equal flows taken together: one
        evaluation where both scales are 1 or both 0, two where they are equal, three at most. Where
        g_γ = 0 the class must have no say at all: v = v_00 + g_κ (v_0κ − v_00).
        """
        g, k = self.gamma, self.kappa
        if g == 0:
            factors: dict[Kept, float] = {(False, False): 1 - k, (False, True): k}
        else:
            factors = {(False, False): 1 - g, (True, False): g - k, BOTH: k}
        return {kept: factor for kept, factor in factors.items() if factor != 0}


def guided(flow: Callable[[Kept], Model], guidance: Guidance) -> Model:
    """Return v(x, t) under guidance; ``flow`` makes the flow given some of the conditions."""
    terms = [(factor, flow(kept)) for kept, factor in guidance.terms().items()]
    if len(terms) == 1:
        inside = terms[0][1]
    else:

        def inside(x: Tensor, t: Tensor) -> Tensor:
            total = terms[0][0] * terms[0][1](x, t)
            for factor, field in terms[1:]:
                total = total.add(field(x, t), alpha=factor)
            return total

    low, high = guidance.interval
    if (low, high) == (0.0, 1.0) or guidance.terms().keys() == {BOTH}:
        return inside
    outside = flow(BOTH)

    def model(x: Tensor, t: Tensor) -> Tensor:
        applies = low - EDGE <= float(t) <= high + EDGE
        return inside(x, t) if applies else outside(x, t)

    return model
