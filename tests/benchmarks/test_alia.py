"""The benchmark of ALIA's whole job: what it uploads, and what the jobs of further seeds leave open."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.alia import narrowed
from benchmarks.alia_jobs import PARTS, Ran
from benchmarks.image_world import SPLITS, check, packed

if TYPE_CHECKING:
    from pathlib import Path

NONE = np.empty(0, np.int64)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A world of two images a split, without models."""
    folder = tmp_path / "world"
    folder.mkdir()
    for split in SPLITS:
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            rows = ["file_name,label,class,domain"]
            for number, name in enumerate(("ant", "bee")):
                archive.writestr(f"{name}/{split}.png", f"{split} {name}")
                rows.append(f"{name}/{split}.png,{number},{name},on sand")
            archive.writestr("metadata.csv", "\n".join(rows))
    return tmp_path


def test_a_dataset_has_every_image_once_with_label_split_and_domain(
    world: Path, tmp_path: Path
) -> None:
    path = packed(world, tmp_path / "up" / "world.zip", PARTS["world"])
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("metadata.csv").decode())))
        assert archive.read("val/bee/val.png") == b"val bee"
        assert len(archive.namelist()) == len(rows) + 1
    assert {(r["label"], r["split"], r["domain"]) for r in rows} == {
        (name, split, "on sand") for name in ("ant", "bee") for split in ("train", "val", "test")
    }


def test_equal_worlds_are_equal_bytes_and_further_images_are_for_training(
    world: Path, tmp_path: Path
) -> None:
    first, second = (
        packed(world, tmp_path / f"{n}.zip", PARTS["extra"]).read_bytes() for n in "ab"
    )
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert b"extra/ant/extra.png,ant,train,on sand" in archive.read("metadata.csv")


def test_a_world_without_its_models_is_refused_by_name(world: Path) -> None:
    with pytest.raises(SystemExit, match=r"there is no .*captioner"):
        check(world)


def ran(**settings: dict[str, Any]) -> Ran:
    return Ran({}, NONE, NONE, (), 0.0, settings, {})


def test_what_validation_has_decided_is_not_asked_again() -> None:
    found = narrowed(
        ran(
            real={"penalty": 1.0},
            alia={"filters": "semantic", "augmentation": "color"},
            text_to_image={"filters": "semantic", "augmentation": "color"},
        )
    )
    assert found["augmentations"] == ("color",)
    assert (found["filters"].semantic.switch, found["filters"].confidence.switch) == ("on", "off")


def test_where_arms_chose_differently_both_stay_open() -> None:
    found = narrowed(
        ran(
            alia={"filters": "semantic+confidence", "augmentation": "color"},
            text_to_image={"filters": "none", "augmentation": "none"},
        )
    )
    assert found["augmentations"] == ("color", "none")
    assert (found["filters"].semantic.switch, found["filters"].confidence.switch) == ("auto", "on")
