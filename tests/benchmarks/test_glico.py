"""The few-shot benchmark, small: what is kept, what arms share, and what each may choose from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import few_shot, glico
from benchmarks.corruptions import CORRUPTIONS
from benchmarks.face import Face
from benchmarks.few_shot import FewShot, Job, Ran, Setting, run_all
from benchmarks.few_shot_arms import ARMS, BEST, QUESTIONS, RATES
from models.glico.pairs import Members
from models.glico.spec import GlicoSpec
from models.images.spec import ImageClassifierSpec

EACH, SIDE = 8, 16


def _never(*_given: object, **_named: object) -> None:
    raise AssertionError("something was trained again")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Noisy images of three colours: eight a class to train on, four to choose by, five to test."""
    rng = np.random.default_rng(0)
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])

    def part(each: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.repeat(np.arange(3), each)
        x = colours[y][:, None, None] + rng.normal(0, 30, (len(y), SIDE, SIDE, 3))
        return x.clip(0, 255).astype(np.uint8), y

    arrays: dict[str, np.ndarray] = {"classes": np.array(["red", "green", "blue"])}
    for name, each in (("", EACH), ("_val", 4), ("_test", 5)):
        arrays[f"x{name}"], arrays[f"y{name}"] = part(each)
    path = tmp_path / "few.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def job(file: Path, tmp_path: Path) -> Callable[..., Job]:
    """Makes runs of a moment of a setting."""
    data, runs = FewShot.read(file), tmp_path / "runs"
    runs.mkdir()
    classifier = ImageClassifierSpec(width=4, steps=3, batch_size=8)
    small = {"reconstruction": {"steps": 3, "batch_size": 8}, "decoder": {"width": 8}}
    spec = GlicoSpec.model_validate({"dataset": "ds_" + "0" * 32, **small})
    return lambda setting, seed=0: Job(data, runs, 3, seed, setting, classifier, spec)


def test_all_arms_are_measured_and_a_second_call_trains_nothing(
    file: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
):
    given = ["--quick", "--data", file, "--runs", tmp_path / "runs", "--shots", "2"]
    given += ["--seeds", 1, "--questions", 2]
    found = run("glico", *given)
    assert {len(path.suffixes) for path in (tmp_path / "runs").iterdir()} <= {0, 1}, "all is whole"
    assert set(found["shots"]) == {"2"}
    assert set(found["shots"]["2"]) == set(ARMS)
    assert set(found["questions"]) == {BEST, "real", *QUESTIONS}
    for name, told in found["shots"]["2"].items():
        assert 0 <= told["all"] <= 100
        assert set(told["by_corruption"]) == set(CORRUPTIONS)
        assert ("lead" in told) == (name != BEST)
        assert (told["generator_seconds"] > 0) == (name in {BEST, "published"})
        assert (told["novelty"] is None) == (name in {"real", "cutout", "mixup"})

    monkeypatch.setattr(few_shot, "fit", _never)
    monkeypatch.setattr(few_shot, "train", _never)
    again = run("glico", *given)
    assert (again["shots"], again["questions"]) == (found["shots"], found["questions"])


def test_the_figure_shows_each_arm_s_lead_over_real_images_by_number(tmp_path: Path):
    face = Face("A benchmark.")
    face.parse(["--figures", str(tmp_path / "figures")])
    leads = {name: {"over_real": [1.0, 0.5, 1.5]} for name in ARMS if name != "cutout"}
    glico.draw(face, {2: leads, 3: leads}, "wrn-16-2")
    drawn = (tmp_path / "figures" / "glico.svg").read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "glico.png").stat().st_size > 10_000
    for name, arm in ARMS.items():
        assert (f">{arm.label}</text>" in drawn) == (name not in {"real", "cutout"})
    assert ">wrn-16-2: what a few images gain</text>" in drawn


