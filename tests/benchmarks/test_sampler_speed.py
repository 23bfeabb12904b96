"""The benchmark of samplers, small: its rival, its distance, and what a graph is captured from."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Imports a benchmark's module; they are installed nowhere and found from the root."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def small_load(sampler_speed: ModuleType, latents: int = 60):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), (60, 30, 10))
    x = (rng.standard_normal((len(y), 6)) + 3 * y[:, None]).astype(np.float32)
    arrays = {"x": x, "y": y, "x_test": x[::2] + 0.1, "y_test": y[::2]}
    return sampler_speed.Load.of("small", arrays, latents)


@pytest.mark.parametrize("dim", [8, 13, 64])
def test_the_rival_gives_noise_of_the_latents_shape_and_hears_step_and_class(
    dim: int, module
) -> None:
    torch.manual_seed(0)
    net = module("unet1d").UNet1d(3, base=16).eval()
    x, t, y = torch.randn(5, dim), torch.full((5,), 10), torch.zeros(5, dtype=torch.long)
    eps = net(x, t, y)
    assert eps.shape == x.shape
    assert not torch.allclose(eps, net(x, t + 900, y))
    assert not torch.allclose(eps, net(x, t, y + 1))
    torch.testing.assert_close(net(x[2:3], t[2:3], y[2:3]), eps[2:3], atol=1e-5, rtol=1e-4)


def test_the_rival_has_the_size_and_the_levels_of_its_design(module) -> None:
    net = module("unet1d").UNet1d(10)
    assert [conv.in_channels for conv in net.shrink] == [64, 128, 256]
    assert net.attention.out.in_channels == 512
    assert 5e6 < sum(p.numel() for p in net.parameters()) < 4e7


def test_the_rival_learns_keeps_its_best_weights_and_says_why_it_stopped(
    module, monkeypatch: pytest.MonkeyPatch
) -> None:
    ddpm, load = module("ddpm"), small_load(module("sampler_speed"))
    monkeypatch.setattr(ddpm, "UNet1d", lambda n, blocks: module("unet1d").UNet1d(n, base=16))
    monkeypatch.setattr(ddpm, "BATCH", 32)
    monkeypatch.setattr(ddpm, "WARM_UP", 10)
    rival = ddpm.Ddpm(load.x, load.y, 3, blocks=1, seed=0, device="cpu")
    untrained = load.distance(rival.draw(load.labels, steps=20))
    told = iter([9.0, 5.0, 7.0, 8.0, 6.0, 5.5])
    kept = []

    def distance(draw) -> float:
        kept.append([p.clone() for p in rival.network.parameters()])
        return next(told)

    run = rival.fit(distance, budget=1e9, look_after=20, on_progress=lambda _done, _total: None)
    assert (run.stopped_by, run.steps) == ("patience", 40)
    assert [look[1] for look in run.watched] == [9.0, 5.0, 7.0, 8.0, 6.0, 5.5]
    for now, then in zip(rival.network.parameters(), kept[1], strict=True):
        assert torch.equal(now, then)
    assert load.distance(rival.draw(load.labels, steps=20)) < 0.5 * untrained


def test_a_spent_budget_is_told(module, monkeypatch: pytest.MonkeyPatch) -> None:
    ddpm, load = module("ddpm"), small_load(module("sampler_speed"))
    monkeypatch.setattr(ddpm, "UNet1d", lambda n, blocks: module("unet1d").UNet1d(n, base=16))
    rival = ddpm.Ddpm(load.x, load.y, 3, blocks=1, seed=0, device="cpu")
    run = rival.fit(lambda _draw: 1.0, budget=1e-6, look_after=2, on_progress=lambda _a, _b: None)
    assert (run.stopped_by, run.steps, len(run.watched)) == ("budget", 2, 1)


def test_what_is_drawn_has_the_held_out_rows_mixture_of_classes(module) -> None:
    load = small_load(module("sampler_speed"), latents=100)
    assert np.bincount(load.labels).tolist() == [60, 30, 10]
    assert load.real(0).shape == (100, 6)
    assert load.distance(load.real(0)) < load.distance(load.real(0) + 1)


def test_too_few_latents_for_a_distance_are_refused_by_name(module) -> None:
    with pytest.raises(SystemExit, match="small: a Fréchet distance in 6 dimensions needs more"):
        small_load(module("sampler_speed"), latents=6)


@pytest.mark.parametrize(("name", "steps"), [("heun", 5), ("dpmpp_2m", 7)])
def test_what_is_captured_draws_what_the_generator_draws_and_asks_as_often_as_counted(
    name: str, steps: int, module, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed, card = module("sampler_speed"), module("card")
    face = module("face").Face("A benchmark.")
    load = small_load(speed)
    generator = speed.ours(load, 0, 20, "cpu", face)
    sampler = speed.SamplerSpec(name=name, steps=steps, temperature=1.5)
    whole = card.Sampler(generator, load.labels, sampler, compiled=False)
    asked = []
    velocity = whole.velocity
    whole.velocity = lambda x, t: asked.append(t) or velocity(x, t)
    noise = torch.randn(len(load.labels), 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        drawn = whole(noise).numpy()
    expected = generator._solve(load.labels, noise.numpy(), sampler, True)
    np.testing.assert_allclose(drawn, expected, atol=1e-5)
    assert len(asked) == speed.evaluations(sampler)


def test_operations_of_a_product_are_counted_as_two_each(module) -> None:
    a, b = torch.randn(3, 5), torch.randn(5, 7)
    assert module("card").flops(torch.mm, a, b) == 2 * 3 * 5 * 7


def test_the_benchmark_runs_and_writes_its_figure(
    tmp_path: Path, module, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ddpm, unet1d = module("ddpm"), module("unet1d")
    monkeypatch.setattr(ddpm, "UNet1d", lambda n, blocks: unet1d.UNet1d(n, blocks=blocks, base=32))
    rng = np.random.default_rng(0)
    y = np.arange(200) % 4
    x = (rng.standard_normal((200, 8)) + y[:, None]).astype(np.float32)
    data = tmp_path / "mine.npz"
    np.savez(data, x=x, y=y, x_test=x[::2], y_test=y[::2])
    figures = tmp_path / "figures"
    found = run("sampler_speed", "--quick", "--data", data, "--figures", figures)
    (only,) = found["runs"]
    assert [row["method"] for row in only["rows"]] == ["GeLDA", "1-D U-Net", "1-D U-Net", "GeLDA"]
    assert found["ratio"] > found["ratio_at_equal_steps"] > 1
    assert only["rival"]["stopped_by"] == "budget"
    assert found["reached"] is None, "nothing is proved beside an unfinished rival"
    assert {path.name for path in figures.iterdir()} == {
        "sampler_speed.png",
        "sampler_speed.svg",
    }
