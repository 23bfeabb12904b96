"""Captioners from local folders say what plain transformers code says, in batches of any size."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers as tf
from PIL.Image import fromarray

from models.alia.captioning import Captioner, load_captioner, tidied
from models.alia.spec import CaptionSpec
from models.errors import InputProblem, Interrupted
from tests.models.alia import tiny_language

Images = list[npt.NDArray[np.uint8]]
BUILDERS = {"blip": tiny_language.blip, "florence2": tiny_language.florence}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioners")
    for kind, build in BUILDERS.items():
        build(folder / kind)
    return folder


@pytest.fixture(scope="module")
def images() -> Images:
    rng = np.random.default_rng(0)
    shapes = [(16, 16), (3, 40), (1, 9), (40, 7), (32, 32), (20, 21), (9, 9)]
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


def load(folder: Path, **spec: Any) -> Captioner:
    settings = CaptionSpec(**{"max_tokens": 8, **spec})
    return load_captioner(folder, folder.name, "captions.model", settings, "cpu")


def captions(captioner: Captioner, images: Sequence[npt.NDArray[np.uint8]]) -> list[str]:
    return captioner.caption(images, lambda done, of: None, lambda: False)


@torch.inference_mode()
def plain(kind: str, folder: Path, images: Images) -> list[str]:
    processor: Any = tf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    tokenizer: Any = tf.AutoTokenizer.from_pretrained(folder)
    said = []
    for image in images:
        picture = fromarray(image)
        model: Any
        if kind == "blip":
            model = tf.BlipForConditionalGeneration.from_pretrained(folder)
            pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
            written = model.generate(pixels, max_new_tokens=8)
        else:
            model = tf.Florence2ForConditionalGeneration.from_pretrained(folder)
            both = tf.Florence2Processor(processor, tokenizer)
            inputs = both(images=[picture], text=["<CAPTION>"], return_tensors="pt")
            written = model.generate(**inputs, max_new_tokens=8)
        said.append(" ".join(tokenizer.decode(written[0], skip_special_tokens=True).split()))
    return said


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_captions_are_those_of_plain_code_in_batches_of_any_size(
    kind: str, batch_size: int, folders: Path, images: Images
) -> None:
    captioner = load(folders / kind, batch_size=batch_size)
    assert captioner.kind == kind
    found = captions(captioner, images)
    assert found == plain(kind, folders / kind, images)
    assert len(set(found)) > 1  # else a wrong order would not show


def test_a_blip_caption_goes_on_from_the_prefix(folders: Path, images: Images) -> None:
    found = captions(load(folders / "blip", prefix="a photo of the bird"), images)
    assert all(caption.startswith("a photo of the bird") for caption in found)
    assert any(len(caption.split()) > 5 for caption in found)


def test_a_caption_ends_where_the_model_knows_no_further_places(
    tmp_path: Path, images: Images
) -> None:
    tiny_language.blip(tmp_path / "short", positions=8)
    found = captions(load(tmp_path / "short", max_tokens=40), images)
    assert max(len(caption.split()) for caption in found) <= 8
    with pytest.raises(InputProblem, match=r"leaves 2 tokens .* expected 4") as caught:
        load(tmp_path / "short", prefix="a photo of a bird")
    assert (caught.value.code, caught.value.param) == ("prompt_too_long", "captions.prefix")


def test_progress_is_told_by_image_and_stopping_is_asked_before_every_batch(
    folders: Path, images: Images
) -> None:
    captioner = load(folders / "blip", batch_size=3)
    told: list[tuple[int, int]] = []
    captioner.caption(images, lambda done, of: told.append((done, of)), lambda: False)
    assert told == [(3, 7), (6, 7), (7, 7)]
    told.clear()
    with pytest.raises(Interrupted):
        captioner.caption(images, lambda done, of: told.append((done, of)), lambda: len(told) == 2)
    assert told == [(3, 7), (6, 7)]
    assert captions(captioner, []) == []


def test_a_word_that_does_not_exist_is_left_out() -> None:
    assert tidied("arafed bird on  a wire ") == "bird on a wire"
    assert tidied("there is an Araffe at sea") == "there is an at sea"


def test_florence_takes_no_prefix(folders: Path) -> None:
    with pytest.raises(InputProblem) as caught:
        load(folders / "florence2", prefix="a photo of")
    assert (caught.value.code, caught.value.param) == ("no_caption_prefix", "captions.prefix")


def test_a_model_that_is_no_captioner_is_refused_by_what_it_is(tmp_path: Path) -> None:
    tiny_language.qwen3(tmp_path / "talker")
    with pytest.raises(
        InputProblem, match="'talker' is of type 'qwen3', expected a captioner"
    ) as caught:
        load(tmp_path / "talker")
    assert (caught.value.code, caught.value.param) == ("model_of_another_kind", "captions.model")


def test_a_folder_without_some_weights_or_with_pickled_ones_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "blip"
    tiny_language.blip(folder)
    model: Any = tf.BlipForConditionalGeneration.from_pretrained(folder)
    weights = {name: value for name, value in model.state_dict().items() if "layers.1" not in name}
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(InputProblem, match="'blip' cannot be loaded") as caught:
        load(folder)
    assert (caught.value.code, caught.value.param) == ("model_incomplete", "captions.model")
    model.save_pretrained(folder, state_dict=weights)
    with pytest.raises(
        InputProblem, match=r"there are no weights 'vision_model\.encoder\.layers\.1"
    ):
        load(folder)


def test_a_folder_that_holds_no_readable_config_is_refused(tmp_path: Path) -> None:
    for config in ("{", json.dumps({"model_type": "no such thing"}), None):
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        else:
            (tmp_path / "config.json").unlink()
        with pytest.raises(InputProblem) as caught:
            load(tmp_path)
        assert caught.value.code == "model_incomplete"
