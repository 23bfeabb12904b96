"""The benchmark of training speed, small: all ways go through the same images, the plain loop from files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import image_training, plain_images
from benchmarks.plain_images import DECODER, Load, Synthetic, plain, plain_glico
from models.images.spec import ImageClassifierSpec

WAYS = {"ours", "ours, float32", "plain loop"}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Ten images of three classes, in batches of four, twice."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    y = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    return Load(x, y, tmp_path, ImageClassifierSpec(width=4, batch_size=4), 2, "cpu")


def test_all_ways_are_measured_on_one_s_own_images(tmp_path: Path, run: Any):
    rng, y = np.random.default_rng(0), np.repeat([0, 1, 2], 9)
    x = rng.integers(0, 256, (27, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    found = run(
        "image_training", "--quick", "--data", tmp_path / "mine.npz", "--batch", 6, "--seeds", 1
    )
    assert (found["images"], found["side"], found["turns"]) == (12, 16, 1)
    assert {name: set(each["images_per_second"]) for name, each in found["trainings"].items()} == {
        "real images": WAYS | {"plain loop, 2 workers"},
        "with synthetic": WAYS | {"plain loop, 2 workers"},
        "GLICO itself": WAYS | {"plain loop, decoded once"},
    }
    for each in found["trainings"].values():
        for clock, times in (("second", "times"), ("cpu_second", "cpu_times")):
            rates = each[f"images_per_{clock}"]
            expected = {way: rates["ours"] / rate for way, rate in rates.items() if way != "ours"}
            assert each[times] == pytest.approx(expected), "of one turn the median is the turn"
            assert min(rates.values()) > 0


def test_both_ways_go_through_as_many_images(load: Load, monkeypatch: pytest.MonkeyPatch):
    assert plain(load, load.loader(), None) == 20
    assert plain(load, load.loader(), Synthetic(load)) == 20
    for once in (True, False):
        assert plain_glico(load, load.loader(augmented=False), once=once) == 20
    asked: list[int] = []
    fit = image_training.fit

    def remembered(x: Any, y: Any, n_classes: int, spec: Any, seed: int, **more: Any) -> Any:
        asked.append(spec.steps * spec.batch_size)
        return fit(x, y, n_classes, spec, seed, **more)

    monkeypatch.setattr(image_training, "fit", remembered)
    assert image_training.ours(load, "float32", None) == asked[0] == 20
    assert Load(load.x[:9], load.y[:9], load.folder, load.classifier, 3, "cpu").steps == 7


def test_a_file_is_opened_anew_for_every_image_of_every_epoch(
    load: Load, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    really = Image.open

    def remembered(path: Path) -> Any:
        opened.append(path.name)
        return really(path)

    loader = load.loader()
    monkeypatch.setattr(plain_images.Image, "open", remembered)
    plain(load, loader, None)
    assert sorted(opened) == sorted(2 * [f"{number}.png" for number in range(10)])
    assert opened[:10] != opened[10:], "in a new order"


def test_an_image_s_file_holds_the_image_and_its_class(load: Load):
    files = load.files(augmented=False)
    for number in range(len(files)):
        told, image, label = files[number]
        assert (told, label) == (number, load.y[number])
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, load.x[number])


def test_an_augmented_image_is_a_normalised_crop_often_mirrored(load: Load):
    torch.manual_seed(0)
    files = load.files()
    pixels = torch.from_numpy(load.x[3]).permute(2, 0, 1) / 255
    black = torch.nn.functional.pad(pixels, (2, 2, 2, 2))
    crops = {
        (left, top, mirrored): files.normal(part.flip(2) if mirrored else part)
        for left in range(5)
        for top in range(5)
        for part in [black[:, top : top + 16, left : left + 16]]
        for mirrored in (False, True)
    }
    seen = set()
    for _ in range(60):
        image = files[3][1]
        seen |= {place for place, crop in crops.items() if torch.allclose(crop, image, atol=1e-5)}
    assert len(seen) > 20
    assert {left for left, _, _ in seen} == {top for _, top, _ in seen} == set(range(5))
    assert {mirrored for _, _, mirrored in seen} == {False, True}


def test_synthetic_images_of_a_batch_share_a_share_and_have_partners_of_their_class(
    load: Load, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[torch.Tensor, ...]] = []
    slerp = plain_images.slerp

    def remembered(*given: torch.Tensor) -> torch.Tensor:
        asked.append(given)
        return slerp(*given)

    monkeypatch.setattr(plain_images, "slerp", remembered)
    made = Synthetic(load)
    numbers = torch.tensor([0, 9, 5, 2])
    images = [made(numbers) for _ in range(12)]
    assert images[0].shape == (4, 3, 16, 16)
    assert not any(image.requires_grad for image in images)
    shares = set()
    for own, partners, share in asked:
        assert torch.equal(own, made._codes[numbers])
        of = (made._codes[:, None] == partners).all(dim=2).int().argmax(dim=0)
        assert np.array_equal(load.y[of], load.y[numbers])
        assert len(share.unique()) == 1
        shares.add(round(float(share[0]), 1))
    assert shares == {0.1, 0.2, 0.3, 0.4}
    assert made._codes.shape == (10, DECODER.code_dim)


def test_the_source_in_float32_draws_what_the_generator_s_own_draws(load: Load):
    generator = image_training.glico(load, steps=2)
    rows = torch.arange(10)
    full, own = (
        source(rows, torch.Generator().manual_seed(1))
        for source in (
            image_training.full_source(generator),
            generator.source(image_training.PUBLISHED_FORM),
        )
    )
    assert full.dtype == torch.float32
    torch.testing.assert_close(full, own, atol=0.02, rtol=0)


def test_made_up_images_are_of_ten_classes_and_no_two_alike():
    x, y = image_training.made_up(3)
    assert (x.shape, x.dtype) == ((30, 32, 32, 3), np.uint8)
    assert np.bincount(y).tolist() == [3] * 10
    assert len({image.tobytes() for image in x}) == 30


def test_files_that_do_not_fit_are_refused_by_what_they_hold(tmp_path: Path):
    np.savez(tmp_path / "rows.npz", x=np.zeros((4, 8)), y=np.zeros(4))
    with pytest.raises(SystemExit, match=r"x must be uint8 .*; found float64 \(4, 8\)"):
        image_training.read(tmp_path / "rows.npz", 2)
    np.savez(tmp_path / "none.npz", z=np.zeros(1))
    with pytest.raises(SystemExit, match=r"none\.npz lacks x, y; it has z"):
        image_training.read(tmp_path / "none.npz", 2)
