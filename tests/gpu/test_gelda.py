"""GeLDA on an accelerator. Imports `models` only, so it runs where nothing else is installed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import Interrupted
from models.front import preparation
from models.front.blocks import AdapterBlock
from models.front.front import Front
from models.front.spec import PreparationSpec
from models.gelda.method import Generator, train
from models.gelda.spec import DenoiserSpec, GeldaSpec, ObjectiveSpec, SamplerSpec
from models.semantics.spec import OneHotVectors

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SPEC = GeldaSpec(
    dataset="ds_" + "0" * 32,
    subdomains=OneHotVectors(source="one_hot"),
    denoiser=DenoiserSpec(width=64, blocks=2),
    objective=ObjectiveSpec(steps=40, batch_size=64, checkpoint_steps=5),
)
ITEMS = np.repeat(np.arange(6), 25), np.tile(np.arange(25), 6)
"""Rows of every cell; the last one had no row in training."""


def trained(scratch: Path, device: str = "cuda", **more: object) -> Generator:
    """Train on labelled and unlabelled rows of two subdomains behind a block, watching others."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), (60, 20, 4))
    subdomain = np.where(y == 2, 0, np.arange(len(y)) % 2)
    x = (rng.standard_normal((len(y), 8)) + 4 * y[:, None] + subdomain[:, None]).astype(np.float32)
    block = AdapterBlock(6, 16)
    block.initialise(torch.Generator().manual_seed(0))
    labels = np.where(np.arange(len(y)) % 5 == 0, -1, y)
    return train(
        x,
        labels,
        classes=["a", "b", "c"],
        vectors=None,
        spec=SPEC,
        seed=1,
        scratch=scratch,
        front=Front(preparation.fit(x, PreparationSpec(components=6)), [block]),
        subdomain=subdomain,
        subdomains=["s", "t"],
        posterior=0.1 + 0.7 * np.eye(3)[y[labels < 0]],
        held_out=(x[::3], y[::3], subdomain[::3]),
        device=device,
        **more,
    )


def drawn(generator: Generator, **sampler: float) -> np.ndarray:
    spec = SamplerSpec(steps=6, **sampler)
    return generator.sample(*ITEMS, seed=2, sampler=spec, batch_size=64)


def test_equal_seeds_give_equal_bytes_on_one_device(tmp_path: Path) -> None:
    assert drawn(trained(tmp_path)).tobytes() == drawn(trained(tmp_path)).tobytes()


def test_an_interrupted_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    kept: list[Path] = []
    asked = iter(range(1000))
    with pytest.raises(Interrupted):
        trained(
            tmp_path,
            on_checkpoint=lambda path, step: kept.append(path.rename(tmp_path / f"kept-{step}")),
            should_stop=lambda: next(asked) == 12,
        )
    for checkpoint in kept:
        resumed = trained(tmp_path, resume=checkpoint)
        assert drawn(resumed).tobytes() == drawn(trained(tmp_path)).tobytes()


def test_a_generator_draws_the_same_latents_on_either_device(tmp_path: Path) -> None:
    generator = trained(tmp_path)
    generator.save(tmp_path / "kept")
    on_cpu = Generator.load(tmp_path / "kept", device="cpu")
    np.testing.assert_allclose(drawn(on_cpu), drawn(generator), atol=5e-3)
    guided = {"guidance": 1.5, "guidance_subdomain": 2.0}
    np.testing.assert_allclose(
        drawn(on_cpu, **guided), drawn(generator, **guided), atol=5e-3, rtol=5e-3
    )
