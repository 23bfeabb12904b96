"""Edits a second of img2img, from the way of a plain loop to the batch engine, stage by stage.

    python -m benchmarks.edit_speed (--model FOLDER | --full) [--quick] [--data IMAGE…] [--seeds N]
                                    [--edits N] [--batch N] [--strength S] [--device NAME]

FOLDER holds a StableDiffusionPipeline in the standard layout of diffusers. `--full` makes one of the
size of Stable Diffusion 1.5 for 512 px with random weights, which are as fast as any. Images are files,
taken again until there are enough; by default noise. Each source is edited into two domains. Stages,
each with all before it:

    plain loop   one image a call, prompt and image encoded anew, 50 steps, eager, float32
    cached       sources encoded once for all their prompts, prompts once; one image a batch
    batched      fixed batches of N
    precision    bfloat16 where the machine multiplies it in hardware (channels last on CUDA)
    compiled     the denoiser's repeated blocks compiled (left out on a CPU without --compile)
    25 steps     half the steps of DPM-Solver++, as a job takes by default
    4 steps      a consistency model of the same shape, random weights: no second pass for guidance

The plain loop has the model's own scheduler, the others that of a job; `calls` are the denoiser's for
an edit. Stages take turns, N seeds are N turns of each; the first batch of each is not counted, and
sources are new in every turn. Seconds are of the clock, and on a CPU also of the processor, for when
others share it.
Cost: with a model of 10 MB about 3 minutes on one free core.
Expect: at equal steps at least 3 times the plain loop. With a model of 10 MB at 32 px on a core with
AMX, batches of 48 and --compile: 4 times by batching (caching alone does not show), 6 in bfloat16,
7 compiled; 12 at 25 steps, 47 at 4.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from benchmarks import edit_models
from benchmarks.face import Face
from models.alia.editing.engine import Editor, Order
from models.alia.editing.loading import load_editor
from models.alia.spec import EditSpec

GOAL = 3.0
EDITS, QUICK_EDITS, BATCH, TURNS = 48, 4, 8, 3
PLAIN_EDITS = 8
"""Edits of the stages that make them one by one: fewer, for they are slow and all alike."""
STEPS, DEFAULT_STEPS, FEW_STEPS = 50, 25, 4
PREFIX, SETTINGS = "a photo of a {}", ("in the snow", "at night")
PLAIN = "plain loop"

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Stage:
    """One rung of the ladder: makes the edits of these orders.

    Attributes:
        name: as it is shown.
        run: makes edits.
        most: orders that it is given.
        calls: of the denoiser, an edit.
        steps: of the scheduler.
    """

    name: str
    run: Callable[[list[Order]], object]
    most: int
    calls: int
    steps: int


def orders_of(images: list[Pixels], edits: int, turn: int) -> list[Order]:
    """Return orders of each image into every domain, the image not seen in another turn."""
    return [
        Order(
            images[(n // 2) % len(images)], (turn, n // 2), "bird", f"{PREFIX} {SETTINGS[n % 2]}", n
        )
        for n in range(edits)
    ]


def plain_stage(folder: Path, given: Namespace, size: int) -> Stage:
    """Return the way of the plain loop."""
    pipeline: Any = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(
        folder, safety_checker=None, requires_safety_checker=False, dtype=torch.float32
    ).to(given.device)
    pipeline.set_progress_bar_config(disable=True)
    counted: list[None] = []
    pipeline.unet.register_forward_hook(lambda *_: counted.append(None))

    def run(orders: list[Order]) -> None:
        for order in orders:
            assert order.image is not None
            pipeline(
                prompt=order.description.format(order.class_name),
                image=Image.fromarray(order.image).resize((size, size)),
                strength=given.strength,
                guidance_scale=5.0,
                num_inference_steps=STEPS,
                generator=torch.Generator().manual_seed(order.seed),
                output_type="np",
            )

    run(orders_of([np.zeros((size, size, 3), np.uint8)], 1, -2))
    return Stage(PLAIN, run, given.plain_edits, len(counted), STEPS)


def stages(folder: Path, given: Namespace, scratch: Path) -> Iterator[Stage]:
    """Yield the ladder, each stage loaded when it is asked for."""
    on_cuda = torch.device(given.device).type == "cuda"
    compiled = on_cuda or given.compile

    def editor_of(where: Path, **settings: Any) -> Editor:
        spec = EditSpec.model_validate({"strength": given.strength, "compiled": False} | settings)
        return load_editor(spec, where, where.name, "model", PREFIX, given.device)

    def stage(name: str, editor: Editor, most: int) -> Stage:
        def run(orders: list[Order]) -> None:
            editor.edit(orders, lambda _, __: None, lambda: False)

        return Stage(name, run, most, editor.facts["calls"], editor.facts["steps"])

    one: dict[str, Any] = {"steps": STEPS, "batch_size": 1, "precision": "float32"}
    cached = editor_of(folder, **one)
    yield plain_stage(folder, given, cached.facts["size"])
    yield stage("cached", cached, given.plain_edits)
    many = one | {"batch_size": given.batch}
    yield stage("batched", editor_of(folder, **many), given.edits)
    narrow = many | {"precision": "auto"}
    yield stage("precision", editor_of(folder, **narrow), given.edits)
    if compiled:
        narrow |= {"compiled": True}
        yield stage("compiled", editor_of(folder, **narrow), given.edits)
    fewer = narrow | {"steps": DEFAULT_STEPS}
    yield stage(f"{DEFAULT_STEPS} steps", editor_of(folder, **fewer), given.edits)
    distilled = edit_models.consistency(folder, scratch / "lcm")
    least = narrow | {"editor": "lcm", "steps": FEW_STEPS}
    yield stage(f"{FEW_STEPS} steps", editor_of(distilled, **least), given.edits)


def measure(ladder: list[Stage], images: list[Pixels], turns: int, face: Face) -> dict[str, Any]:
    """Run the stages in turns; return edits a second of each, by the clock and by the processor."""
    clocks = {"second": time.perf_counter, "cpu_second": time.process_time}
    rates: dict[str, dict[str, list[float]]] = {
        clock: {stage.name: [] for stage in ladder} for clock in clocks
    }
    for turn in range(-1, turns):  # one before the clock starts
        for stage in ladder if turn % 2 == 0 else reversed(ladder):
            face.begin(f"turn {turn}: {stage.name}" if turn >= 0 else f"first batch: {stage.name}")
            orders = orders_of(images, stage.most, turn)
            began = {clock: now() for clock, now in clocks.items()}
            stage.run(orders)
            if turn >= 0:
                for clock, now in clocks.items():
                    rates[clock][stage.name].append(stage.most / (now() - began[clock]))
    face.end()
    told: dict[str, Any] = {"calls": {stage.name: stage.calls for stage in ladder}}
    for clock, found in rates.items():
        per = {name: median(rate) for name, rate in found.items()}
        told[f"edits_per_{clock}"] = per
        told["times" if clock == "second" else "cpu_times"] = {
            name: rate / per[PLAIN] for name, rate in per.items()
        }
    return told


def pictures(given: Namespace, size: int) -> list[Pixels]:
    """Return the sources: files, or noise at the model's size."""
    if given.data:
        return [np.asarray(Image.open(path).convert("RGB"), np.uint8) for path in given.data]
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(16)]


