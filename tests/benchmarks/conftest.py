"""Benchmarks run small, in the tests' own process: a fresh one each would import torch anew."""

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import raw_images
from models.gelda.spec import DenoiserSpec, GeldaSpec, SamplerSpec
from models.planning.spec import PlanSpec
from tests.models.encoders import tiny

NAMES = np.array(["ant", "bee", "cat", "dog"])

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a benchmark by its name with these arguments; returns its line of JSON."""

    def run_benchmark(name: str, *arguments: object) -> dict[str, Any]:
        module = importlib.import_module(f"benchmarks.{name}")
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        assert not module.main()
        found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return found

    return run_benchmark


@pytest.fixture
def long_tail(tmp_path: Path) -> Callable[[Sequence[int], int], np.ndarray]:
    """Writes `tail.npz`, four classes of these training rows and as many test rows each; returns
    the classes' means.
    """

    def write(counts: Sequence[int], tested: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        centres = 2 * rng.standard_normal((4, 6))
        y, y_test = np.repeat(np.arange(4), counts), np.repeat(np.arange(4), tested)
        x, x_test = (np.abs(centres[k] + rng.standard_normal((len(k), 6))) for k in (y, y_test))
        np.savez(tmp_path / "tail.npz", x=x, y=y, x_test=x_test, y_test=y_test, classes=NAMES)
        return centres

    return write


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], None]:
    """Makes the long tail's settings, as a module has them, those of networks of a moment."""

    def shrink(module: ModuleType) -> None:
        spec_of = module.spec_of

        def smaller(*arguments: Any) -> tuple[GeldaSpec, Any]:
            spec, evaluation = spec_of(*arguments)
            update = {
                "denoiser": DenoiserSpec(width=32, blocks=1),
                "plan": PlanSpec(per_class=20),
                "sampler": SamplerSpec(steps=4),
            }
            return spec.model_copy(update=update), evaluation

        monkeypatch.setattr(module, "spec_of", smaller)

    return shrink


@pytest.fixture
def picture_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes small pictures of three classes in two domains, with their table, and lets a few do."""
    monkeypatch.setattr(raw_images, "FEW", 4)
    monkeypatch.setattr(raw_images, "HELD_OUT", 3)
    monkeypatch.setattr(raw_images, "DRAWN_FROM", 8)
    rng, folder, lines = np.random.default_rng(0), tmp_path / "pictures", ["file_name,label,domain"]
    colours = rng.integers(60, 190, (3, 2, 3))
    for (label, part), count in np.ndenumerate(np.array([[12, 30]] * 3)):
        name, domain = str(NAMES[label]), ("photo", "sketch")[part]
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = colours[label, part] + 25 * rng.standard_normal((40, 36, 3))
            file = f"{name}/{domain}_{number}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / file)
            lines.append(f"{file},{name},{domain}")
    (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small MobileNetV2 of random weights."""
    return tiny.make("mobilenet_v2", tmp_path_factory.mktemp("models") / "mobilenet_v2")
