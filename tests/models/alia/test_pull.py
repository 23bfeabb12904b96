"""Pulling ALIA's models from a hub of our own: which files of a pipeline come, and which do not."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.alia.catalogue import available, find
from models.alia.pull import pull
from models.errors import InputProblem
from tests.models.alia.folders import model, pipeline
from tests.models.encoders.hub import COMMIT, hub_of

pytestmark = pytest.mark.usefixtures("hub_cache")

SD = "stable-diffusion-v1-5/stable-diffusion-v1-5"
QWEN = "Qwen/Qwen2.5-0.5B-Instruct"

Serve = Callable[[Path, str], SimpleNamespace]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves a folder under a name, for the length of a test."""
    with ExitStack() as stack:
        yield lambda folder, name: stack.enter_context(hub_of(folder, tmp_path / "served", name))


@pytest.fixture
def sd(tmp_path: Path, serve: Serve) -> SimpleNamespace:
    """A pipeline as they lie on the hub: variants, pickles and one file with everything beside its parts."""
    folder = pipeline(tmp_path / "sd", "StableDiffusionPipeline")
    for name in (
        "v1-5-pruned.safetensors",
        "v1-5-pruned.ckpt",
        "pipeline.py",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "text_encoder/pytorch_model.bin",
        "safety_checker/pytorch_model.bin",
        "safety_checker/config.json",
        "image_encoder/config.json",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not wanted")
    (folder / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\n")
    return serve(folder, SD)


def test_of_a_pipeline_the_parts_of_its_index_come_as_safetensors(sd: SimpleNamespace) -> None:
    told: list[tuple[int, int]] = []
    found = pull(SD, lambda *seen: told.append(seen), sd.url)
    assert set(sd.served) == {
        "README.md",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }
    assert found == find(SD, "editor", "edit.model", "img2img")
    assert (found.commit, found.licence) == (COMMIT, "CreativeML OpenRAIL-M")
    assert told[-1][0] == told[-1][1]


def test_a_safety_checker_comes_where_it_is_safetensors(sd: SimpleNamespace) -> None:
    (sd.folder / "safety_checker" / "model.safetensors").write_bytes(b"checker")
    pull(SD, endpoint=sd.url)
    checker = {name for name in sd.served if name.startswith("safety_checker/")}
    assert checker == {"safety_checker/config.json", "safety_checker/model.safetensors"}


def test_a_part_in_shards_comes_with_its_index(sd: SimpleNamespace) -> None:
    unet = sd.folder / "unet"
    whole = unet / "diffusion_pytorch_model.safetensors"
    shard = "diffusion_pytorch_model-00001-of-00001.safetensors"
    whole.rename(unet / shard)
    (unet / f"{whole.name}.index.json").write_text(f'{{"weight_map": {{"a": "{shard}"}}}}')
    assert pull(SD, endpoint=sd.url).bytes > 0
    assert f"unet/{shard}" in sd.served


def test_a_part_that_is_a_pickle_alone_is_not_pulled(sd: SimpleNamespace) -> None:
    (sd.folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(InputProblem, match=r"part 'vae' .* as safetensors") as caught:
        pull(SD, endpoint=sd.url)
    assert caught.value.code == "model_without_safetensors"
    assert set(sd.served) == {"model_index.json"}
    assert SD not in available()


@pytest.mark.parametrize("lost", ["model_index.json", "scheduler/scheduler_config.json"])
def test_a_pipeline_that_is_not_whole_on_the_hub_is_told(sd: SimpleNamespace, lost: str) -> None:
    (sd.folder / lost).unlink()
    with pytest.raises(InputProblem, match=lost.partition("/")[0]) as caught:
        pull(SD, endpoint=sd.url)
    assert caught.value.code == "model_incomplete"


def test_what_is_at_hand_is_not_pulled_again(sd: SimpleNamespace) -> None:
    found = pull(SD, endpoint=sd.url)
    sd.served.clear()
    assert pull(SD, endpoint=sd.url) == found
    assert not sd.served


def test_a_language_model_comes_with_its_chat_template(tmp_path: Path, serve: Serve) -> None:
    folder = model(tmp_path / "qwen", "qwen2", "Qwen2ForCausalLM")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    hub = serve(folder, QWEN)
    assert pull(QWEN, endpoint=hub.url).role == "language"
    wanted = {"config.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors"}
    assert set(hub.served) == wanted


def test_a_name_off_the_list_is_not_pulled() -> None:
    with pytest.raises(InputProblem, match="not on this service's list") as caught:
        pull("someone/else")
    assert caught.value.code == "model_not_allowed"


def test_a_hub_that_does_not_answer_is_told() -> None:
    with pytest.raises(InputProblem, match=f"{SD}' could not be fetched") as caught:
        pull(SD, endpoint="http://127.0.0.1:9")
    assert caught.value.code == "model_download_failed"
