"""The packaged text encoder, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

from models.encoders.text import FOLDERS_VARIABLE, PACKAGED, available_models, encode_names
from models.errors import InputProblem


def test_names_of_like_things_have_like_vectors() -> None:
    v = encode_names(["apple", "pear", "pickup truck"], "a photo of a {}")
    assert (v.shape, v.dtype) == ((3, 384), np.float32)
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1, atol=1e-5)
    assert v[0] @ v[1] > v[0] @ v[2] + 0.1


def test_a_name_s_vector_does_not_depend_on_its_company() -> None:
    names = [f"a rather long name of thing number {i}" for i in range(70)]
    together, alone = encode_names(["oak", *names]), encode_names(["oak"])
    np.testing.assert_allclose(together[0], alone[0], atol=1e-5)


def test_the_template_is_used_and_braces_in_names_are_only_text() -> None:
    plain, templated = encode_names(["oak"]), encode_names(["oak"], "the sound of {}")
    assert not np.allclose(plain, templated, atol=1e-2)
    assert np.isfinite(encode_names(["{0.__class__}", "{}", "{x"])).all()


def test_no_names_give_no_vectors() -> None:
    assert encode_names([]).shape == (0, 384)


@pytest.mark.parametrize(
    "model", ["bert-base-uncased", "../../etc", "/etc", "a/../all-MiniLM-L6-v2"]
)
def test_models_off_the_list_are_refused(model: str) -> None:
    with pytest.raises(InputProblem, match=PACKAGED) as caught:
        encode_names(["oak"], model=model)
    assert caught.value.code == "model_not_allowed"


def test_folders_with_local_models_join_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").symlink_to(available_models()[PACKAGED])
    (tmp_path / "no model").mkdir()
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path))
    assert set(available_models()) == {PACKAGED, "mine"}
    np.testing.assert_array_equal(encode_names(["oak"], model="mine"), encode_names(["oak"]))


def test_names_go_through_the_text_tower_of_an_image_text_model(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tiny_models))
    assert {"clip", "siglip", "sentences", PACKAGED} == set(available_models())
    v = encode_names(["oak", "ash"], "a {}", "clip")
    assert v.shape == (2, 12)
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1, atol=1e-5)
    assert not np.allclose(v[0], v[1], atol=1e-3)


def test_a_model_of_images_alone_is_refused_for_names(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tiny_models))
    with pytest.raises(InputProblem, match="reads image, the data is text") as caught:
        encode_names(["oak"], model="vit", param="subdomains.model")
    assert (caught.value.code, caught.value.param) == (
        "encoder_modality_mismatch",
        "subdomains.model",
    )
