"""Raw images in two domains, all hidden layers of one pass, and the study at each of them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.encoder_passes import Passes, model_at
from benchmarks.low_resource import repeated, spec_of
from benchmarks.raw_images import DrawnImages, RawImages
from models.encoders.encode import Encoder
from models.encoders.spec import EncoderSpec
from models.evaluation.data import EvaluationData
from models.front.front import Front
from models.raw.image import decode_image
from tests.models.encoders import tiny


def test_few_images_of_one_domain_train_and_the_same_report_in_every_seed(picture_folder: Path):
    images = RawImages.read(picture_folder)
    assert (len(images), images.subdomains) == (126, ("photo", "sketch"))
    one, two = (images.split(images.domain("sketch"), seed) for seed in (0, 1))
    sketches = images.subdomain == 1
    assert (one[~sketches] == 0).all(), "all photos train"
    for split in (one, two):
        for label in range(3):
            own = split[sketches & (images.y == label)]
            assert [int((own == code).sum()) for code in (0, 1, 2, -1)] == [4, 3, 22, 1]
    np.testing.assert_array_equal(one == 2, two == 2)
    assert not np.array_equal(one, two)


def test_a_folder_that_does_not_fit_is_told_what_it_lacks(picture_folder: Path):
    images = RawImages.read(picture_folder)
    with pytest.raises(SystemExit, match="no domain 'oil'; found photo, sketch"):
        images.domain("oil")
    with pytest.raises(SystemExit, match="ant: 12 images in 'photo'; 31 or more"):
        _photos_split(images)
    images.files[5].unlink()
    with pytest.raises(SystemExit, match=r"names ant/photo_5\.png, which is not there"):
        RawImages.read(picture_folder)
    (picture_folder / "metadata.csv").write_text("file_name,label\na.png,x\n")
    with pytest.raises(SystemExit, match="lacks domain"):
        RawImages.read(picture_folder)


def _photos_split(images: RawImages) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.raw_images.DRAWN_FROM", 30)
        images.split(images.domain("photo"), 0)


def test_pixels_are_the_middle_of_an_image_and_drawn_ones_go_back_as_they_are(picture_folder: Path):
    images = RawImages.read(picture_folder)
    pixels = images.pixels([0, 3], 36)
    whole = np.asarray(decode_image(images.item(3)))
    np.testing.assert_array_equal(pixels[1], whole[2:38])
    drawn = DrawnImages(pixels)
    np.testing.assert_array_equal(np.asarray(drawn.decode(drawn.item(1))), pixels[1])


@pytest.mark.parametrize("family", ["mobilenet_v2", "vit"])
def test_layers_of_one_pass_are_those_that_the_encoder_gives_one_by_one(
    family: str, picture_folder: Path, tmp_path: Path
):
    found = model_at(str(tiny.make(family, tmp_path / family)))
    passes, images = Passes.of(found), RawImages.read(picture_folder)
    layers = passes.spread(3)
    assert (layers[0], layers[-1]) == (1, passes.last + 1)
    x = passes.embeddings(images, layers)
    for n in layers:
        spec = EncoderSpec(model=found.id, layer=None if n > passes.last else n)
        alone = Encoder.load(found, spec).encode(images, range(len(images)), decode=decode_image)
        np.testing.assert_allclose(x[n], alone, atol=1e-5)


def test_kept_embeddings_are_read_again_and_only_for_the_same_images(
    picture_folder: Path, tiny_model: Path, tmp_path: Path
):
    passes, images = Passes.of(model_at(str(tiny_model))), RawImages.read(picture_folder)
    keep, told = tmp_path / "kept", []
    first = passes.embeddings(images, [2], keep, lambda done, _total: told.append(done))
    again = passes.embeddings(images, [2], keep, lambda done, _total: told.append(done))
    assert told == [*range(4, 126, 4), 126]
    np.testing.assert_array_equal(first[2], again[2])
    images.files[0].write_bytes(images.files[1].read_bytes())
    changed = passes.embeddings(images, [2], keep)
    np.testing.assert_allclose(changed[2][0], first[2][1], atol=1e-5)


def test_a_model_is_found_by_folder_and_a_stranger_is_refused(tiny_model: Path, tmp_path: Path):
    assert model_at(str(tiny_model)).path == tiny_model
    with pytest.raises(SystemExit, match="not on this service's list"):
        model_at(str(tmp_path / "nothing"))


def test_repeated_rows_are_the_scarce_domain_s_own(picture_folder: Path):
    images = RawImages.read(picture_folder)
    x = np.arange(len(images), dtype=np.float32)[:, None]
    split = images.split(1, 0)
    known = EvaluationData.of(
        x, images.y, split, images.classes,
        front=Front.identity(1), subdomain=images.subdomain, subdomains=images.subdomains,
    )  # fmt: skip
    rows, y = repeated(known, 1)
    numbers = rows[:, 0].astype(int)
    assert set(numbers) == set(np.flatnonzero((split == 0) & (images.subdomain == 1)))
    np.testing.assert_array_equal(images.y[numbers], y)
    assert np.bincount(y).tolist() == [spec_of("sketch")[0].plan.cells[0].rows] * 3


def test_every_layer_is_told_and_drawn(picture_folder: Path, tiny_model: Path, tmp_path: Path, run):
    arguments = ["--data", picture_folder, "--model", tiny_model, "--scarce", "sketch"]
    figures = tmp_path / "figures"
    more = ["--layers", 3, 15, "--quick", "--seeds", 2, "--figures", figures]
    told = run("encoder_layers", *arguments, *more)["rows"]
    assert list(told) == ["3", "15", "16"]
    for found in told.values():
        assert 0 <= found["recall"] <= 100
        assert found["gain"][0] == pytest.approx(found["gelda"] - found["real"], abs=0.02)
        assert found["over_repeated"][1] <= found["over_repeated"][0]
        assert len(found["by_seed"]["repeated"]) == 2
    assert {file.stem for file in figures.iterdir()} == {"encoder_layers", "encoder_layers-gain"}


def test_a_layer_that_the_model_has_not_is_named(picture_folder: Path, tiny_model: Path, run):
    with pytest.raises(SystemExit, match="--layers: 99 is none of mobilenet_v2's 0 to 15"):
        run("encoder_layers", "--data", picture_folder, "--model", tiny_model, "--scarce", "sketch",
            "--layers", 99)  # fmt: skip


def test_a_missing_folder_is_said_in_one_line(run, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run("encoder_layers", "--data", "nowhere", "--model", "m")
    assert capsys.readouterr().err.splitlines()[-1].endswith("--data: there is no folder nowhere")
