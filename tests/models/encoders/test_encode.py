"""Layers, pooling, fingerprint and the way of an encoder through its rows."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from pydantic import ValidationError

from models.encoders.catalogue import find
from models.encoders.encode import Encoder
from models.encoders.folder import FOLDERS_VARIABLE
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem, Interrupted
from tests.models.encoders.conftest import DECODE, Items, Load, decode_image
from tests.models.encoders.test_families import image_inputs, near, sounds

Vectors = Callable[..., np.ndarray]


@torch.inference_mode()
def plain_states(folder: Path, items: Items) -> tuple[torch.Tensor, ...]:
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    model = getattr(model, "vision_model", model)
    states: tuple[torch.Tensor, ...] = model(
        **image_inputs(folder, items), output_hidden_states=True
    ).hidden_states
    return states


@pytest.mark.parametrize("layer", [0, 1, 2, 3, -1, -4])
@pytest.mark.parametrize("name", ["clip", "siglip", "dinov2", "vit"])
def test_a_hidden_layer_is_taken_by_number_and_pooled_by_cls_or_mean(
    name: str, layer: int, load: Load, vectors: Vectors, pictures: Items, tiny_models: Path
) -> None:
    few = Items(pictures[:6])
    states = plain_states(tiny_models / name, few)[layer]
    found = vectors(load(name, layer=layer, pooling="mean"), rows=range(6))
    near(found, states.mean(dim=1))
    if name != "siglip":
        cls = vectors(load(name, layer=layer), rows=range(6))
        np.testing.assert_allclose(cls, states[:, 0], atol=1e-3)


@pytest.mark.parametrize("layer", [0, 1, 7, 15, -1])
def test_maps_of_a_hidden_layer_are_averaged_over_their_places(
    layer: int, load: Load, vectors: Vectors, pictures: Items, tiny_models: Path
) -> None:
    states = plain_states(tiny_models / "mobilenet_v2", pictures)[layer]
    near(vectors(load("mobilenet_v2", layer=layer)), states.mean(dim=(2, 3)))


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["xls_r", "wav2vec2", "hubert", "whisper"])
@torch.inference_mode()
def test_a_hidden_layer_of_padded_recordings_is_pooled_over_what_is_heard(
    name: str, layer: int, load: Load, vectors: Vectors, recordings: Items, tiny_models: Path
) -> None:
    folder = tiny_models / name
    extractor = tf.AutoFeatureExtractor.from_pretrained(folder)
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    model = model.encoder if name == "whisper" else model
    expected = []
    for sound in sounds(Items(recordings[:5])):
        inputs = extractor(sound, sampling_rate=16_000, return_tensors="pt")
        inputs.pop("attention_mask", None)
        states = model(**inputs, output_hidden_states=True).hidden_states[layer]
        heard = -(-len(sound) // 320) if name == "whisper" else states.shape[1]
        expected.append(states[:, :heard].mean(dim=1))
    found = vectors(load(name, layer=layer), rows=range(5))
    np.testing.assert_allclose(found, torch.cat(expected), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "layer", "number"),
    [
        ("clip", "encoder.layers.1", 2),
        ("clip", "vision_model.encoder.layers.1", 2),
        ("dinov2", "encoder.layer.0", 1),
        ("mobilenet_v2", "layer.7", 7),
        ("whisper", "layers.2", None),
        ("xls_r", "encoder.layers.0", 1),
    ],
)
def test_a_module_s_name_gives_what_its_number_gives(
    name: str, layer: str, number: int | None, load: Load, vectors: Vectors
) -> None:
    by_name = vectors(load(name, layer=layer), rows=range(5))
    assert np.isfinite(by_name).all()
    if number is not None:
        by_number = vectors(load(name, layer=number), rows=range(5))
        np.testing.assert_array_equal(by_name, by_number)


@pytest.mark.parametrize(
    ("name", "layer", "told"),
    [
        ("vit", 99, r"has 0 to 3 .*'layers.0', 'layers.1'"),
        ("vit", -5, "has 0 to 3"),
        ("clip", "encoder.layer.1", "no module .*encoder.layers.1"),
        ("clip", "self_attn", "names 3 modules"),
        ("wav2vec2", "feature_extractor.conv_layers.0", "does not give one vector a token"),
    ],
)
def test_a_layer_that_is_not_there_is_answered_with_those_that_are(
    name: str, layer: int | str, told: str, load: Load
) -> None:
    with pytest.raises(InputProblem, match=told) as caught:
        load(name, layer=layer)
    assert (caught.value.code, caught.value.param) == ("unknown_encoder_layer", "encoder.layer")


@torch.inference_mode()
def test_poolings_are_those_of_plain_code(
    load: Load, vectors: Vectors, pictures: Items, tiny_models: Path
) -> None:
    folder = tiny_models / "clip"
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    output = model.vision_model(**image_inputs(folder, pictures))
    near(vectors(load("clip", pooling="pooler")), output.pooler_output)
    near(vectors(load("clip", pooling="cls")), output.last_hidden_state[:, 0])
    near(vectors(load("clip", pooling="mean")), output.last_hidden_state.mean(dim=1))


@pytest.mark.parametrize(
    ("name", "pooling", "told"),
    [
        ("vit", "pooler", "lacks the pooler's weights"),
        ("vit", "projection", "ViTModel"),
        ("siglip", "cls", "first token"),
        ("whisper", "pooler", "WhisperEncoder"),
    ],
)
def test_a_pooling_that_a_model_lacks_is_refused(
    name: str, pooling: str, told: str, load: Load
) -> None:
    with pytest.raises(InputProblem, match=told) as caught:
        load(name, pooling=pooling)
    assert caught.value.code == "encoder_pooling_unavailable"
    assert caught.value.param == "encoder.pooling"


def test_a_pooler_stands_on_the_model_s_own_output_alone() -> None:
    with pytest.raises(ValidationError, match="hidden layer is pooled by 'cls' or 'mean'"):
        EncoderSpec(model="clip", layer=2, pooling="projection")


def test_a_model_of_another_modality_is_refused(load: Load) -> None:
    with pytest.raises(
        InputProblem, match=r"'whisper' \(whisper\) reads audio, .* image"
    ) as caught:
        load("whisper", "image")
    assert caught.value.code == "encoder_modality_mismatch"
    assert caught.value.param == "encoder.model"


def test_the_fingerprint_tells_what_decides_the_vectors_and_nothing_else(load: Load) -> None:
    first = load("vit").fingerprint
    assert set(first) == {"id", "revision", "modality", "layer", "pooling", "preprocessing"}
    assert load("vit", batch_rows=7, max_seconds=9).fingerprint == first
    assert load("vit", pooling="cls").fingerprint == first
    assert load("vit", pooling="mean").fingerprint != first
    assert load("vit", layer=2).fingerprint != first
    assert load("vit", layer=-1).fingerprint == load("vit", layer=3).fingerprint
    assert load("clip").fingerprint != load("clip", "text").fingerprint
    assert load("whisper").fingerprint != load("whisper", max_seconds=1).fingerprint
    assert load("sentences").fingerprint != load("sentences", max_tokens=8).fingerprint


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_the_fingerprint_follows_the_files_and_not_the_folder(
    file: str, load: Load, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load("vit").fingerprint
    copy = shutil.copytree(tiny_models / "vit", tmp_path / "other" / "vit")
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path / "other"))
    found = find("vit")
    assert Encoder.load(found, EncoderSpec(model="vit")).fingerprint == before
    if file == "model.safetensors":
        model = tf.AutoModelForImageClassification.from_pretrained(copy)
        model.vit.layernorm.bias.data += 1
        model.save_pretrained(copy)
    else:
        (copy / file).write_text((copy / file).read_text() + "\n")
    after = Encoder.load(found, EncoderSpec(model="vit")).fingerprint
    assert after["revision"] != before["revision"]
    assert (after["preprocessing"] != before["preprocessing"]) == file.startswith("pre")


def test_weights_are_read_once_for_their_digest(
    load: Load, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = load("vit").found.revision
    monkeypatch.setattr("hashlib.file_digest", None)
    assert load("vit").found.revision == revision


def test_rows_come_in_the_order_asked_for_and_shards_give_the_bytes_of_the_whole(
    load: Load, vectors: Vectors
) -> None:
    encoder = load("vit", batch_rows=8)
    whole = vectors(encoder)
    shards = [vectors(encoder, range(start, min(start + 16, 35))) for start in (0, 16, 32)]
    np.testing.assert_array_equal(np.concatenate(shards), whole)
    np.testing.assert_allclose(vectors(encoder, [5, 3, 5]), whole[[5, 3, 5]], atol=1e-5)
    assert vectors(encoder, []).shape == (0, 16)


def test_progress_is_told_after_every_batch_and_waiting_is_measured(
    load: Load, pictures: Items
) -> None:
    encoder, told = load("vit", batch_rows=16), []
    encoder.encode(
        pictures, range(35), decode=decode_image, on_progress=lambda *seen: told.append(seen)
    )
    assert told == [(16, 35), (32, 35), (35, 35)]
    assert 0 < encoder.waited < 1


def test_a_stop_is_heard_before_the_next_batch(load: Load, pictures: Items) -> None:
    encoder, done = load("vit", batch_rows=4), []
    with pytest.raises(Interrupted):
        encoder.encode(
            pictures,
            range(35),
            decode=decode_image,
            on_progress=lambda now, _all: done.append(now),
            should_stop=lambda: len(done) >= 2,
        )
    assert done == [4, 8]


def test_items_are_decoded_ahead_but_not_all_at_once(load: Load, pictures: Items) -> None:
    many, decoded, most_ahead = Items(list(pictures) * 4), [], []

    def decode(data: bytes) -> Any:
        decoded.append(1)
        return decode_image(data)

    load("vit", batch_rows=4).encode(
        many,
        range(len(many)),
        decode=decode,
        on_progress=lambda done, _all: most_ahead.append(len(decoded) - done),
    )
    assert len(decoded) == len(many)
    assert max(most_ahead) <= 2 * 4 + 8


def test_what_one_item_raises_is_raised(load: Load, pictures: Items) -> None:
    broken = Items([*pictures[:10], b"no picture", *pictures[10:]])
    with pytest.raises(OSError, match="cannot identify image"):
        load("vit", batch_rows=4).encode(broken, range(len(broken)), decode=decode_image)


@pytest.mark.parametrize("name", ["wav2vec2", "xls_r", "ast", "whisper"])
def test_a_recording_of_a_few_samples_and_one_beyond_the_limit_have_vectors(
    name: str, load: Load, recordings: Items
) -> None:
    encoder = load(name, max_seconds=0.5)

    def decode(data: bytes, rate: int) -> tuple[np.ndarray, int]:
        samples, rate = DECODE["audio"](data, rate)
        return np.tile(samples, 9)[: 3 if data == recordings[0] else None], rate

    found = encoder.encode(recordings, [0, 1], decode=decode)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("lost", ["preprocessor_config.json", "vit.embeddings.cls_token"])
def test_a_folder_that_lacks_a_part_is_refused(
    lost: str, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(tiny_models / "vit", tmp_path / "other" / "vit")
    if lost.endswith(".json"):
        (copy / lost).unlink()
    else:
        from safetensors.torch import load_file, save_file

        tensors = load_file(copy / "model.safetensors")
        del tensors[lost]
        save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path / "other"))
    with pytest.raises(InputProblem, match="'vit'") as caught:
        Encoder.load(find("vit"), EncoderSpec(model="vit"))
    assert (caught.value.code, caught.value.param) == ("model_incomplete", "encoder.model")
