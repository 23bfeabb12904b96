"""What ALIA finds on a machine: each folder by what its settings say it is, and what is said of others."""

import json
import shutil
from pathlib import Path

import pytest

from models.alia.allowed import ALLOWED
from models.alia.catalogue import available, find
from models.alia.spec import CAPTIONER, EDITORS, IMAGE_TEXT, LANGUAGE_MODEL
from models.encoders.folder import FOLDERS_VARIABLE
from models.encoders.hub import record, store_of
from models.errors import InputProblem
from tests.models.alia.folders import model, pipeline

pytestmark = pytest.mark.usefixtures("hub_cache")

SD = "stable-diffusion-v1-5/stable-diffusion-v1-5"
CAPTIONS = "BlipForConditionalGeneration"


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An operator's folder with one model of each kind, and some that ALIA has no use for."""
    mine = tmp_path / "mine"
    model(mine / "blip", "blip", CAPTIONS)
    model(mine / "florence", "florence2", "Florence2ForConditionalGeneration")
    model(mine / "questions", "blip", "BlipForQuestionAnswering")
    model(mine / "qwen", "qwen3", "Qwen3ForCausalLM")
    model(mine / "clip", "clip", "CLIPModel")
    model(mine / "siglip", "siglip", "SiglipModel")
    model(mine / "half of clip", "clip_text_model", "CLIPTextModel")
    model(mine / "vit", "vit", "ViTModel")
    pipeline(mine / "sd", "StableDiffusionPipeline")
    pipeline(mine / "p2p", "StableDiffusionInstructPix2PixPipeline")
    pipeline(mine / "lcm", "LatentConsistencyModelPipeline")
    pipeline(mine / "klein", "Flux2KleinPipeline")
    pipeline(mine / "upscaler", "StableDiffusionUpscalePipeline")
    monkeypatch.setenv(FOLDERS_VARIABLE, str(mine))
    return mine


def refused(code: str, *wanted: object) -> str:
    with pytest.raises(InputProblem) as caught:
        find(*wanted)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.param == wanted[2]
    return caught.value.detail


def test_folders_are_known_by_what_their_settings_say() -> None:
    assert {name: one.role for name, one in available().items()} == {
        "blip": "captioner",
        "florence": "captioner",
        "qwen": "language",
        "clip": "image_text",
        "siglip": "image_text",
        "sd": "editor",
        "p2p": "editor",
        "lcm": "editor",
        "klein": "editor",
    }
    assert set(available("captioner")) == {"blip", "florence"}
    editors = {name: one.editors for name, one in available("editor").items()}
    assert editors["sd"] == ("img2img", "txt2img")
    assert editors["klein"] == ("flux2_klein",)


def test_a_model_is_found_for_what_it_is_needed_for(mine: Path) -> None:
    found = find("sd", "editor", "text_to_image", "txt2img")
    assert (found.path, found.kind) == (mine / "sd", "StableDiffusionPipeline")
    assert (found.licence, found.commit) == ("as in its folder", None)
    assert found.bytes == sum(len(f"weights of {part}") for part in ("unet", "vae", "text_encoder"))
    assert find("qwen", "language", "summarise.model").kind == "qwen3"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (("sd", "captioner", "captions.model"), ("StableDiffusionPipeline", CAPTIONS)),
        (("questions", "captioner", "captions.model"), ("BlipForQuestionAnswering", CAPTIONS)),
        (("clip", "language", "summarise.model"), ("clip", "ForCausalLM")),
        (("vit", "image_text", "filters.semantic.model"), ("vit ViTModel", "CLIPModel")),
        (("upscaler", "editor", "edit.model"), ("StableDiffusionUpscalePipeline", "an editor")),
        (
            ("sd", "editor", "edit.model", "instruct_pix2pix"),
            ("img2img and txt2img", "StableDiffusionInstructPix2PixPipeline"),
        ),
        ((SD, "editor", "edit.model", "flux2_klein"), ("img2img", "Flux2KleinPipeline")),
        ((SD, "image_text", "edit.model"), ("editor", "CLIPModel")),
    ],
    ids=str,
)
def test_a_model_of_another_kind_is_told_with_what_is_needed(
    wanted: tuple[str, ...], words: tuple[str, str]
) -> None:
    told = refused("model_of_another_kind", *wanted)
    assert repr(wanted[0]) in told
    assert all(word in told for word in words)


