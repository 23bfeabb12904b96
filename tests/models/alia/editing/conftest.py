"""Editors of tiny models, each saved once a session and loaded by the production code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.alia.editing.engine import Edited, Editor, Order
from models.alia.editing.loading import load_editor
from models.alia.spec import EditorName, EditSpec
from tests.models.alia.tiny_diffusion import MAKERS

PREFIX = "a photo of a {}"
SNOW, NIGHT = "a photo of a {} in the snow", "a photo of a {} at night"

Load = Callable[..., Editor]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[EditorName], Path]:
    """Returns the folder of an editor's tiny model."""
    root = tmp_path_factory.mktemp("diffusion")

    def folder(editor: EditorName) -> Path:
        found = root / MAKERS[editor].__name__
        return found if found.is_dir() else MAKERS[editor](found)

    return folder


@pytest.fixture
def load(folders: Callable[[EditorName], Path]) -> Load:
    """Loads an editor of a tiny model, at 32 pixels and in float32 unless told otherwise."""

    def loaded(editor: EditorName = "img2img", **settings: object) -> Editor:
        given = {"size": 32, "batch_size": 4, "precision": "float32", "steps": 4, **settings}
        spec = EditSpec.model_validate({"editor": editor, **given})
        return load_editor(spec, folders(editor), editor, "edit.model", PREFIX, "cpu")

    return loaded


def picture(number: int, height: int = 32, width: int = 32) -> np.ndarray:
    """Return a picture of one colour of its own, with grain."""
    rng = np.random.default_rng(number)
    colour = rng.integers(40, 216, 3)
    return (colour + rng.integers(-20, 20, (height, width, 3))).astype(np.uint8)


def order(number: int, description: str = SNOW, *, name: str = "owl", seed: int = 0) -> Order:
    return Order(picture(number), number, name, description, 1000 + number + seed)


def edit(editor: Editor, orders: list[Order]) -> list[Edited]:
    return editor.edit(orders, lambda _, __: None, lambda: False)


def gap(left: Edited, right: Edited) -> int:
    """Return the greatest difference in grey levels."""
    return int(np.abs(left.image.astype(int) - right.image).max())
