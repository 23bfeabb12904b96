"""Every family's vectors are those of plain transformers code, one at a time and in batches."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from models.encoders.catalogue import find
from models.encoders.encode import Encoder
from models.encoders.folder import FOLDERS_VARIABLE
from models.encoders.spec import EncoderSpec
from tests.models.encoders import tiny
from tests.models.encoders.conftest import Items, Load, decode_audio, decode_image

Vectors = Callable[..., np.ndarray]
TOLERANCE = 1e-3


def image_inputs(folder: Path, items: Items) -> dict[str, torch.Tensor]:
    processor = tf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    return processor([decode_image(data) for data in items], return_tensors="pt")


def sounds(items: Items) -> list[np.ndarray]:
    return [decode_audio(data, tiny.RATE)[0] for data in items]


@torch.inference_mode()
def plain_images(name: str, folder: Path, items: Items) -> torch.Tensor:
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    inputs = image_inputs(folder, items)
    match name:
        case "clip":
            output = model.vision_model(**inputs)
            return model.visual_projection(output.pooler_output)
        case "siglip":
            return model.get_image_features(**inputs).pooler_output
        case "dinov2" | "vit":
            return model(**inputs).last_hidden_state[:, 0]
        case "mobilenet_v2":
            return model(**inputs).pooler_output
    raise AssertionError(name)


@torch.inference_mode()
def plain_recordings(name: str, folder: Path, items: Items) -> torch.Tensor:
    """Each recording alone, without any padding but what the family pads by design."""
    extractor = tf.AutoFeatureExtractor.from_pretrained(folder)
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    pooled = []
    for sound in sounds(items):
        inputs = extractor(sound, sampling_rate=tiny.RATE, return_tensors="pt")
        match name:
            case "whisper":
                states = model.get_encoder()(inputs["input_features"]).last_hidden_state
                frames = int(np.ceil(np.ceil(len(sound) / extractor.hop_length) / 2))
                pooled.append(states[:, :frames].mean(dim=1))
            case "ast":
                pooled.append(model(**inputs).pooler_output)
            case _:
                pooled.append(model(inputs["input_values"]).last_hidden_state.mean(dim=1))
    return torch.cat(pooled)


@torch.inference_mode()
def plain_texts(name: str, folder: Path, items: Items) -> torch.Tensor:
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    padding = "max_length" if name == "siglip" else True
    inputs = tokenizer(
        [data.decode() for data in items],
        padding=padding,
        truncation=True,
        max_length=16,
        return_tensors="pt",
    )
    match name:
        case "clip":
            return model.get_text_features(**inputs).pooler_output
        case "siglip":
            return model.get_text_features(input_ids=inputs["input_ids"]).pooler_output
    mask = inputs["attention_mask"][:, :, None]
    mean = (model(**inputs).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
    return mean / mean.norm(dim=1, keepdim=True)


def near(found: np.ndarray, expected: torch.Tensor) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), atol=TOLERANCE, rtol=TOLERANCE)
    spread = expected.std(dim=0).mean()
    assert spread > 5 * TOLERANCE, f"all vectors are alike ({spread}): the comparison says nothing"


@pytest.mark.parametrize("batch_rows", [1, 32])
@pytest.mark.parametrize("name", tiny.IMAGES)
def test_pictures_have_the_vectors_of_plain_code(
    name: str, batch_rows: int, load: Load, vectors: Vectors, pictures: Items, tiny_models: Path
) -> None:
    found = vectors(load(name, batch_rows=batch_rows))
    near(found, plain_images(name, tiny_models / name, pictures))


@pytest.mark.parametrize("batch_rows", [1, 32])
@pytest.mark.parametrize("name", tiny.RECORDINGS)
def test_recordings_of_any_length_have_the_vectors_of_plain_code(
    name: str, batch_rows: int, load: Load, vectors: Vectors, recordings: Items, tiny_models: Path
) -> None:
    found = vectors(load(name, batch_rows=batch_rows))
    near(found, plain_recordings(name, tiny_models / name, recordings))


@torch.inference_mode()
def test_padded_recordings_are_those_that_plain_code_pads_with_a_mask(
    load: Load, vectors: Vectors, recordings: Items, tiny_models: Path
) -> None:
    folder = tiny_models / "xls_r"
    extractor = tf.AutoFeatureExtractor.from_pretrained(folder)
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    inputs = extractor(
        sounds(recordings), sampling_rate=tiny.RATE, padding=True, return_tensors="pt"
    )
    states = model(**inputs).last_hidden_state
    mask = model._get_feature_vector_attention_mask(states.shape[1], inputs["attention_mask"])
    mean = (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    near(vectors(load("xls_r")), mean)


@pytest.mark.parametrize("batch_rows", [1, 32])
@pytest.mark.parametrize("name", tiny.TEXTS)
def test_texts_of_any_length_have_the_vectors_of_plain_code(
    name: str, batch_rows: int, load: Load, vectors: Vectors, texts: Items, tiny_models: Path
) -> None:
    found = vectors(load(name, "text", batch_rows=batch_rows))
    near(found, plain_texts(name, tiny_models / name, texts))


def test_an_image_processor_s_model_of_no_listed_family_is_read_by_its_pooler(
    load: Load, vectors: Vectors, pictures: Items, tiny_models: Path
) -> None:
    folder = tiny_models / "resnet"
    torch.manual_seed(0)
    config = tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1])
    tf.ResNetModel(config).save_pretrained(folder)
    tf.ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(folder)
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        pooled = model(**image_inputs(folder, pictures)).pooler_output.flatten(1)
    near(vectors(load("resnet")), pooled)


SHARED = os.environ.get("CULTIVAR_SHARED") or Path(__file__).resolve().parents[4] / "shared"
EVALUATION_DATA = Path(SHARED) / "data"
MOBILENET = "mobilenetv2-imagenet"


@pytest.mark.skipif(not (EVALUATION_DATA / MOBILENET).is_dir(), reason=f"{MOBILENET} is not here")
@pytest.mark.parametrize("batch_rows", [1, 32])
@torch.inference_mode()
def test_an_imagenet_model_s_folder_gives_the_vectors_of_plain_code(
    batch_rows: int, pictures: Items, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(EVALUATION_DATA))
    found = find(MOBILENET)
    assert (found.licence, found.modalities) == ("apache-2.0", ("image",))
    encoder = Encoder.load(found, EncoderSpec(model=MOBILENET, batch_rows=batch_rows))
    vectors = encoder.encode(pictures, range(35), decode=decode_image)
    model: Any = tf.AutoModel.from_pretrained(found.path).eval()
    near(vectors, model(**image_inputs(found.path, pictures)).pooler_output)
