"""What is loaded, and what is refused: other kinds, broken folders, steps and settings that cannot be."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from models.alia.editing.loading import load_editor
from models.alia.spec import EditorName, EditSpec
from models.errors import InputProblem
from tests.models.alia import tiny_diffusion
from tests.models.alia.editing.conftest import PREFIX, Load, edit, order

Folders = Callable[[EditorName], Path]


@pytest.mark.parametrize(
    ("editor", "pipeline", "scheduler", "steps", "guidance"),
    [
        ("img2img", "StableDiffusionImg2ImgPipeline", "DPMSolverMultistepScheduler", 25, 5.0),
        ("txt2img", "StableDiffusionPipeline", "DPMSolverMultistepScheduler", 25, 5.0),
        (
            "instruct_pix2pix", "StableDiffusionInstructPix2PixPipeline",
            "EulerAncestralDiscreteScheduler", 20, 5.0,
        ),
        ("lcm", "LatentConsistencyModelImg2ImgPipeline", "LCMScheduler", 4, 8.0),
        ("flux2_klein", "Flux2KleinPipeline", "FlowMatchEulerDiscreteScheduler", 4, None),
    ],
)  # fmt: skip
def test_every_listed_class_loads_with_its_own_defaults(
    editor: EditorName,
    pipeline: str,
    scheduler: str,
    steps: int,
    guidance: float | None,
    load: Load,
) -> None:
    facts = load(editor, steps=None, size=None).facts
    assert (facts["pipeline"], facts["scheduler"]) == (pipeline, scheduler)
    assert (facts["steps"], facts["guidance"]) == (steps, guidance)
    assert (facts["precision"], facts["compiled"], facts["batch"]) == ("float32", False, 4)
    assert json.loads(json.dumps(facts)) == facts
    # 8 latents a side, by the VAE's factor; FLUX's pipeline says 128.
    assert facts["size"] == {"instruct_pix2pix": 64, "flux2_klein": 256}.get(editor, 32)


def test_a_vae_of_factor_8_is_edited_at_multiples_of_its_own(tmp_path: Path) -> None:
    folder = tiny_diffusion.stable(tmp_path / "large", factor=8)
    spec = EditSpec(size=40, batch_size=1, precision="float32", steps=2)
    editor = load_editor(spec, folder, "large", "edit.model", PREFIX, "cpu")
    assert edit(editor, [order(0)])[0].image.shape == (32, 32, 3)


def test_an_undistilled_flux_is_guided_by_two_calls_a_step(tmp_path: Path) -> None:
    folder = tiny_diffusion.flux(tmp_path / "base", distilled=False)
    spec = EditSpec(editor="flux2_klein", size=32, batch_size=2, precision="float32", steps=2)
    editor = load_editor(spec, folder, "base", "edit.model", PREFIX, "cpu")
    assert (editor.facts["guidance"], editor.facts["calls"]) == (4.0, 4)
    told: list[tuple[int, int]] = []
    editor.edit([order(0)], lambda done, of: told.append((done, of)), lambda: False)
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("editor", "settings", "words"),
    [
        ("lcm", {"strength": 0.05, "steps": 4}, "0.05 of 4 steps .* at most 2 steps are possible"),
        ("lcm", {"strength": 0.01, "steps": 4}, "no number of steps would"),
    ],
)
def test_a_strength_that_leaves_no_step_is_refused(
    editor: EditorName, settings: dict[str, Any], words: str, load: Load
) -> None:
    with pytest.raises(InputProblem, match=words) as raised:
        load(editor, **settings)
    assert (raised.value.code, raised.value.param) == ("no_step_left", "edit.strength")


def test_a_strength_that_plainly_leaves_no_step_is_refused_with_the_spec() -> None:
    with pytest.raises(ValidationError, match=r"0\.05 leaves none of 10 steps"):
        EditSpec(strength=0.05, steps=10)
    with pytest.raises(ValidationError, match=r"0\.03 leaves none of 25 steps"):
        EditSpec(strength=0.03)


def test_the_least_strength_that_leaves_a_step_makes_an_edit(load: Load) -> None:
    editor = load("img2img", strength=0.05, steps=20)
    assert editor.facts["calls"] == 1
    assert edit(editor, [order(0)])[0].problem is None


@pytest.mark.parametrize(
    ("editor", "folder"),
    [("img2img", "instruct_pix2pix"), ("instruct_pix2pix", "img2img"), ("lcm", "img2img"),
     ("img2img", "lcm"), ("flux2_klein", "txt2img")],
)  # fmt: skip
def test_a_model_of_another_kind_is_refused(
    editor: EditorName, folder: EditorName, folders: Folders
) -> None:
    with pytest.raises(InputProblem, match=f"'mine' is .*, expected .* for `{editor}`") as raised:
        load_editor(EditSpec(editor=editor), folders(folder), "mine", "edit.model", PREFIX, "cpu")
    assert (raised.value.code, raised.value.param) == ("model_of_another_kind", "edit.model")


def test_a_consistency_model_without_a_place_for_guidance_is_refused(
    folders: Folders, tmp_path: Path
) -> None:
    folder = copytree(folders("img2img"), tmp_path / "plain")
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "LatentConsistencyModelPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputProblem, match="time_cond_proj_dim") as raised:
        load_editor(EditSpec(editor="lcm"), folder, "plain", "edit.model", PREFIX, "cpu")
    assert raised.value.code == "model_of_another_kind"


@pytest.mark.parametrize(
    "lost",
    ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae"],
)
def test_an_incomplete_folder_is_refused(lost: str, folders: Folders, tmp_path: Path) -> None:
    folder = copytree(folders("img2img"), tmp_path / "broken")
    (folder / lost).rename(tmp_path / "lost")
    with pytest.raises(InputProblem, match="'broken'") as raised:
        load_editor(EditSpec(), folder, "broken", "edit.model", PREFIX, "cpu")
    assert (raised.value.code, raised.value.param) == ("model_incomplete", "edit.model")


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("unet", "diffusion_pytorch_model.safetensors"),
        ("vae", "diffusion_pytorch_model.safetensors"),
        ("text_encoder", "model.safetensors"),
    ],
)
def test_a_part_with_weights_missing_is_refused(
    part: str, name: str, folders: Folders, tmp_path: Path
) -> None:
    folder = copytree(folders("img2img"), tmp_path / "holed")
    weights = load_file(folder / part / name)
    lost = sorted(weights)[5]
    del weights[lost]
    save_file(weights, folder / part / name, {"format": "pt"})
    with pytest.raises(InputProblem, match=f"{part} has no weights '{lost}'") as raised:
        load_editor(EditSpec(), folder, "holed", "edit.model", PREFIX, "cpu")
    assert raised.value.code == "model_incomplete"


@pytest.mark.parametrize(
    ("editor", "settings", "param"),
    [
        ("lcm", {"negative": "blur"}, "edit.negative"),
        ("flux2_klein", {"negative": "blur"}, "edit.negative"),
        ("flux2_klein", {"guidance": 5}, "edit.guidance"),
    ],
)
def test_a_setting_that_the_editor_lacks_is_refused(
    editor: EditorName, settings: dict[str, Any], param: str, load: Load
) -> None:
    with pytest.raises(InputProblem) as raised:
        load(editor, **settings)
    assert (raised.value.code, raised.value.param) == ("setting_not_used", param)
