"""ALIA's editors on an accelerator. Imports `models` only."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.alia.editing.engine import Edited, Editor, Order
from models.alia.editing.loading import load_editor
from models.alia.spec import EditorName, EditSpec
from tests.models.alia.tiny_diffusion import MAKERS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

EDITORS = pytest.mark.parametrize("editor", MAKERS)
PREFIX, SNOW = "a photo of a {}", "a photo of a {} in the snow"


def load(folder: Path, editor: EditorName, device: str = "cuda", **settings: Any) -> Editor:
    given = {"size": 32, "batch_size": 4, "steps": 4, **settings}
    where = folder / editor
    if not where.is_dir():
        MAKERS[editor](where)
    spec = EditSpec.model_validate({"editor": editor, **given})
    return load_editor(spec, where, editor, "edit.model", PREFIX, device)


def orders(count: int) -> list[Order]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return [Order(image, row, "owl", SNOW, row) for row, image in enumerate(images)]


def edit(editor: Editor, wanted: list[Order]) -> list[Edited]:
    return editor.edit(wanted, lambda _, __: None, lambda: False)


def furthest(left: list[Edited], right: list[Edited]) -> int:
    pairs = zip(left, right, strict=True)
    return max(int(np.abs(a.image.astype(int) - b.image).max()) for a, b in pairs)


@EDITORS
def test_an_edit_in_bfloat16_is_the_same_alone_and_among_others(
    editor: EditorName, tmp_path: Path
) -> None:
    loaded = load(tmp_path, editor)
    assert loaded.facts["precision"] == "bfloat16"
    wanted = orders(6)
    alone = [edit(loaded, [one])[0] for one in wanted]
    assert furthest(edit(loaded, wanted), alone) <= 1


@EDITORS
def test_edits_in_float32_are_those_of_a_cpu_up_to_rounding(
    editor: EditorName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Convolutions of TF32 would round to 10 bits.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    ours, theirs = (
        edit(load(tmp_path, editor, device, precision="float32"), orders(4))
        for device in ("cuda", "cpu")
    )
    assert furthest(ours, theirs) <= 2


@pytest.mark.parametrize("editor", ["img2img", "flux2_klein"])
def test_a_compiled_denoiser_gives_the_same_edits(editor: EditorName, tmp_path: Path) -> None:
    compiled = load(tmp_path, editor, compiled=True, precision="float32")
    assert compiled.facts["compiled"]
    plain = load(tmp_path, editor, precision="float32")
    assert furthest(edit(compiled, orders(4)), edit(plain, orders(4))) <= 4


def test_many_edits_are_compiled_for_and_few_are_not(tmp_path: Path) -> None:
    spec = EditSpec(size=32, batch_size=4, steps=4)
    MAKERS["img2img"](tmp_path / "model")
    for edits, compiled in ((1000, False), (1001, True)):
        editor = load_editor(
            spec, tmp_path / "model", "m", "edit.model", PREFIX, "cuda", edits=edits
        )
        assert editor.facts["compiled"] is compiled
