"""Truly trained small models: edits land in the domain that was asked for, and keep their class."""

import csv
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.alia.editing.engine import Order
from models.alia.editing.loading import load_editor
from models.alia.semantic import load_image_text
from models.alia.spec import EditorName, EditSpec
from tests.models.alia.editing.conftest import PREFIX, edit

SHARED = os.environ.get("CULTIVAR_SHARED") or Path(__file__).resolve().parents[5] / "shared"
WORLD = Path(SHARED) / "models" / "tiny-world"
SETTINGS = "on grass", "on sand", "on water", "in snow", "at night", "on brick"
EDITS = 18

pytestmark = pytest.mark.skipif(not WORLD.is_dir(), reason="the tiny world is not here")


def pictures() -> list[tuple[np.ndarray, str]]:
    """Return images of the tiny world's validation split with their classes."""
    with zipfile.ZipFile(WORLD / "world" / "val.zip") as packed:
        (table,) = (name for name in packed.namelist() if name.endswith("metadata.csv"))
        rows = list(csv.DictReader(io.StringIO(packed.read(table).decode())))[:: 200 // EDITS]
        files = [io.BytesIO(packed.read(row["file_name"])) for row in rows[:EDITS]]
    return [
        (np.asarray(Image.open(file).convert("RGB")), row["class"])
        for file, row in zip(files, rows[:EDITS], strict=True)
    ]


@pytest.mark.parametrize(
    ("editor", "folder", "settings"),
    [
        ("img2img", "sd", {"strength": 0.7}),
        ("txt2img", "sd", {}),
        ("instruct_pix2pix", "instruct", {}),
    ],
)
def test_edits_land_in_the_domain_asked_for(
    editor: EditorName, folder: str, settings: dict[str, Any]
) -> None:
    spec = EditSpec(editor=editor, batch_size=EDITS, **settings)
    loaded = load_editor(spec, WORLD / folder, folder, "edit.model", PREFIX, "cpu")
    wanted = [SETTINGS[row % len(SETTINGS)] for row in range(EDITS)]
    orders = [
        Order(image, row, name, f"{PREFIX} {wanted[row]}", row)
        for row, (image, name) in enumerate(pictures())
    ]
    images = [one.image for one in edit(loaded, orders)]
    judge = load_image_text(WORLD / "clip", "clip", "filters.semantic.model", "cpu")

    def likeliest(prompts: list[str]) -> np.ndarray:
        quiet = {"on_progress": lambda _, __: None, "should_stop": lambda: False}
        return judge.probabilities(images, prompts, **quiet).argmax(axis=1)

    domains = likeliest([f"a photo of a digit {setting}" for setting in SETTINGS])
    assert (
        np.mean([SETTINGS[found] == one for found, one in zip(domains, wanted, strict=True)]) > 0.9
    )
    names = sorted({order.class_name for order in orders})
    classes = likeliest([f"a photo of a {name}" for name in names])
    kept = np.mean(
        [names[found] == one.class_name for found, one in zip(classes, orders, strict=True)]
    )
    assert kept > 0.7
