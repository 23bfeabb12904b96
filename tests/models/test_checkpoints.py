"""Files that are whole or absent, and equal for equal contents."""

from pathlib import Path

import pytest
import torch

from models import checkpoints
from models.checkpoints import load_model, read_tensors, save_model, write_tensors

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "n": torch.tensor(7),
    "h": torch.ones(3).half(),
    "view": torch.arange(12.0).reshape(3, 4).T,
}


def test_tensors_and_header_come_back(tmp_path: Path) -> None:
    header = {"step": 12, "history": [[1, 0.5]], "name": "Größe"}
    path = write_tensors(tmp_path / "new" / "t.safetensors", TENSORS, header)
    tensors, found = read_tensors(path)
    assert found == header
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_equal_contents_are_equal_bytes_whatever_the_order(tmp_path: Path) -> None:
    header = {f"key {i}": i for i in range(20)}
    a = write_tensors(tmp_path / "a", TENSORS, header)
    for i in range(5):
        shuffled = dict(sorted(header.items(), reverse=bool(i % 2)))
        b = write_tensors(tmp_path / "b", dict(reversed(TENSORS.items())), shuffled)
        assert a.read_bytes() == b.read_bytes()


def test_a_model_is_its_weights_and_its_config(tmp_path: Path) -> None:
    weights, config = save_model(tmp_path, "generator", TENSORS, {"method": "gelda"})
    assert sorted(p.name for p in tmp_path.iterdir()) == [config.name, weights.name]
    tensors, found = load_model(tmp_path, "generator")
    assert found == {"method": "gelda"}
    assert torch.equal(tensors["a"], TENSORS["a"])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tensors(tmp_path / "t", TENSORS, {"step": 1})
    before = path.read_bytes()

    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "_sync", full)
    with pytest.raises(OSError, match="No space"):
        write_tensors(path, TENSORS, {"step": 2})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_header_that_is_no_json_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_tensors(tmp_path / "t", TENSORS, {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
