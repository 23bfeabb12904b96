"""Steps of the scheduler: how many an edit takes, and a refusal where none is left."""

from collections.abc import Callable
from dataclasses import dataclass

from models.alia.spec import IMG2IMG_STEPS, EditorName
from models.errors import InputProblem, first_line


@dataclass(frozen=True)
class Defaults:
    """What an editor takes where the spec leaves it open."""

    steps: int
    guidance: float


DEFAULTS: dict[EditorName, Defaults] = {
    "img2img": Defaults(steps=IMG2IMG_STEPS, guidance=5.0),
    # As img2img, so that this control differs by its source alone.
    "txt2img": Defaults(steps=IMG2IMG_STEPS, guidance=5.0),
    "instruct_pix2pix": Defaults(steps=20, guidance=5.0),
    "lcm": Defaults(steps=4, guidance=8.0),
    "flux2_klein": Defaults(steps=4, guidance=1.0),
}
"""Steps and text guidance: DPM-Solver++ at 25; distilled models at the four they were distilled to."""

UNDISTILLED_FLUX = Defaults(steps=50, guidance=4.0)
"""Of the base model, which is not distilled."""

MOST_STEPS = 1000


def steps_taken(
    taken: Callable[[int], int], steps: int, strength: float | None, scheduler: str, param: str
) -> int:
    """Return how many denoising steps an edit takes.

    Args:
        taken: asks the scheduler for its timesteps at that many steps; returns how many are run
            through, or raises ValueError.
        steps: as the spec has them.
        strength: share of the schedule, for editors that have one.
        scheduler: its class, for the error.
        param: the field whose value leaves nothing to do.

    Raises:
        InputProblem: the denoiser would not be called at all, or the scheduler has no such steps.
    """
    found = _asked(taken, steps)
    if isinstance(found, int) and found > 0:
        return found
    enough = next((n for n in range(1, MOST_STEPS + 1) if _some(taken, n)), None)
    lasting = max((n for n in range(1, MOST_STEPS + 1) if _some(taken, n)), default=None)
    what = f"A strength of {strength:g}" if strength is not None else "This schedule"
    if enough is None or lasting is None:
        need = "no number of steps would"
    elif steps < enough:
        need = f"{enough} steps would leave one"
    else:
        need = f"at most {lasting} steps are possible with it"
    why = f" ({found})" if isinstance(found, str) else ""
    raise InputProblem(
        "no_step_left",
        f"{what} of {steps} steps leaves {scheduler} no step to take: {need}{why}.",
        param,
    )


def beside(param: str, field: str) -> str:
    """Return the path of a field beside that of `param`: `edit.model` has `edit.strength` beside it."""
    owner, dot, _ = param.rpartition(".")
    return owner + dot + field


def _some(taken: Callable[[int], int], steps: int) -> bool:
    found = _asked(taken, steps)
    return isinstance(found, int) and found > 0


def _asked(taken: Callable[[int], int], steps: int) -> int | str:
    try:
        return taken(steps)
    except ValueError as error:
        return first_line(error)
