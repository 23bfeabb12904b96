"""Vectors and heads as a task gets them: by a real decoding process, or by the text encoder."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from app.settings import Settings
from models.classifiers.spec import UploadedHead
from models.errors import InputProblem
from models.gelda.spec import GeldaSpec
from models.semantics.spec import DescriptionVectors, MeanVectors, NameVectors, UploadedVectors
from workers.pipelines.vectors import (
    class_vectors,
    foreign_models,
    subdomain_vectors,
    uploaded_head,
)
from workers.task import TaskRun

UP = "up_" + "0" * 32
DATASET = "ds_" + "0" * 32


@pytest.fixture
def task(tmp_path: Path) -> TaskRun:
    """A task whose blobs are the files of one folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    names = {"vectors": "v.npz", "subdomain_vectors": "v.npz", "head": "h.npz"}
    inputs = {name: {"sha256": file, "filename": file} for name, file in names.items()}
    stands_in = SimpleNamespace(
        claim=SimpleNamespace(inputs=inputs),
        scratch=scratch,
        settings=Settings(home=tmp_path),
        fetch=lambda name: tmp_path / name,
        progress=lambda _value, _max: None,
        should_stop=lambda: False,
    )
    np.savez(
        tmp_path / "v.npz",
        vectors=np.eye(3),
        more=np.eye(3)[::-1],
        classes=["cat", "ant", "bee"],
        sites=np.eye(2),
        subdomains=["sea", "land"],
    )
    np.savez(tmp_path / "h.npz", head_weight=np.ones((2, 4)), head_bias=np.zeros(2))
    return cast("TaskRun", stands_in)


def uploaded(*arrays: str) -> UploadedVectors:
    return UploadedVectors(source="upload", upload=UP, array=arrays)


def described(**texts: str) -> DescriptionVectors:
    return DescriptionVectors(source="descriptions", descriptions=texts)


def test_uploaded_vectors_come_in_the_order_asked_for(task: TaskRun) -> None:
    vectors = class_vectors(task, uploaded("vectors", "more"), ["ant", "cat"])
    expected = np.array([[0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 1]]) / np.sqrt(2)
    assert vectors is not None
    np.testing.assert_allclose(vectors, expected, atol=1e-7)
    sites = subdomain_vectors(task, uploaded("sites"), ["land", "sea"])
    assert sites is not None
    np.testing.assert_array_equal(sites, np.eye(2)[::-1])


def test_a_name_that_a_file_has_no_vector_for_is_told(task: TaskRun) -> None:
    with pytest.raises(InputProblem, match="'dodo' and 1 more") as caught:
        class_vectors(task, uploaded("vectors"), ["ant", "dodo", "emu"])
    assert (caught.value.code, caught.value.param) == ("class_vectors_mismatch", "classes.upload")
    with pytest.raises(InputProblem, match="subdomain 'air'") as caught:
        subdomain_vectors(task, uploaded("sites"), ["air"])
    assert caught.value.code == "subdomain_vectors_mismatch"
    assert caught.value.param == "subdomains.upload"


def test_descriptions_are_encoded_by_name(task: TaskRun) -> None:
    source = described(sea="salt water far from land", land="fields and meadows")
    vectors = subdomain_vectors(task, source, ["land", "sea"])
    plain = class_vectors(
        task, NameVectors(source="names"), ["fields and meadows", "salt water far from land"]
    )
    assert vectors is not None
    assert plain is not None
    np.testing.assert_allclose(vectors, plain, atol=1e-5)


@pytest.mark.parametrize(
    ("names", "code", "word"),
    [(["sea", "land"], "description_missing", "'land'"), ([], "unknown_subdomain", "'sea'")],
)
def test_descriptions_must_fit_the_names(
    task: TaskRun, names: list[str], code: str, word: str
) -> None:
    with pytest.raises(InputProblem, match=word) as caught:
        subdomain_vectors(task, described(sea="water"), names)
    assert (caught.value.code, caught.value.param) == (code, "subdomains.descriptions")


def test_means_and_no_subdomains_give_no_vectors(task: TaskRun) -> None:
    assert subdomain_vectors(task, MeanVectors(source="means"), ["sea"]) is None
    assert subdomain_vectors(task, None, ["sea"]) is None


def test_a_head_is_read_with_the_expected_shape(task: TaskRun) -> None:
    weight, bias = uploaded_head(task, UploadedHead(upload=UP), ["ant", "bee"], 4)
    assert (weight.shape, bias.shape) == ((2, 4), (2,))


def test_a_head_of_another_shape_is_told_by_both(task: TaskRun) -> None:
    with pytest.raises(InputProblem, match=r"2 × 4; expected 3 classes × 4") as caught:
        uploaded_head(task, UploadedHead(upload=UP), ["ant", "bee", "cat"], 4)
    assert (caught.value.code, caught.value.param) == ("head_mismatch", "classifier.initial")


def test_a_decoder_that_dies_does_not_answer_for_the_file_before(
    task: TaskRun, tmp_path: Path
) -> None:
    class_vectors(task, uploaded("vectors"), ["ant"])
    (tmp_path / "h.npz").unlink()
    (tmp_path / "h.npz").symlink_to("/dev/null")
    task.settings = task.settings.model_copy(update={"decode_seconds": 0.0})
    with pytest.raises(InputProblem) as caught:
        uploaded_head(task, UploadedHead(upload=UP), ["ant"], 4)
    assert caught.value.code == "decoding_failed"


def test_each_text_encoder_is_listed_once(task: TaskRun) -> None:
    plain: dict[str, Any] = {"dataset": DATASET}
    assert foreign_models(GeldaSpec(**plain)) == []
    both = GeldaSpec(**plain, classes={"source": "names"}, subdomains=described(sea="water"))
    (model,) = foreign_models(both)
    assert (model["id"], model["licence"]) == ("all-MiniLM-L6-v2", "Apache-2.0")
    others = GeldaSpec(**plain, subdomains={"source": "names", "model": "mine"})
    assert [model["id"] for model in foreign_models(others)] == ["mine"]
