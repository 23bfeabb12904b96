"""A classifier on images comes back in a line and runs where there is no torch."""

import json
import pickle
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cultivar import (
    ConfigurationError,
    CultivarError,
    InvalidInput,
    LocalImageClassifier,
    load_classifier,
)
from cultivar._loading import needed
from cultivar._pixels import PIXELS_AT_ONCE, batches
from models.images.rows import read_images
from models.raw.dataset import RawDataset

SIDE = 16
NAMES = ["ash", "élan", "fir"]


def weights():
    rng = np.random.default_rng(0)
    return rng.normal(0, 1e-3, (SIDE * SIDE * 3, len(NAMES))).astype(np.float32)


def saved(folder, classes=NAMES, output="logits", **config):
    """Write a linear classifier on pixels as the service writes its own."""
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["values"], ["rows"]),
        helper.make_node("MatMul", ["rows", "w"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", len(NAMES)])],
        [numpy_helper.from_array(weights(), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "classifier.onnx")
    told = {"format": "cultivar-image-classifier/1", "classes": classes, "n_classes": 3}
    (folder / "config.json").write_text(json.dumps(told | {"side": SIDE} | config))
    return folder


@pytest.fixture
def classifier(tmp_path):
    return load_classifier(saved(tmp_path / "classifier"))


def images(n, height=SIDE, width=SIDE, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def expected(x):
    return x.reshape(len(x), -1).astype(np.float32) @ weights()


def test_pixels_of_its_side_go_in_as_they_are(classifier):
    x = images(7)
    assert isinstance(classifier, LocalImageClassifier)
    np.testing.assert_allclose(classifier.logits(x), expected(x), rtol=1e-4, atol=1e-4)
    said = classifier.predict(x)
    assert said.tolist() == [NAMES[i] for i in expected(x).argmax(axis=1)]
    shares = classifier.predict_proba(x)
    assert (shares.dtype, shares.shape) == (np.float32, (7, 3))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert repr(classifier) == "<LocalImageClassifier 16 × 16 pixels, 3 classes>"


def test_more_images_than_go_through_at_once_keep_their_order(classifier):
    x = images(2 * PIXELS_AT_ONCE // SIDE**2 + 3)
    np.testing.assert_allclose(classifier.logits(x), expected(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("none", [[], np.empty((0, 9, 5, 3), np.uint8)], ids=["list", "array"])
def test_no_images_are_images_too(classifier, none):
    assert classifier.logits(none).shape == (0, 3)
    assert classifier.predict(none).shape == (0,)
    assert classifier.predict_proba(none).shape == (0, 3)


def test_files_pillow_images_and_arrays_of_any_size_may_stand_together(classifier, tmp_path):
    x = images(1)[0]
    Image.fromarray(x).save(tmp_path / "a.png")
    large = np.repeat(np.repeat(x, 3, axis=0), 3, axis=1)
    given = [tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(x), x, large]
    found = classifier.logits(given)
    for row in found[:4]:
        np.testing.assert_allclose(row, expected(x[None])[0], rtol=1e-4, atol=1e-4)
    assert found.shape == (5, 3)


def test_of_another_size_the_shorter_side_is_brought_down_and_the_middle_taken(classifier):
    left, middle, right = (np.full((32, 32, 3), value, np.uint8) for value in (0, 90, 250))
    wide = np.concatenate([left, middle, right], axis=1)  # 32 × 96
    flat = np.full((1, SIDE, SIDE, 3), 90, np.uint8)
    np.testing.assert_allclose(classifier.logits(middle[None]), classifier.logits(flat), rtol=1e-5)
    for turn in ((0, 1, 2), (1, 0, 2)):
        # 32 × 56 has the same middle, and the same neighbours for the filter to blur it with.
        whole, inner = (one.transpose(turn)[None] for one in (wide, wide[:, 20:-20]))
        np.testing.assert_allclose(classifier.logits(whole), classifier.logits(inner), rtol=1e-5)
        assert np.abs(classifier.logits(whole) - classifier.logits(flat)).max() < 0.5


def files(folder):
    """Write images of several sizes, formats and modes; return their paths."""
    rng = np.random.default_rng(0)
    turned = Image.Exif()
    turned[0x0112] = 6
    forms = [
        ("PNG", "RGB", None),
        ("JPEG", "RGB", turned),
        ("PNG", "L", None),
        ("PNG", "RGBA", None),
    ]
    paths = []
    for height, width in ((SIDE, SIDE), (33, 50), (100, 17), (9, 30), (31, 97)):
        for form, mode, exif in forms:
            pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
            paths.append(folder / f"{len(paths)}.{form.lower()}")
            more = {"exif": exif} if exif else {}
            Image.fromarray(pixels).convert(mode).save(paths[-1], form, **more)
    return paths


def test_images_of_every_size_and_kind_are_read_as_the_service_reads_its_own(tmp_path):
    paths = files(tmp_path)
    contents = [path.read_bytes() for path in paths]
    count = len(paths)
    dataset = RawDataset(
        "image",
        np.frombuffer(b"".join(contents), np.uint8),
        np.cumsum([0, *map(len, contents)]),
        np.zeros(count, np.int64),
        np.zeros(count, np.int8),
        ("a",),
    )
    ours = np.concatenate(list(batches(paths, SIDE)))
    np.testing.assert_array_equal(ours, read_images(dataset, range(count), SIDE))


def test_images_are_turned_and_put_on_white_as_ingest_does(classifier, tmp_path):
    x = images(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(x[::-1, ::-1].copy()).save(tmp_path / "turned.png", exif=exif)
    clear = np.dstack([x, np.zeros((SIDE, SIDE), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    Image.fromarray(x[..., 0]).save(tmp_path / "grey.png")
    found = classifier.logits([tmp_path / f"{name}.png" for name in ("turned", "clear", "grey")])
    grey = np.repeat(x[..., :1], 3, axis=2)
    truth = expected(np.stack([x, np.full_like(x, 255), grey]))
    np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (images(2).astype(np.float32) / 255, "type float32; expected uint8"),
        (images(1)[0], r"shape \(16, 16, 3\).*images\[None\]"),
        (images(1)[..., 0], r"shape \(1, 16, 16\)"),
        ("a.png", r"one path; expected a list of them, as in \[path\]"),
        (["absent.png"], "image 0 cannot be read: .*absent.png"),
        ([images(1)[0], 7], "image 1 is int; expected a path"),
        ([images(1)[0][..., 0]], r"image 0 is an array of uint8 \(16, 16\)"),
    ],
)
def test_what_is_no_image_is_told_with_its_number(classifier, given, told):
    with pytest.raises(InvalidInput, match=told):
        classifier.predict(given)


def test_a_file_that_holds_no_image_is_told_with_its_number(classifier, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    Image.fromarray(images(1, 300, 300)[0]).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes((tmp_path / "b.png").read_bytes()[:9000])
    for name in ("a.png", "c.png"):
        with pytest.raises(InvalidInput, match="image 1 cannot be read"):
            classifier.predict([tmp_path / "b.png", tmp_path / name])


def test_it_can_be_sent_to_another_process(classifier):
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.logits(images(3)), classifier.logits(images(3)))


def test_without_names_classes_are_numbers_in_digits(tmp_path):
    assert load_classifier(saved(tmp_path / "c", classes=[])).classes == ("0", "1", "2")


@pytest.mark.parametrize("module", ["onnxruntime", "PIL"])
def test_what_is_not_installed_is_told_with_the_command(tmp_path, monkeypatch, module):
    folder = saved(tmp_path / "c")
    loaded = load_classifier(folder)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cultivar\[images\]'"):
        load_classifier(folder).predict(images(1, 20, 20))
    assert loaded.predict(images(1)).shape == (1,)  # pixels of its own side need no Pillow


def test_a_folder_that_holds_no_such_classifier_is_refused(tmp_path):
    with pytest.raises(CultivarError, match=r"config\.json is missing"):
        load_classifier(tmp_path)
    folder = saved(tmp_path / "c")
    (folder / "classifier.onnx").write_bytes(b"broken")
    with pytest.raises(CultivarError, match=r"classifier\.onnx cannot be run"):
        load_classifier(folder)
    (folder / "classifier.onnx").unlink()
    with pytest.raises(CultivarError, match=r"classifier\.onnx is missing"):
        load_classifier(folder)
    saved(folder, format="cultivar-image-classifier/9")
    with pytest.raises(CultivarError, match=r"cultivar-image-classifier/1, found .*/9"):
        load_classifier(folder)


def test_only_the_files_that_are_read_are_fetched():
    both = {"classifier.safetensors", "classifier.onnx", "config.json", "card.md"}
    assert needed(both) == ("classifier.onnx", "config.json")
    assert needed(both - {"classifier.onnx"}) == ("classifier.safetensors", "config.json")
