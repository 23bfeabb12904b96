"""An uploaded head: in the dataset's order of classes, or refused with both shapes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.embeddings.array_files import Upload
from models.embeddings.head import LinearHead, read_head
from models.embeddings.limits import Limits
from models.errors import InputProblem

CLASSES = ["ant", "bee", "cat"]
W = np.arange(6, dtype=np.float64).reshape(3, 2)
B = np.array([0.5, 1.5, 2.5], dtype=np.float32)


@pytest.fixture
def read(npz: Any, out: Path) -> Callable[..., LinearHead]:
    def reading(**arrays: Any) -> LinearHead:
        path = npz(**arrays)
        return read_head(
            Upload(path, path.name),
            weight="w",
            bias="b",
            classes=CLASSES,
            dim=2,
            param="classifier.initial",
            limits=Limits(),
            scratch=out,
        )

    return reading


def test_a_head_without_names_is_in_the_order_of_the_dataset(read: Any) -> None:
    head = read(w=W, b=B)
    np.testing.assert_array_equal(head.weight, W)
    np.testing.assert_array_equal(head.bias, B)
    assert head.weight.dtype == head.bias.dtype == np.float32


def test_a_head_with_names_is_put_in_the_order_of_the_dataset(read: Any) -> None:
    names = ["cat", "dodo", "ant", "bee"]
    head = read(w=np.eye(4)[:, :2] + 1, b=np.arange(4), classes=names)
    np.testing.assert_array_equal(head.bias, [2, 3, 0])
    np.testing.assert_array_equal(head.weight, [[1, 1], [1, 1], [2, 1]])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"w": W[:2], "b": B}, ["2 × 2", "3 classes × 2"]),
        ({"w": W.T, "b": B}, ["2 × 3", "transposed"]),
        ({"w": np.ones((3, 7)), "b": B}, ["3 × 7", "2 values"]),
        ({"w": W, "b": B[:2]}, ["shape (2,)", "3 numbers"]),
        ({"w": W, "b": B, "classes": ["ant", "bee", "dog"]}, ["no row for 'cat'"]),
        ({"w": W, "b": B, "classes": ["ant", "bee", "bee"]}, ["'cat'"]),
    ],
)
def test_another_shape_is_named_with_the_expected_one(
    read: Any, arrays: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(InputProblem) as caught:
        read(**arrays)
    assert (caught.value.code, caught.value.param) == ("head_mismatch", "classifier.initial")
    assert all(word in caught.value.detail for word in words), caught.value.detail


def test_an_array_that_is_not_there_is_named_with_those_that_are(read: Any) -> None:
    with pytest.raises(InputProblem, match=r"no 'b'.*found 'w', 'bias'") as caught:
        read(w=W, bias=B)
    assert (caught.value.code, caught.value.param) == ("column_missing", "classifier.initial.bias")


@pytest.mark.parametrize("bad", [{"w": W + np.inf, "b": B}, {"w": W, "b": np.full(3, 1e300)}])
def test_numbers_that_are_not_finite_are_refused(read: Any, bad: dict[str, Any]) -> None:
    with pytest.raises(InputProblem, match="not finite") as caught:
        read(**bad)
    assert caught.value.code == "non_finite_values"
