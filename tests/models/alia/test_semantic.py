"""What an image-text model sees in edits."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image

from benchmarks import image_world
from models.alia import semantic
from models.alia.semantic import Prompts, load_image_text, prompts, shown
from models.alia.spec import SemanticSpec
from models.errors import InputProblem, Interrupted
from tests.models.encoders import tiny

TEXTS = ("a cat", "a dog in the snow", "a black image")
PARAM = "filters.semantic.model"


@pytest.fixture(scope="module", params=["clip", "siglip"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make("clip", tmp_path_factory.mktemp("models") / "clip")


def pictures(n: int, size: tuple[int, int] = (40, 56)) -> list[np.ndarray]:
    rng = np.random.default_rng(n)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(n)]


def test_probabilities_are_those_of_the_model_s_own_logits(folder: Path) -> None:
    images = [*pictures(2), *pictures(1, (32, 32))]
    found = load_image_text(folder, "tiny", PARAM).probabilities(images, TEXTS)
    model = tf.AutoModel.from_pretrained(folder).eval()
    processor = tf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    padding = "max_length" if folder.name == "siglip" else True
    tokens = tf.AutoTokenizer.from_pretrained(folder)(
        list(TEXTS), padding=padding, truncation=True, max_length=16, return_tensors="pt"
    )
    with torch.inference_mode():
        pixels = processor(images=list(map(Image.fromarray, images)), return_tensors="pt")
        # SigLIP's logits have one bias for all pairs, which the softmax does not see.
        expected = model(**tokens, **pixels).logits_per_image.softmax(dim=1).numpy()
    assert (found.shape, found.dtype) == ((3, 3), np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_a_prompt_is_embedded_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = load_image_text(clip, "tiny", PARAM), []
    embed = model._model.get_text_features
    monkeypatch.setattr(
        model._model, "get_text_features", lambda **given: asked.append(len(given["input_ids"])) or embed(**given)
    )  # fmt: skip
    before = model.probabilities(pictures(3), TEXTS)
    again = model.probabilities(pictures(3), [TEXTS[2], TEXTS[0], "a bird", TEXTS[2]])
    assert asked == [3, 1]
    ratio = before[:, 2] / before[:, 0]
    np.testing.assert_allclose(again[:, 0] / again[:, 1], ratio, rtol=1e-5)
    np.testing.assert_array_equal(again[:, 0], again[:, 3])


def test_batches_change_nothing_and_tell_of_themselves(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images, told = load_image_text(clip, "tiny", PARAM), pictures(7), []
    whole = model.probabilities(images, TEXTS)
    monkeypatch.setattr(semantic, "BATCH", 3)
    parts = model.probabilities(images, TEXTS, lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert told == [(3, 7), (6, 7), (7, 7)]
    assert model.probabilities([], TEXTS).shape == (0, 3)


def test_a_stop_is_heard_before_every_batch(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "BATCH", 2)
    answers = iter([False, True])
    with pytest.raises(Interrupted, match="before image 3 of 5"):
        load_image_text(clip, "tiny", PARAM).probabilities(
            pictures(5), TEXTS, should_stop=lambda: next(answers)
        )


def test_of_a_long_strip_the_middle_is_looked_at(clip: Path) -> None:
    model, seen = load_image_text(clip, "tiny", PARAM), []
    process = model._processor
    model._processor = lambda images, **given: (
        seen.extend(image.shape for image in images) or process(images=images, **given)
    )
    strip = np.arange(9000, dtype=np.uint16).astype(np.uint8)[None, :, None].repeat(3, axis=2)
    found = model.probabilities([strip, strip.swapaxes(0, 1), strip[:, 4496:4504]], TEXTS)
    assert seen == [(1, 8, 3), (8, 1, 3), (1, 8, 3)]
    np.testing.assert_array_equal(found[0], found[2])


def test_an_image_of_three_rows_is_not_taken_for_one_of_three_channels(clip: Path) -> None:
    model = load_image_text(clip, "tiny", PARAM)
    (flat,) = pictures(1, (3, 4))
    large = np.asarray(Image.fromarray(flat).resize((42, 32), Image.Resampling.BICUBIC))
    found = model.probabilities([flat, large], TEXTS)
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


def test_a_model_of_another_kind_is_refused_by_what_it_is(tmp_path: Path) -> None:
    tiny.make("vit", tmp_path)
    with pytest.raises(InputProblem, match=r"'org/vit' is of the kind 'vit'.*clip or siglip") as caught:  # fmt: skip
        load_image_text(tmp_path, "org/vit", PARAM)
    assert (caught.value.code, caught.value.param) == ("model_of_another_kind", PARAM)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"])  # fmt: skip
def test_a_folder_that_lacks_a_file_is_refused(clip: Path, tmp_path: Path, file: str) -> None:
    copy = shutil.copytree(clip, tmp_path / "copy")
    names = {path.name for path in copy.iterdir()}
    # Newer versions of transformers write image processors as part of a processor's config.
    (copy / (file if file in names else "processor_config.json")).unlink()
    with pytest.raises(InputProblem, match="'tiny' cannot be loaded from its folder") as caught:
        load_image_text(copy, "tiny", PARAM)
    assert (caught.value.code, caught.value.param) == ("model_incomplete", PARAM)


def test_weights_that_are_cut_short_or_of_half_a_model_are_refused(
    clip: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(clip, tmp_path / "copy")
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputProblem, match="cannot be loaded") as caught:
        load_image_text(copy, "tiny", PARAM)
    assert caught.value.code == "model_incomplete"
    tf.CLIPVisionModel.from_pretrained(clip).save_pretrained(tmp_path / "vision")
    shutil.copy(tmp_path / "vision" / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(InputProblem, match=r"no weights 'logit_scale', and \d+ more lack"):
        load_image_text(copy, "tiny", PARAM)


def test_a_subject_is_the_one_positive_prompt_and_without_it_each_class_is() -> None:
    spec, classes = SemanticSpec(negatives=("a painting", "a photo of a cat")), ["black_cat", "dog"]
    assert prompts(spec, "cat", "a photo of a {}", classes) == (("a photo of a cat",), ("a painting",))  # fmt: skip
    found = prompts(spec, None, "a photo of a {}", classes)
    assert found.positives == ("a photo of a black cat", "a photo of a dog")
    assert found.negatives == spec.negatives
    assert found.all == found.positives + found.negatives


def test_the_margin_is_that_of_the_best_positive_over_the_best_negative() -> None:
    p = np.array([[0.1, 0.4, 0.3, 0.2], [0.3, 0.1, 0.3, 0.3], [0, 0.1, 0.2, 0.7]], np.float32)
    margins = Prompts(("a", "b"), ("c", "d")).margin(p)
    np.testing.assert_allclose(margins, [0.1, 0, -0.6], atol=1e-7)
    assert margins[1] == 0
    assert (Prompts(("a", "b", "c", "d"), ()).margin(p) > 0).all()


def test_without_a_subject_each_image_is_asked_by_its_own_class(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images, asked = load_image_text(clip, "tiny", PARAM), pictures(5), {}
    probabilities = model.probabilities

    def remembered(part, texts, *others):
        asked[tuple(texts)] = len(part)
        return probabilities(part, texts, *others)

    monkeypatch.setattr(model, "probabilities", remembered)
    labels = np.array([2, 0, 2, 2, 0])
    found = shown(model, images, labels, ["cat", "dog", "red_fox"], ["a {} here", "a {} there"])
    assert asked == {("a cat here", "a cat there"): 2, ("a red fox here", "a red fox there"): 3}
    for row, name in enumerate(["red fox", "cat", "red fox", "red fox", "cat"]):
        alone = probabilities([images[row]], [f"a {name} here", f"a {name} there"])
        assert found[row] == alone.argmax()


SHARED = Path(os.environ.get("CULTIVAR_SHARED") or Path(__file__).resolve().parents[4] / "shared")
WORLD = SHARED / "models" / "tiny-world"
trained = pytest.mark.skipif(not WORLD.is_dir(), reason="tiny-world is not here")


@trained
@pytest.mark.parametrize("subject", ["digit", None])
def test_a_trained_model_keeps_digits_and_neither_noise_nor_black(subject: str | None) -> None:
    val = image_world.read(WORLD, "val")
    model = load_image_text(WORLD / "clip", "clip", PARAM)
    asked = prompts(SemanticSpec(), subject, "a photo of a {}", val.classes)
    spoilt = [*pictures(40, (32, 32)), np.zeros((32, 32, 3), np.uint8)]
    kept = asked.margin(model.probabilities(list(val.x), asked.all)) > 0
    assert kept.mean() > 0.98
    assert not (asked.margin(model.probabilities(spoilt, asked.all)) > 0).any()


@trained
@pytest.mark.parametrize("subject", ["digit", None])
def test_a_trained_model_finds_the_domain_that_an_image_shows(subject: str | None) -> None:
    val, told = image_world.read(WORLD, "val"), []
    descriptions = [f"a photo of a {{}} {domain}" for domain in val.domains]
    found = shown(
        load_image_text(WORLD / "clip", "clip", PARAM), list(val.x), val.y, val.classes,
        descriptions, subject, lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert (found == val.domain).mean() > 0.98
    assert told == sorted(set(told))
    assert told[-1] == (len(val.x), len(val.x))
