"""The benchmark of ALIA's filters, on a world of a moment: what it plants, and what it tells."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import edit_filters, image_world
from benchmarks.edit_filters import BLACK, GOOD, KINDS, NOISE, UNCHANGED, WRONG, judged, plant
from tests.models.encoders import tiny

NAMES, DOMAINS = ["ant", "bee", "cat"], ["in snow", "on sand"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes in two domains, told by colour and brightness, and a CLIP of random weights."""
    folder = tmp_path_factory.mktemp("world")
    tiny.make("clip", folder / "clip")
    (folder / "world").mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 10), ("extra", 4)):
        with zipfile.ZipFile(folder / "world" / f"{split}.zip", "w") as archive:
            lines = ["file_name,label,class,domain"]
            for number, name in enumerate(np.repeat(NAMES, 2 * count)):
                label, domain = NAMES.index(name), number % 2
                pixels = rng.normal(60 + 120 * domain, 20, (32, 32, 3))
                pixels[..., label] += 60
                stream = io.BytesIO()
                Image.fromarray(pixels.clip(1, 255).astype(np.uint8)).save(stream, "PNG")
                archive.writestr(f"{name}/{number}.png", stream.getvalue())
                lines.append(f"{name}/{number}.png,{label},{name},{DOMAINS[domain]}")
            archive.writestr("metadata.csv", "\n".join(lines))
    return folder


def test_a_world_is_read_with_its_classes_and_domains(world: Path) -> None:
    train = image_world.read(world, "train")
    assert (train.x.shape, train.x.dtype) == ((48, 32, 32, 3), np.uint8)
    assert (train.classes, train.domains) == (tuple(NAMES), tuple(DOMAINS))
    assert np.bincount(train.y).tolist() == [16, 16, 16]
    assert train.domain[:4].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (None, r"lacks metadata\.csv"),
        ("file_name,label,class\na.png,0,a", "lacks domain"),
        ("file_name,label,class,domain\na.png,1,a,here", r"labels must be 0, 1, …; found \[1\]"),
        ("file_name,label,class,domain\na.png,0,a,x\nb.png,1,b,x", "must be of one size"),
    ],
)
def test_a_world_that_is_none_is_refused_by_what_it_lacks(
    tmp_path: Path, table: str | None, told: str
) -> None:
    (tmp_path / "world").mkdir()
    with zipfile.ZipFile(tmp_path / "world" / "val.zip", "w") as archive:
        for side, name in enumerate(("a.png", "b.png"), 4):
            stream = io.BytesIO()
            Image.new("RGB", (side, side)).save(stream, "PNG")
            archive.writestr(name, stream.getvalue())
        if table is not None:
            archive.writestr("metadata.csv", table)
    with pytest.raises(SystemExit, match=told):
        image_world.read(tmp_path, "val")
    with pytest.raises(SystemExit, match=r"has no world/train\.zip"):
        image_world.read(tmp_path, "train")


def test_what_is_planted_is_what_it_is_called(world: Path) -> None:
    train, val = (image_world.read(world, name) for name in ("train", "val"))
    edits = plant(train, val, 6, 0)
    of = {kind: edits.kind == kind for kind in KINDS}
    assert {kind: int(of[kind].sum()) for kind in KINDS} == {
        BLACK: 6, NOISE: 6, UNCHANGED: 6, WRONG: 6, GOOD: 54,
    }  # fmt: skip
    np.testing.assert_array_equal(edits.y, train.y[edits.source])
    assert not edits.x[of[BLACK]].any()
    change = edits.x[of[UNCHANGED]].astype(int) - train.x[edits.source[of[UNCHANGED]]]
    assert 0 < np.abs(change).max() <= 12
    known = {image.tobytes(): row for row, image in enumerate(val.x)}
    rows = {kind: [known[image.tobytes()] for image in edits.x[of[kind]]] for kind in (WRONG, GOOD)}
    assert sorted(rows[WRONG] + rows[GOOD]) == list(range(60))
    assert (val.y[rows[GOOD]] == edits.y[of[GOOD]]).all()
    assert (val.y[rows[WRONG]] != edits.y[of[WRONG]]).all()
    for kind, shown in rows.items():
        assert (val.domain[shown] != train.domain[edits.source[of[kind]]]).all()
    assert plant(train, val, 6, 0).x.tobytes() == edits.x.tobytes() != plant(train, val, 6, 1).x.tobytes()  # fmt: skip


def test_precision_and_recall_are_of_what_was_planted() -> None:
    kinds = np.array([BLACK, NOISE, UNCHANGED, WRONG, GOOD, GOOD, GOOD, GOOD])
    found = judged(np.array([1, 1, 0, 0, 1, 0, 0, 0], dtype=bool), kinds)
    assert found == {
        BLACK: 1, NOISE: 1, UNCHANGED: 0, WRONG: 0, GOOD: 0.25,
        "precision": pytest.approx(2 / 3), "recall": 0.5,
    }  # fmt: skip
    nothing = judged(np.zeros(8, dtype=bool), kinds)
    assert (nothing["precision"], nothing["recall"]) == (None, 0)
    assert edit_filters.mean([None, 0.5, 1]) == 0.75
    assert edit_filters.mean([None]) is None


def test_every_filter_is_told_of_alone_and_together(run, world: Path, tmp_path: Path) -> None:
    found = run("edit_filters", "--world", world, "--quick", "--seeds", 2, "--figures", tmp_path)
    told = found["filters"]
    assert set(told) == {
        "black", "semantic", "duplicate", "all but confidence",
        *(f"{name}, {judge}" for judge in ("biased", "unbiased")
          for name in ("confidence", "unchanged", "mislabelled", "by prediction", "all")),
    }  # fmt: skip
    assert [told["black"][name] for name in (*KINDS, "precision")] == [1, 0, 0, 0, 0, 1]
    assert (told["duplicate"][UNCHANGED], told["duplicate"][NOISE]) == (1, 0)
    for judge in ("biased", "unbiased"):
        halves = [told[f"{half}, {judge}"] for half in ("unchanged", "mislabelled")]
        whole = told[f"confidence, {judge}"]
        for kind in KINDS:
            assert sum(half[kind] for half in halves) == pytest.approx(whole[kind])
            assert told[f"all, {judge}"][kind] >= max(whole[kind], told["semantic"][kind])
    assert [len(seeds) for seeds in found["by_seed"].values()] == [2] * len(told)
    assert {path.name for path in tmp_path.iterdir()} == {"edit_filters.png", "edit_filters.svg"}


def test_the_world_s_folder_must_be_named(run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("edit_filters", "--quick")
    assert ended.value.code == 2
    assert "--world" in capsys.readouterr().err
