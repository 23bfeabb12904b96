"""Rows in subdomains, cells left out of them, and the benchmark itself, small."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EMOTIONS = ("anger", "calm", "joy")


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module; it is installed nowhere and found from the repository's root."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.unseen_cells")


@pytest.fixture
def left_out(cells: ModuleType) -> ModuleType:
    return importlib.import_module("benchmarks.left_out_cells")


@pytest.fixture
def read(cells: ModuleType) -> Any:
    return importlib.import_module("benchmarks.subdomain_data").SubdomainData.read


def spoken(folder: Path, languages: tuple[str, ...] = ("one", "two")) -> list[Path]:
    """Write a file a language: 6 speakers with 4 rows an emotion; effects of both add up."""
    rng, paths = np.random.default_rng(0), []
    effects = 1.2 * rng.standard_normal((len(EMOTIONS), 5))
    for number, language in enumerate(languages):
        # Each file has its own order of names, and one name that no other file has.
        names = np.array([f"only {language}", *EMOTIONS[number % 3 :], *EMOTIONS[: number % 3]])
        label = np.tile(np.arange(4), 24)
        of_name = np.array([EMOTIONS.index(n) if n in EMOTIONS else 0 for n in names])
        x = effects[of_name[label]] + 2 * rng.standard_normal(5) + rng.standard_normal((96, 5))
        paths.append(folder / f"speech_{language}.npz")
        np.savez(
            paths[-1],
            x=x.astype(np.float16), egemaps=-x, label=label, label_names=names,
            speaker=np.repeat(np.arange(6), 16),
        )  # fmt: skip
    return paths


def test_classes_are_joined_by_name_and_speakers_of_two_files_are_two(
    read: Any, tmp_path: Path
) -> None:
    paths = spoken(tmp_path)
    data = read(paths)
    assert (data.classes, data.subdomains) == (EMOTIONS, ("one", "two"))
    assert len(np.unique(data.group)) == 12
    with np.load(paths[1]) as file:
        kept = file["label_names"][file["label"]] == "joy"
        np.testing.assert_array_equal(
            data.x[(data.subdomain == 1) & (data.y == 2)], file["x"][kept].astype(np.float32)
        )
    np.testing.assert_allclose(read(paths, "egemaps").x, -data.x, atol=1e-2)


def test_one_file_is_parted_by_its_domain_column(read: Any, tmp_path: Path) -> None:
    x, domain = np.arange(24.0).reshape(12, 2), np.tile(["sketch", "photo"], 6)
    y = np.repeat([0, 1, 1], 4)
    np.savez(tmp_path / "all.npz", x=x, y=y, classes=np.array(["cat", "dog"]), domain=domain)
    data = read([tmp_path / "all.npz"])
    assert (data.subdomains, data.grouped) == (("photo", "sketch"), False)
    np.testing.assert_array_equal(data.x, np.concatenate([x[1::2], x[::2]]))
    assert data.cells.tolist() == [0, 0, 2, 2, 2, 2, 1, 1, 3, 3, 3, 3]


def test_a_file_that_does_not_fit_is_named_with_what_it_lacks(read: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", x=np.zeros((2, 2)), y=np.zeros(2, int), classes=np.array(["a"]))
    with pytest.raises(SystemExit, match=r"bare\.npz has no `domain`"):
        read([tmp_path / "bare.npz"])
    with pytest.raises(SystemExit, match=r"bare\.npz lacks egemaps; it has x, y, classes"):
        read([tmp_path / "bare.npz"], "egemaps")


def test_a_left_out_cell_trains_nowhere_and_no_speaker_is_on_both_sides(
    left_out: ModuleType, read: Any, tmp_path: Path
) -> None:
    data = read(spoken(tmp_path))
    found = list(left_out.left_out_cells(data, 2))
    assert len(found) == 2 * 6 * 2
    for out in found:
        own = (data.y == out.label) & (data.subdomain == out.subdomain)
        assert not own[out.training].any()
        assert own[out.cell].all()
        assert (data.subdomain[out.tested] == out.subdomain).all()
        assert len(np.unique(data.y[out.tested])) == 3
        trained = np.concatenate([out.training, out.cell])
        assert not np.intersect1d(data.group[trained], data.group[out.tested]).size
    tested = np.concatenate(
        [o.tested for o in found if (o.seed, o.label, o.subdomain) == (0, 1, 1)]
    )
    np.testing.assert_array_equal(np.sort(tested), np.flatnonzero(data.subdomain == 1))


def test_a_cell_is_drawn_where_its_class_and_its_subdomain_say(
    left_out: ModuleType, read: Any, tmp_path: Path
) -> None:
    data = read(spoken(tmp_path))
    out = next(iter(left_out.left_out_cells(data, 1)))
    design = replace(left_out.DESIGNS["residual"], steps=5)
    latents = left_out._Latents.of(data, out, design.components)
    own = [list(range(3))] * 2
    made = left_out._Generated(latents, out, left_out.gelda_spec(design), own)
    truth = latents.cell.mean(axis=0)

    def error(rows: Any) -> float:
        return float(np.linalg.norm(rows.mean(axis=0) - truth))

    assert error(made.drawn()) < 0.6 < error(made.drawn_without_subdomain())


def test_calibration_moves_the_left_out_class_alone_and_never_looks_at_its_own_rows(
    cells: ModuleType, left_out: ModuleType, read: Any, tmp_path: Path
) -> None:
    data = read(spoken(tmp_path))
    out = list(left_out.left_out_cells(data, 1))
    # Right everywhere but for the left-out class, whose logit is 1 too low.
    said = []
    for one in out:
        logits = np.where(np.eye(3)[data.y[one.tested]] > 0, 0.5, 0.0)
        logits[:, one.label] -= 1.0
        said.append({"real": logits})
    moved = cells.calibrated(data, out, said)
    for one, before, after in zip(out, said, moved, strict=True):
        shift = after["real"] - before["real"]
        assert (np.delete(shift, one.label, axis=1) == 0).all()
        assert (after["real"].argmax(axis=1) == data.y[one.tested]).all()
    said[0] = {"real": -said[0]["real"]}
    again = cells.calibrated(data, out, said)[0]["real"] - said[0]["real"]
    np.testing.assert_allclose(again, moved[0]["real"] + said[0]["real"])


def test_recall_is_averaged_over_classes_within_each_left_out_cell(
    cells: ModuleType, left_out: ModuleType, read: Any, tmp_path: Path
) -> None:
    data = read(spoken(tmp_path))
    out = list(left_out.left_out_cells(data, 1))
    said = []
    for one in out:
        right = np.eye(3)[data.y[one.tested]]
        blind = right.copy()
        blind[:, one.label] = -1  # never says the left-out class
        said.append({arm: blind if arm == "real" else right for arm in cells.WORDS})
    figures = cells.compared(data, out, said).figures()
    assert figures["gelda"]["UAR"] == 100
    assert (figures["real"]["left-out"], figures["real"]["others"]) == (0, 100)
    assert figures["real"]["UAR"] == pytest.approx(66.67)
    assert figures["real"]["lead"] == pytest.approx([33.33] * 3)


def test_the_benchmark_runs_and_borrowing_beats_real_rows_where_effects_add_up(
    tmp_path: Path, run: Any
) -> None:
    figures = tmp_path / "figures"
    told = run("unseen_cells", "--quick", "--data", *spoken(tmp_path), "--figures", figures)
    assert told["subdomains"] == ["one", "two"]
    raw = told["rows"]["raw"]
    assert raw["gelda"]["left-out"] > raw["real"]["left-out"] + 20
    assert raw["gelda"]["left-out"] > raw["shuffled"]["left-out"]
    assert len(list(figures.iterdir())) == 4
