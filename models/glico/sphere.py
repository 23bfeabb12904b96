"""Codes on the unit sphere: projection, interpolation along great circles, weighted means.

Everything is per row. The published code normalised over the batch instead, and divided 0 by 0 where
a row met itself.
"""

import torch
from jaxtyping import Float
from torch import Tensor

STRAIGHT = 1e-4
"""Sine of the angle below which two codes count as one, or as opposite."""

_MEAN_STEPS = 12


def project(z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Return each row at length 1; a row of zeros becomes the first axis, so that none is lost."""
    tiny = torch.finfo(z.dtype).tiny
    largest = z.abs().amax(dim=1, keepdim=True)
    scaled = z / largest.clamp_min(tiny)  # else the squares of very small values are lost
    length = scaled.norm(dim=1, keepdim=True)
    axis = torch.zeros_like(z)
    axis[:, 0] = 1
    return torch.where(largest > 0, scaled / length.clamp_min(tiny), axis)


def slerp(
    a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], t: Float[Tensor, " n"]
) -> Float[Tensor, "n d"]:
    """Return the point at share t of the arc from a to b, a row each (Shoemake 1985).

    Where both are one point it is that point. Where they are opposite every great circle through
    them is as short; the one towards the axis that a has least of is taken.

    Args:
        a: rows of length 1.
        b: rows of length 1.
        t: shares, 0 is a and 1 is b.
    """
    direction, angle = _towards(a, b)
    turned = (t * angle).unsqueeze(1)
    return project(turned.cos() * a + turned.sin() * direction)


def lerp(
    a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], t: Float[Tensor, " n"]
) -> Float[Tensor, "n d"]:
    """Return the point at share t of the chord from a to b, inside the sphere."""
    return torch.lerp(a, b, t.unsqueeze(1))


def mean(points: Float[Tensor, "n p d"], weights: Float[Tensor, "n p"]) -> Float[Tensor, "n d"]:
    """Return the weighted spherical mean of p points a row: of two of them, `slerp`.

    It is the point from which the weighted sum of arcs to the points is zero, found by walking along
    that sum (Buss & Fillmore 2001, algorithm A1).

    Args:
        points: of length 1.
        weights: not negative, of sum 1 a row.
    """
    if points.shape[1] == 2:
        return slerp(points[:, 0], points[:, 1], weights[:, 1])
    centre = project((weights.unsqueeze(2) * points).sum(dim=1))
    for _ in range(_MEAN_STEPS):
        step = torch.zeros_like(centre)
        for number in range(points.shape[1]):
            direction, angle = _towards(centre, points[:, number])
            step += (weights[:, number] * angle).unsqueeze(1) * direction
        length = step.norm(dim=1, keepdim=True)
        along = step / length.clamp_min(torch.finfo(step.dtype).tiny)
        centre = project(length.cos() * centre + length.sin() * along)
    return centre


def _towards(
    a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """Return the unit tangent at a that leads to b, and the angle; zeros where b is a."""
    cosine = (a * b).sum(dim=1, keepdim=True)
    rest = b - cosine * a
    sine = rest.norm(dim=1, keepdim=True)
    straight = sine < STRAIGHT
    opposite = straight & (cosine < 0)
    direction = torch.where(straight, torch.zeros_like(rest), rest / sine.clamp_min(STRAIGHT))
    if bool(opposite.any()):
        direction = torch.where(opposite, _perpendicular(a), direction)
    # The arc tangent keeps its digits where the cosine is nearly 1; the arc cosine does not.
    angle = torch.atan2(sine, cosine)
    return direction, torch.where(straight & ~opposite, torch.zeros_like(angle), angle).squeeze(1)


def _perpendicular(a: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    axis = torch.zeros_like(a).scatter_(1, a.abs().argmin(dim=1, keepdim=True), 1.0)
    return project(axis - (axis * a).sum(dim=1, keepdim=True) * a)
