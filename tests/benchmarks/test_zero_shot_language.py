"""A language without labels: what is known of it, what chooses settings, and the benchmark, small."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
LANGUAGES = ("first", "second", "third")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module; it is installed nowhere and found from the repository's root."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.zero_shot_language")


@pytest.fixture
def borrowed(bench: ModuleType) -> ModuleType:
    return importlib.import_module("benchmarks.borrowed_labels")


@pytest.fixture
def data(bench: ModuleType, tmp_path: Path) -> Any:
    subdomain_data = importlib.import_module("benchmarks.subdomain_data")
    return subdomain_data.SubdomainData.read(spoken(tmp_path))


def spoken(folder: Path) -> list[Path]:
    """Write a file a language: three emotions whose places turn a little from one to the next."""
    rng, paths = np.random.default_rng(1), []
    places = 2 * rng.standard_normal((3, 6))
    for number, language in enumerate(LANGUAGES):
        label = np.repeat(np.arange(3), (20, 30, 40))
        x = np.roll(places, 0, axis=1)[label] + 0.8 * number * rng.standard_normal(6)
        x = 5 * number + x + rng.standard_normal((90, 6))
        paths.append(folder / f"{language}.npz")
        np.savez(
            paths[-1],
            x=x, egemaps=2 * x + 1, label=label, label_names=np.array(["a", "b", "c"]),
            speaker=np.arange(90) % 5,
        )  # fmt: skip
    return paths


def test_classes_and_languages_count_alike(borrowed: ModuleType, data: Any) -> None:
    task = borrowed.Task.of(data, (0, 1), 2, seen=True)
    cells = np.bincount(task.subdomain * 3 + task.y)
    assert cells.tolist() == [borrowed.CELL_ROWS] * 6
    assert task.subdomains == LANGUAGES
    assert len(task.target) == 90
    assert np.square(task.z).mean() == pytest.approx(1)


def test_the_blind_task_knows_nothing_of_the_target_and_the_other_is_centred(
    borrowed: ModuleType, data: Any
) -> None:
    moved = replace(data, x=data.x + 7 * (data.subdomain == 2)[:, None].astype(np.float32))
    blind, again = (borrowed.Task.of(one, (0, 1), 2, seen=False) for one in (data, moved))
    np.testing.assert_array_equal(blind.z, again.z)
    assert not np.allclose(blind.target, again.target)
    seen, again = (borrowed.Task.of(one, (0, 1), 2, seen=True) for one in (data, moved))
    np.testing.assert_allclose(seen.target, again.target, atol=1e-4)
    np.testing.assert_allclose(seen.target.mean(axis=0), 0, atol=1e-5)


def test_every_way_tells_emotions_apart_that_lie_alike_in_all_languages(
    borrowed: ModuleType, data: Any
) -> None:
    task = borrowed.Task.of(data, (0, 1), 2, seen=True)
    truth = data.y[data.subdomain == 2]
    gelda = borrowed.Gelda(2, 2, 1, 30)
    right, wrong = gelda.last_heads(task, 0)
    heads = {
        "plain": task.plain(),
        "self-training": borrowed.SelfTraining(0.5, 2, 1).heads(task, 0)[-1],
        "Gaussian": borrowed.PseudoGaussian(2, 2, 1).heads(task, 0)[-1],
        "flow": right,
        "wrong": wrong,
        "sources": gelda.from_sources(task, 0),
    }
    for name, head in heads.items():
        assert (task.posterior(head).argmax(axis=1) == truth).mean() > 0.8, name
    rounds = gelda.heads(task, 0)
    np.testing.assert_allclose(task.posterior(rounds[-1]), task.posterior(right))
    assert not np.allclose(task.posterior(rounds[0]), task.posterior(rounds[1]))


def test_a_sharper_posterior_keeps_its_order_and_its_sum(borrowed: ModuleType) -> None:
    shares = np.array([[0.5, 0.3, 0.2]])
    sharper = borrowed.sharpened(shares, 2)
    np.testing.assert_allclose(sharper, [[25 / 38, 9 / 38, 4 / 38]])
    np.testing.assert_allclose(borrowed.sharpened(shares, 1), shares)


def test_settings_are_chosen_without_a_look_at_the_target(
    bench: ModuleType, borrowed: ModuleType, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrowed, "CELL_ROWS", 60)
    other = replace(
        data,
        x=np.where((data.subdomain == 2)[:, None], -3 * data.x, data.x),
        y=np.where(data.subdomain == 2, (data.y + 1) % 3, data.y),
    )
    assert bench.choose([data], (0, 1), 5, 9) == bench.choose([other], (0, 1), 5, 9)


def test_the_benchmark_runs_and_tells_every_arm_language_and_feature_set(
    tmp_path: Path, run: Any
) -> None:
    files = spoken(tmp_path)
    told = run("zero_shot_language", "--quick", "--data", *files, "--features", "egemaps")
    assert set(told["choices"]) == set(LANGUAGES)
    for arm in ("gelda", "plain", "self_training", "kappa_off", "wrong_kappa", "blind_plain"):
        assert {"UAR", "egemaps", *LANGUAGES} <= set(told["rows"][arm])
    # Languages lie five apart: where nothing is known of the third, its rows are misplaced.
    assert told["rows"]["plain"]["UAR"] > told["rows"]["blind_plain"]["UAR"]
