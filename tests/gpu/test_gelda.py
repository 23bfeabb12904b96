"""GeLDA on an accelerator. Imports `models` only, so it runs where nothing else is installed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import Interrupted
from models.front.front import Front
from models.gelda.method import Generator, train
from models.gelda.spec import DenoiserSpec, GeldaSpec, ObjectiveSpec, SamplerSpec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SPEC = GeldaSpec(
    dataset="ds_" + "0" * 32,
    denoiser=DenoiserSpec(width=64, blocks=2),
    objective=ObjectiveSpec(steps=40, batch_size=64, checkpoint_steps=15),
)
ITEMS = np.repeat([0, 1, 2], 50), np.tile(np.arange(50), 3)


def trained(scratch: Path, device: str = "cuda", **more: object) -> Generator:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), (60, 20, 3))
    x = (rng.standard_normal((len(y), 8)) + 4 * y[:, None]).astype(np.float32)
    return train(
        x,
        y,
        classes=["a", "b", "c"],
        vectors=None,
        spec=SPEC,
        seed=1,
        scratch=scratch,
        front=Front.identity(x.shape[1]),
        device=device,
        **more,
    )


def drawn(generator: Generator) -> np.ndarray:
    return generator.sample(*ITEMS, seed=2, sampler=SamplerSpec(steps=6), batch_size=64)


def test_equal_seeds_give_equal_bytes_on_one_device(tmp_path: Path) -> None:
    assert drawn(trained(tmp_path)).tobytes() == drawn(trained(tmp_path)).tobytes()


def test_an_interrupted_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    kept: list[Path] = []
    asked = iter(range(1000))
    with pytest.raises(Interrupted):
        trained(
            tmp_path,
            on_checkpoint=lambda path, step: kept.append(path.rename(tmp_path / f"kept-{step}")),
            should_stop=lambda: next(asked) == 22,
        )
    for checkpoint in kept:
        resumed = trained(tmp_path, resume=checkpoint)
        assert drawn(resumed).tobytes() == drawn(trained(tmp_path)).tobytes()


def test_a_generator_draws_the_same_latents_on_either_device(tmp_path: Path) -> None:
    generator = trained(tmp_path)
    generator.save(tmp_path / "kept")
    on_cpu = Generator.load(tmp_path / "kept", device="cpu")
    np.testing.assert_allclose(drawn(on_cpu), drawn(generator), atol=5e-3)
