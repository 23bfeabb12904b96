"""What holds for every editor: seeds, batches, pairs, caches, sizes, progress and stopping."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.alia.editing.engine import Editor, Order
from models.alia.editing.loading import load_editor
from models.alia.spec import EditorName, EditSpec
from models.errors import InputProblem, Interrupted
from tests.models.alia import tiny_diffusion
from tests.models.alia.editing.conftest import NIGHT, PREFIX, SNOW, Load, edit, gap, order, picture
from tests.models.alia.tiny_diffusion import MAKERS

EDITORS = pytest.mark.parametrize("editor", MAKERS)
PRECISIONS = pytest.mark.parametrize("precision", ["float32", "bfloat16"])


def pipeline_of(editor: Editor) -> Any:
    model: Any = editor._model
    return model._pipeline


def counted(part: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that grows by one with every call of a part's method."""
    calls: list[None] = []
    method = getattr(part, name)

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(None)
        return method(*arguments, **named)

    monkeypatch.setattr(part, name, call)
    return calls


@EDITORS
def test_equal_seeds_give_equal_edits_and_others_others(editor: EditorName, load: Load) -> None:
    orders = [order(0), order(0, seed=1)]
    first, other = edit(load(editor), orders)
    again, _ = edit(load(editor), orders)
    assert gap(first, again) == 0
    assert gap(first, other) > 10
    assert first.image.shape == (32, 32, 3)
    assert first.problem is None


@EDITORS
@PRECISIONS
def test_an_edit_is_the_same_alone_and_among_others(
    editor: EditorName, precision: str, load: Load
) -> None:
    orders = [order(number, (SNOW, NIGHT)[number % 2]) for number in range(6)]
    together = edit(load(editor, precision=precision), orders)
    editor_alone = load(editor, precision=precision)
    for one, among in zip(orders, together, strict=True):
        (alone,) = edit(editor_alone, [one])
        assert gap(alone, among) <= 1


@EDITORS
def test_batches_of_another_size_give_the_same_edits(editor: EditorName, load: Load) -> None:
    orders = [order(number) for number in range(3)]
    for small, large in zip(
        edit(load(editor, batch_size=1), orders), edit(load(editor), orders), strict=True
    ):
        assert gap(small, large) <= 1


def test_each_edit_keeps_its_own_source_prompt_and_class(load: Load) -> None:
    """Weak edits stay near their source; and an edit of a batch has the prompt it has alone."""
    editor = load("img2img", strength=0.3, steps=4)
    orders = [order(n, d, name=c) for n in range(3) for d in (SNOW, NIGHT) for c in ("owl", "elk")]
    edits = edit(editor, list(reversed(orders)))[::-1]
    for one, found in zip(orders, edits, strict=True):
        assert gap(edit(editor, [one])[0], found) <= 1
    by_prompt = {(one.description, one.class_name): found for one, found in zip(orders, edits)}  # noqa: B905 - the last source's
    assert len(by_prompt) == len({found.image.tobytes() for found in by_prompt.values()}) == 4
    own = edit(editor, [order(0), order(1), order(2)])
    swapped = [Order(picture(2), 2, "owl", SNOW, order(0).seed)]
    assert gap(edit(editor, swapped)[0], own[0]) > 3  # the source matters, the seed being equal


@pytest.mark.parametrize(
    ("editor", "settings"),
    [
        ("img2img", {"strength": 0.5, "steps": 10}),
        ("txt2img", {"steps": 7}),
        ("instruct_pix2pix", {"steps": 6}),
        ("lcm", {"strength": 0.5, "steps": 3}),
        ("flux2_klein", {"steps": 3}),
    ],
)
def test_the_denoiser_is_called_once_a_timestep_of_the_scheduler(
    editor: EditorName, settings: dict[str, Any], load: Load
) -> None:
    loaded = load(editor, **settings)
    pipeline = pipeline_of(loaded)
    calls: list[None] = []
    denoiser = pipeline.transformer if editor == "flux2_klein" else pipeline.unet
    denoiser.register_forward_hook(lambda *_: calls.append(None))
    edit(loaded, [order(number) for number in range(4)])
    begun = getattr(pipeline.scheduler, "begin_index", None) or 0
    assert len(calls) == loaded.facts["calls"] == len(pipeline.scheduler.timesteps) - begun