def main() -> None:
    face = Face(__doc__, seeds=TURNS)
    add = face.parser.add_argument
    add("--model", type=Path, help="a folder with a StableDiffusionPipeline")
    add("--full", action="store_true", help="the size of Stable Diffusion 1.5, random weights")
    add("--edits", type=int, default=EDITS, help=f"a turn of each stage (default: {EDITS})")
    add("--batch", type=int, default=BATCH, help=f"images at once (default: {BATCH})")
    add("--strength", type=float, default=0.5, help="of img2img (default: 0.5)")
    add("--compile", action="store_true", help="compile on a CPU too")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = face.parse()
    if (given.model is None) != given.full:
        face.parser.error("give one of --model and --full")
    given.edits = min(given.edits, QUICK_EDITS) if given.quick else given.edits
    given.plain_edits = min(given.edits, PLAIN_EDITS)
    torch.set_num_threads(1)  # as a worker's child has
    with tempfile.TemporaryDirectory(prefix="cultivar-edit-") as scratch:
        folder = given.model or edit_models.full(Path(scratch) / "full")
        face.begin("loading")
        ladder = list(stages(folder, given, Path(scratch)))
        size = edit_models.side(folder)
        measured = measure(ladder, pictures(given, size), given.seeds, face)
    show(ladder, measured, face)
    equal = [stage.name for stage in ladder if stage.steps == STEPS]
    face.finish(
        {
            "model": "Stable Diffusion 1.5's size, random weights" if given.full else folder.name,
            "size": size,
            "edits": given.edits,
            "batch": given.batch,
            "strength": given.strength,
            "device": given.device,
            **measured,
            "times_at_equal_steps": measured["times"][equal[-1]],
            "goal_times": GOAL,
            "reached": measured["times"][equal[-1]] >= GOAL,
            "quick": given.quick,
        }
    )


def show(ladder: list[Stage], measured: dict[str, Any], face: Face) -> None:
    """Print the ladder: what each stage reaches, and what it adds to the one before."""
    rates, times = measured["edits_per_second"], measured["times"]
    before = [ladder[0], *ladder]
    face.table(
        ["stage", "calls", "edits a second", "× plain", "× the stage before", "× plain, of the CPU"],
        [
            [
                stage.name, stage.calls, rates[stage.name], times[stage.name],
                rates[stage.name] / rates[last.name], measured["cpu_times"][stage.name],
            ]
            for stage, last in zip(ladder, before, strict=False)
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
