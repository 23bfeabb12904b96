"""Both samplers on a GPU at their fastest: compiled, captured as CUDA graphs, 65,536 latents at once.

The share of the card's matrix peak is that of the floating-point operations which the networks'
products need (`FlopCounterMode`; nothing else is counted) over those that one large product reaches
in the same run and precision.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ddpm import STEPS, Ddpm, Floats, Labels
from models.gelda.generator import Generator
from models.gelda.guidance import Guidance
from models.gelda.rows import Members
from models.gelda.samplers import SOLVERS, Model, uniform_times
from models.gelda.spec import SamplerSpec

BATCH = 65_536
REPETITIONS = 10
PEAK_SIZE = 8192

Tensors = Callable[..., Tensor]


class Sampler:
    """Our sampler for one batch, from noise to latents, without a word between the devices.

    Args:
        generator: trained, on the device that is meant.
        cells: (n,) what to draw.
        sampler: solver, steps, guidance, temperature.
        compiled: whether the velocity goes through torch.compile.
    """

    def __init__(
        self, generator: Generator, cells: Labels, sampler: SamplerSpec, *, compiled: bool
    ) -> None:
        self._generator = generator
        device = generator._latents.mean.device
        self._cells = torch.from_numpy(cells).to(device)
        guidance = Guidance.of(sampler, subdomains=bool(generator.subdomains))
        self.velocity: Model = generator._flow.model(self._cells, guidance)
        if compiled:
            self.velocity = torch.compile(self.velocity, dynamic=False)
        # A solver asks whether t is 0. Of a time on the card that question would wait for the card,
        # which a graph cannot hold: the solver is given times here, the network their twins there.
        self._times = uniform_times(sampler.steps)
        self._there = {float(t): t.to(device) for t in self._times}
        self._solver = SOLVERS[sampler.name]
        self._scale = math.sqrt(sampler.temperature)

    def __call__(self, noise: Tensor) -> Tensor:
        def model(x: Tensor, t: Tensor) -> Tensor:
            return self.velocity(x, self._there[float(t)])

        r = self._solver(model, noise * self._scale, self._times)
        generator = self._generator
        members = Members.of_cells(self._cells, generator._latents.n_subdomains)
        z = generator._latents.inverse(r, members)
        return generator.front.inverse(z) if generator.front.invertible else z


def measure(
    generator: Generator,
    rival: Ddpm,
    labels: Labels,
    distance: Callable[[Floats], float],
    batch: int = BATCH,
) -> dict[str, Any]:
    """Return, by precision, speed and share of the peak of both; the seconds of captured graphs."""
    found: dict[str, Any] = {"name": torch.cuda.get_device_name(), "batch": batch}
    before = torch.get_float32_matmul_precision()
    for precision, setting in (("float32", "highest"), ("tf32", "high")):
        torch.set_float32_matmul_precision(setting)
        torch.backends.cudnn.allow_tf32 = setting == "high"
        # What was compiled for one precision keeps its products.
        torch.compiler.reset()
        found[precision] = _measured(generator, rival, np.resize(labels, batch), distance)
    torch.set_float32_matmul_precision(before)
    return found


@torch.no_grad()
def _measured(
    generator: Generator, rival: Ddpm, labels: Labels, distance: Callable[[Floats], float]
) -> dict[str, Any]:
    peak = matrix_peak()
    sampler = SamplerSpec(**generator.config["sampler"])
    noise = torch.randn((len(labels), generator.front.dim), device="cuda")
    counted = flops(Sampler(generator, labels, sampler, compiled=False), noise)
    replay, drawn = captured(Sampler(generator, labels, sampler, compiled=True), noise)
    seconds = _seconds(replay)
    ours = {
        "latents_per_s": len(labels) / seconds,
        "share_of_peak": counted / seconds / peak,
        "frechet": distance(drawn.cpu().numpy()),
    }
    y = torch.from_numpy(labels).cuda()
    t = torch.full_like(y, STEPS // 2)
    counted = flops(rival.network, noise, t, y)
    replay, _ = captured(torch.compile(rival.network, dynamic=False), noise, t, y)
    # One step; the schedule's own arithmetic is left out, to the rival's advantage.
    step = _seconds(replay)
    theirs = {
        "latents_per_s": len(labels) / (STEPS * step),
        "share_of_peak": counted / step / peak,
    }
    ratio = ours["latents_per_s"] / theirs["latents_per_s"]
    return {"peak_flops": peak, "ours": ours, "rival": theirs, "ratio": ratio}


def flops(function: Tensors, *inputs: Tensor) -> int:
    """Return the floating-point operations of the products in one call, a multiply-add as two."""
    with FlopCounterMode(display=False) as counter:
        function(*inputs)
    return int(counter.get_total_flops())


def captured(function: Tensors, *inputs: Tensor) -> tuple[Callable[[], None], Tensor]:
    """Return what runs the function on these very tensors as one CUDA graph, and its result."""
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):  # compiles, and chooses algorithms, none of which may be captured
            function(*inputs)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function(*inputs)
    graph.replay()
    return graph.replay, result


def matrix_peak() -> float:
    """Return the operations a second of one large product of float32, in the precision that is set."""
    a = torch.randn((PEAK_SIZE, PEAK_SIZE), device="cuda")
    out = torch.empty_like(a)
    return 2 * PEAK_SIZE**3 / _seconds(lambda: torch.mm(a, a, out=out))


def _seconds(run: Callable[[], object]) -> float:
    """Return the seconds of one run: the quickest of some, each waited for."""
    run()
    seconds = []
    for _ in range(REPETITIONS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
