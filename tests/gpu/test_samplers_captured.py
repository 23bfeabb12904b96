"""Samplers compiled and captured as CUDA graphs, as the benchmark of their speed runs them."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from models.front.front import Front
from models.gelda.generator import Generator
from models.gelda.method import train
from models.gelda.spec import DenoiserSpec, GeldaSpec, ObjectiveSpec, SamplerSpec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SPEC = GeldaSpec(
    dataset="ds_" + "0" * 32,
    denoiser=DenoiserSpec(width=64, blocks=2),
    objective=ObjectiveSpec(steps=40, batch_size=64),
)
BATCH = 4096
CELLS = np.arange(BATCH, dtype=np.int64) % 3


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module; it is installed nowhere and found from the repository's root."""
    pytest.importorskip("diffusers")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return importlib.import_module("benchmarks.card")


def rows() -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat(np.arange(3), (60, 20, 30))
    x = np.random.default_rng(0).standard_normal((len(y), 16)) + 4 * y[:, None]
    return x.astype(np.float32), y


def trained(scratch: Path) -> Generator:
    return train(
        *rows(), classes=["a", "b", "c"], vectors=None, spec=SPEC, seed=1, scratch=scratch,
        front=Front.identity(16), device="cuda",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["heun", "dpmpp_2m"])
def test_a_captured_sampler_draws_what_the_plain_one_draws_again_and_again(
    name: str, card: ModuleType, tmp_path: Path
) -> None:
    generator, sampler = trained(tmp_path), SamplerSpec(name=name, steps=6)
    noise = torch.randn((BATCH, 16), device="cuda")
    with torch.no_grad():
        replay, drawn = card.captured(card.Sampler(generator, CELLS, sampler, compiled=True), noise)
        for _ in range(2):
            noise.normal_()
            replay()
            expected = generator._solve(CELLS, noise.cpu().numpy(), sampler, True)
            np.testing.assert_allclose(drawn.cpu().numpy(), expected, atol=2e-2)


def test_both_are_measured_in_both_precisions_and_no_share_exceeds_the_peak(
    card: ModuleType, tmp_path: Path
) -> None:
    x, y = rows()
    ddpm = importlib.import_module("benchmarks.ddpm")
    rival = ddpm.Ddpm(x, y, 3, blocks=1, seed=0, device="cuda")
    found = card.measure(trained(tmp_path), rival, CELLS, lambda z: float(z.std()), BATCH)
    for precision in ("float32", "tf32"):
        told = found[precision]
        assert told["peak_flops"] > 1e12
        assert told["ratio"] > 1
        for share in (told["ours"]["share_of_peak"], told["rival"]["share_of_peak"]):
            assert 0 < share < 1.05