def test_a_model_that_may_be_pulled_is_missing_with_the_command_that_gets_it() -> None:
    told = refused("model_not_at_hand", SD, "editor", "edit.model", "img2img")
    assert f"`cultivar models pull {SD}`" in told


@pytest.mark.parametrize("name", ["someone/else", "../../etc", "/etc", "https://a/b", ""])
def test_a_name_off_the_list_is_no_path_and_no_address(name: str) -> None:
    assert "At hand for this: qwen;" in refused(
        "model_not_allowed", name, "language", "summarise.model"
    )


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer"])
def test_a_pipeline_whose_part_lacks_is_named_by_it(mine: Path, part: str) -> None:
    shutil.rmtree(mine / "sd" / part)
    assert "sd" not in available()
    assert repr(part) in refused("model_incomplete", "sd", "editor", "edit.model")


def test_pickles_are_no_weights(mine: Path) -> None:
    unet = mine / "sd" / "unet"
    (unet / "diffusion_pytorch_model.safetensors").rename(unet / "diffusion_pytorch_model.bin")
    assert "'unet'" in refused("model_incomplete", "sd", "editor", "edit.model")
    (mine / "qwen" / "model.safetensors").rename(mine / "qwen" / "pytorch_model.bin")
    assert "its folder" in refused("model_incomplete", "qwen", "language", "summarise.model")


def test_weights_in_shards_are_whole_or_not_there(mine: Path) -> None:
    unet = mine / "sd" / "unet"
    whole = unet / "diffusion_pytorch_model.safetensors"
    names = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = unet / f"{whole.name}.index.json"
    index.write_text(json.dumps({"weight_map": dict(zip("ab", names, strict=True))}))
    whole.rename(unet / names[0])
    assert "sd" not in available()
    (unet / names[1]).write_bytes(b"rest")
    assert "sd" in available()


def test_equal_files_give_equal_revisions_and_each_file_counts(mine: Path) -> None:
    other = shutil.copytree(mine / "sd", mine / "same")
    assert find("sd", "editor", "p").revision == find("same", "editor", "p").revision
    (other / "unet" / "notes.bin").write_bytes(b"not read")
    assert find("sd", "editor", "p").revision == find("same", "editor", "p").revision
    for name in ("scheduler/scheduler_config.json", "unet/diffusion_pytorch_model.safetensors"):
        before = find("same", "editor", "p").revision
        (other / name).write_bytes(b"{ }")
        assert find("same", "editor", "p").revision != before


def test_a_pulled_model_is_at_hand_at_its_commit_once_it_is_whole() -> None:
    commit = "c" * 40
    snapshot = pipeline(store_of(SD) / "snapshots" / commit, "StableDiffusionPipeline")
    record(SD, commit)
    found = find(SD, "editor", "edit.model", "img2img")
    assert (found.commit, found.licence) == (commit, "CreativeML OpenRAIL-M")
    (snapshot / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    refused("model_not_at_hand", SD, "editor", "edit.model", "img2img")


def test_an_index_leads_to_no_folder_outside_its_own(mine: Path) -> None:
    index = mine / "sd" / "model_index.json"
    before = find("sd", "editor", "p").revision
    index.write_text(index.read_text().replace('"image_encoder": [null', '"../qwen": ["x"'))
    assert find("sd", "editor", "p").bytes < 100
    assert find("sd", "editor", "p").revision != before


def test_every_default_is_on_the_list_for_its_role() -> None:
    roles = {CAPTIONER: "captioner", LANGUAGE_MODEL: "language", IMAGE_TEXT: "image_text"}
    assert {name: ALLOWED[name].role for name in roles} == roles
    for editor, name in EDITORS.items():
        assert editor in ALLOWED[name].editors


def test_the_allow_list_is_sound() -> None:
    for name, one in ALLOWED.items():
        assert name == one.id
        assert name.count("/") == 1
        assert one.licence
        assert min(one.megabytes, one.memory_megabytes) > 0
        assert bool(one.editors) == (one.role == "editor")
        assert one.revision is None or len(one.revision) == 40
