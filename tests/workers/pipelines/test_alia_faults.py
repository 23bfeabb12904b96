"""ALIA jobs at fault: what is wrong is said, with the field that it is wrong in."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import constants
from PIL import Image

from models.alia.spec import CAPTIONER
from models.encoders.folder import FOLDERS_VARIABLE
from models.errors import InputProblem
from tests.workers import alia_zoo
from tests.workers.alia_zoo import TINY, error, models, pictures, waits_for, worked, zoo
from tests.workers.pictures import archive
from workers.pipelines import alia_models
from workers.shelf import Shelf

if TYPE_CHECKING:
    from tests.workers.conftest import Service

ended = partial(alia_zoo.ended, shelf=Shelf())
"""Jobs of one worker, which keeps its models loaded."""

QUICK: dict[str, Any] = {"seeds": 1, "penalties": [1.0], "controls": ["extra_real"]}


@pytest.fixture(scope="module", autouse=True)
def _at_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The models that jobs name."""
    folder = models(tmp_path_factory.mktemp("alia") / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDERS_VARIABLE, str(folder))
        yield


@pytest.fixture(scope="module")
def spec(alone: Service) -> dict[str, Any]:
    return TINY | {"dataset": pictures(alone, zoo())}


@pytest.mark.parametrize(
    ("fields", "code", "param", "word"),
    [
        ({"plan": {"per_class": {"cow": 3}}}, "unknown_class", "plan.per_class", "'cow'"),
        ({"plan": {"per_class": 0}}, "empty_plan", "plan", "no edit"),
        ({"edit": {"model": "clip"}}, "model_of_another_kind", "edit.model", "clip"),
        ({"edit": {"model": "no-sd"}}, "model_not_allowed", "edit.model", "'no-sd'"),
        ({"text_to_image": "no-sd"}, None, None, ""),
        ({"classifier": {"backbone": "no-vit"}}, "model_not_allowed", "classifier.backbone", "vit"),
        ({"descriptions": None}, "model_not_at_hand", "captions.model", "cultivar models pull"),
        ({"edit": TINY["edit"] | {"template": "{mood}"}}, "bad_template", "edit.template", "mood"),
        ({"descriptions": ["a {} by an ant"]}, "bad_description", "descriptions", "'ant'"),
    ],
)  # fmt: skip
def test_what_is_at_fault_fails_the_job_in_words(
    alone: Service,
    spec: dict[str, Any],
    fields: dict[str, Any],
    code: str | None,
    param: str | None,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    job = ended(alone, spec | {"review": "all"} | fields)
    if code is None:
        assert waits_for(job) == "edits", "what is not needed is not at fault"
        return
    assert error(job)[:2] == (code, param)
    assert word in error(job)[2]


def test_a_download_that_fails_names_the_field_of_the_model(
    alone: Service, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(model: str, **_: Any) -> None:
        raise InputProblem("model_download_failed", f"No hub has {model}.", "model")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(alia_models, "pull", unreachable)
    found = error(ended(alone, spec | {"descriptions": None}))
    assert found == ("model_download_failed", "captions.model", f"No hub has {CAPTIONER}.")


def test_extra_images_of_a_class_that_the_dataset_has_not_are_refused(
    alone: Service, spec: dict[str, Any]
) -> None:
    extra = pictures(alone, zoo({"train": {"ant": 2, "cow": 2}}))
    job = ended(alone, spec | {"extra": extra}, evaluate=QUICK)
    code, param, detail = error(job)
    assert (code, param) == ("unknown_class", "extra")
    assert "'cow'" in detail
    assert "ant, bee, cat" in detail


def test_images_that_are_strips_and_rows_that_are_no_images_are_refused(
    alone: Service, latents: Any
) -> None:
    strip = io.BytesIO()
    Image.new("RGB", (200, 4)).save(strip, "PNG")
    dataset, _ = alone.dataset(
        archive({"ant": 3, "bee": 3}, **{"ant/strip.png": strip.getvalue()}), "zoo.zip", "image"
    )
    embedded, _ = alone.dataset(latents())
    worked(alone, f"ingest-{dataset}")
    code, _, detail = error(ended(alone, TINY | {"dataset": dataset, "plan": {"per_class": 8}}))
    assert (code, "200 × 4" in detail) == ("image_too_narrow", True)
    code, param, detail = error(ended(alone, TINY | {"dataset": embedded}))
    assert (code, param, "embedding" in detail) == ("input_unsuitable", "dataset", True)