def test_what_is_too_little_is_refused_before_anything_is_trained(
    file: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setattr(few_shot, "fit", _never)
    given = ["glico", "--quick", "--data", file, "--runs", tmp_path / "runs"]
    with pytest.raises(SystemExit, match="seed 2 at 3 a class needs 9 images of each; found 8"):
        run(*given, "--shots", "2,3", "--seeds", 3)
    with pytest.raises(SystemExit, match="seed 1 at 5 a class needs 10 images of each; found 8"):
        run(*given, "--shots", "2", "--seeds", 2, "--questions", 5)
    for shots in ("1,2", "ten"):
        with pytest.raises(SystemExit):
            run(*given, "--shots", shots)
        assert f"{shots} is no list of numbers from 2 on" in capsys.readouterr().err


def test_runs_of_other_images_are_not_read(file: Path, tmp_path: Path):
    data = FewShot.read(file)
    data.claim(tmp_path)
    data.claim(tmp_path)
    with pytest.raises(SystemExit, match="keeps runs of other images"):
        replace(data, y_val=data.y_val[::-1]).claim(tmp_path)


def test_a_file_that_lacks_a_part_is_named_with_what_it_has(tmp_path: Path):
    np.savez(tmp_path / "half.npz", x=np.zeros(1), y=np.zeros(1), classes=np.array(["a"]))
    with pytest.raises(SystemExit, match=r"half\.npz lacks x_val, y_val, x_test, y_test; it has x"):
        FewShot.read(tmp_path / "half.npz")


@pytest.mark.parametrize("shots", [2, 4])
def test_seeds_have_images_of_their_own_as_many_of_each_class(file: Path, shots: int):
    data = FewShot.read(file)
    parts = [data.subset(shots, seed) for seed in range(EACH // shots)]
    for rows in parts:
        assert np.bincount(data.y[rows]).tolist() == [shots] * 3
    every = np.concatenate(parts)
    assert len(np.unique(every)) == len(every) == len(data.y)


def test_every_arm_has_at_most_eight_different_tries_among_the_same_rates():
    for arm in ARMS.values():
        assert 1 <= len(arm.tries) <= 8
        assert all(one != other for i, one in enumerate(arm.tries) for other in arm.tries[:i])
        rates = [
            {key: one.classifier[key] for key in ("learning_rate", "weight_decay")}
            for one in arm.tries
        ]
        assert [one for one in rates if one not in RATES] == []
        assert [one for one in RATES if one not in rates] == []


def test_the_generator_and_its_rivals_in_pixels_see_the_same_pairs_at_equal_seeds(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
):
    drawn: list[Any] = []
    mix = Members.mix

    def remembered(*given: Any) -> Any:
        drawn.append(mix(*given))
        return drawn[-1]

    monkeypatch.setattr(Members, "mix", remembered)

    def pairs(arm: str, number: int, seed: int = 0) -> list[Any]:
        drawn.clear()
        run_all([job(ARMS[arm].tries[number], seed)], 1, lambda _done, _total: None)
        return [(one.parents.tolist(), one.weights.tolist()) for one in drawn]

    assert len(ARMS[BEST].tries) == len(ARMS["cross_fade"].tries) == 8
    own = [one for one in ARMS[BEST].tries if not one.generator]
    assert len(own) == 6, "the other two are told the class, which a cross-fade has no use for"
    for number, (one, other) in enumerate(zip(own, ARMS["cross_fade"].tries, strict=False)):
        assert replace(one, source="fade") == other
        seen = pairs(BEST, number)
        assert len(seen) >= 3, "each of three steps has synthetic images"
        assert pairs("cross_fade", number) == seen
    assert pairs("cross_fade", 0, seed=1) != pairs("cross_fade", 0)


def test_what_only_samples_otherwise_shares_a_generator_and_what_is_built_otherwise_does_not(
    job: Callable[..., Job],
):
    plain = job(ARMS[BEST].tries[0])
    shared = {name: job(setting) for name, (_, setting) in QUESTIONS.items()}
    own = {"no_path", "conditioned"}
    for name, one in shared.items():
        assert one.path != plain.path
        assert (one.generator_path == plain.generator_path) == (name not in own)
        spec = one.glico_spec.model_dump()
        for part, changes in one.setting.generator.items():
            assert {key: spec[part][key] for key in changes} == changes
            spec[part] |= {key: getattr(getattr(plain.glico, part), key) for key in changes}
        assert spec == plain.glico.model_dump()
    assert job(ARMS[BEST].tries[0], 1).generator_path != plain.generator_path


def test_each_arm_takes_the_try_that_knows_most_about_validation(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    nothing = np.zeros(0, np.int64)

    def ran(jobs: list[Job], _processes: int, _on_progress: object) -> dict[Path, Ran]:
        for one in jobs:
            assert one.seed == 0
        return {
            one.path: Ran(nothing, nothing, -one.setting.classifier["learning_rate"], 0.0, 1.0)
            for one in jobs
        }

    monkeypatch.setattr(glico, "run_all", ran)
    face = Face("A benchmark.")
    glico.add_options(face)
    given = face.parse(["--quick", "--data", str(file), "--runs", str(tmp_path)])
    chosen = glico.Bench(FewShot.read(file), given, face).choose(2, ARMS)
    for name, setting in chosen.items():
        assert setting in ARMS[name].tries
        assert setting.classifier["learning_rate"] == 0.03


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_images_and_leaves_their_shape_and_type(name: str, file: Path):
    x = FewShot.read(file).x_test
    kept = x.copy()
    found = CORRUPTIONS[name](x)
    assert (found.shape, found.dtype) == (x.shape, np.uint8)
    assert np.array_equal(x, kept)
    assert np.abs(found.astype(int) - x).mean() > 3
    assert np.array_equal(found, CORRUPTIONS[name](x)), "all arms are tested on equal images"
    assert abs(found.mean() - x.mean()) < 2, "none is brighter or darker for it"


def test_copies_of_training_images_are_neither_new_nor_more_alike(
    file: Path, job: Callable[..., Job]
):
    data = job(Setting()).data
    x, y = data.x[data.subset(4, 0)], data.y[data.subset(4, 0)]
    pixels = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    told = few_shot.looks(lambda rows, _random: pixels[rows], data, x, y)
    assert told["novelty"] == pytest.approx(0, abs=1e-3)
    assert 0.7 < told["diversity"] < 1, "of the same image again and again, there is a little less"
