"""Benchmarks run small, in the tests' own process: a fresh one each would import torch anew."""

import importlib
import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from models.gelda.spec import DenoiserSpec, GeldaSpec, PlanSpec, SamplerSpec

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