def test_a_source_and_a_prompt_are_encoded_once(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = load("img2img")
    pipeline = pipeline_of(editor)
    images = counted(pipeline.vae, "encode", monkeypatch)
    texts = counted(pipeline.text_encoder, "forward", monkeypatch)
    orders = [order(n, d, seed=s) for n in range(3) for d in (SNOW, NIGHT) for s in range(3)]
    edit(editor, orders)
    assert (len(images), len(texts)) == (3, 2 + 1)  # and the negative prompt
    edit(editor, orders[:5])
    assert (len(images), len(texts)) == (3, 3)
    edit(editor, [order(7, "a photo of a {} on sand")])
    assert (len(images), len(texts)) == (4, 4)


def test_a_source_at_two_sizes_is_not_taken_for_one(load: Load) -> None:
    editor = load("img2img")
    small, wide = (Order(picture(0, 32, width), "same name", "owl", SNOW, 1) for width in (32, 48))
    assert [one.image.shape for one in edit(editor, [small, wide])] == [(32, 32, 3), (32, 48, 3)]


@EDITORS
def test_images_of_many_sizes_keep_their_proportions_and_order(
    editor: EditorName, load: Load
) -> None:
    sides = [(32, 32), (64, 128), (20, 20), (96, 48), (33, 32), (32, 64)]
    orders = [Order(picture(n, *s), n, "owl", SNOW, n) for n, s in enumerate(sides)]
    shapes = [one.image.shape[:2] for one in edit(load(editor), orders)]
    assert shapes == [(32, 32), (32, 64), (32, 32), (64, 32), (32, 32), (32, 64)]


def test_a_text_to_image_model_needs_no_image(load: Load) -> None:
    (found,) = edit(load("txt2img"), [Order(None, 0, "owl", SNOW, 3)])
    assert found.image.shape == (32, 32, 3)


def test_a_strip_is_refused_by_its_row(load: Load) -> None:
    strip = Order(picture(0, 1, 9000), 17, "owl", SNOW, 0)
    with pytest.raises(InputProblem, match=r"row 17 is 9000 × 1 pixels") as raised:
        edit(load("img2img"), [order(0), strip])
    assert raised.value.code == "image_too_narrow"


@EDITORS
def test_progress_is_told_and_stopping_asked_at_every_step(editor: EditorName, load: Load) -> None:
    loaded = load(editor)
    told: list[tuple[int, int]] = []
    orders = [order(number) for number in range(6)]
    loaded.edit(orders, lambda done, of: told.append((done, of)), lambda: False)
    total = len(told)
    assert told == [(done, total) for done in range(1, total + 1)]
    assert total == 2 * loaded.facts["calls"]
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        loaded.edit(orders, lambda _, __: None, lambda: next(asked))
    assert gap(edit(loaded, orders[:1])[0], edit(load(editor), orders[:1])[0]) <= 1


def test_an_all_black_edit_and_one_that_is_no_number_are_named(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = load("img2img")
    vae = pipeline_of(editor).vae
    decode = vae.decode
    fills = {0: -1.0, 2: float("nan")}

    def spoilt(latents: torch.Tensor, **named: Any) -> tuple[torch.Tensor]:
        (pixels,) = decode(latents, **named)
        for row, value in fills.items():
            pixels[row] = value
        return (pixels,)

    monkeypatch.setattr(vae, "decode", spoilt)
    found = edit(editor, [order(number) for number in range(3)])
    assert [one.problem for one in found] == ["black", None, "black"]
    assert found[0].image.max() == found[2].image.max() == 0


def test_what_a_safety_checker_flags_is_black(tmp_path: Path) -> None:
    folder = tiny_diffusion.stable(tmp_path / "checked", checker=True)
    spec = EditSpec(size=32, batch_size=2, precision="float32", steps=4)
    editor = load_editor(spec, folder, "checked", "edit.model", PREFIX, "cpu")
    assert [one.problem for one in edit(editor, [order(0), order(1)])] == ["black", "black"]


def test_prompts_that_the_text_encoder_would_cut_are_told(load: Load) -> None:
    long = "a photo of a {} " + "far " * 40
    editor = load("img2img")
    assert editor.cut_short([SNOW, long], ["owl"]) == ["a photo of a owl " + "far " * 40]
    assert load("flux2_klein").cut_short([SNOW, long], ["owl"]) == []


def test_the_flux_pipeline_itself_gives_the_same_edit(
    load: Load, folders: Callable[..., Path]
) -> None:
    """One image, 64 pixels a side, by the library's own call."""
    import diffusers
    from PIL import Image

    pipeline: Any = diffusers.Flux2KleinPipeline.from_pretrained(folders("flux2_klein"))
    source = picture(3, 64, 64)
    editor = load("flux2_klein", size=64, batch_size=1, steps=4)
    (ours,) = edit(editor, [Order(source, 3, "owl", SNOW, 5)])
    (theirs,) = pipeline(
        image=Image.fromarray(source), num_inference_steps=4, guidance_scale=1.0,
        prompt=f"Change this into {SNOW.format('owl')}. Keep the owl as it is.",
        generator=torch.Generator().manual_seed(5), output_type="np",
    ).images  # fmt: skip
    assert np.abs(theirs * 255 - ours.image).max() <= 1
