"""An ALIA job's tasks, run one by one in this process: what they hand out, and that stops change no byte."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from app.domain.jobs import SUCCESSFUL
from models.alia.semantic import load_image_text, shown
from models.encoders.folder import FOLDERS_VARIABLE
from models.images.classifier import ImageClassifier
from tests.workers.alia_zoo import (
    CLASSES,
    GRASS,
    NIGHT,
    PARTS,
    RAIN,
    TINY,
    archived,
    lineage,
    lines_of,
    made,
    manifest,
    models,
    pictures,
    report,
    worked,
    zoo,
)
from tests.workers.here import Here
from workers.pipelines import alia, alia_plan
from workers.pipelines.alia_edit import item_seed

if TYPE_CHECKING:
    from tests.workers.conftest import Service

EACH = 7
"""Edits of each class that are asked for."""

ARMS = ["real", "alia", "randaugment", "text_to_image", "extra_real"]
EVALUATE: dict[str, Any] = {"seeds": 2, "penalties": [1.0], "budget": 4, "controls": ARMS[2:]}
FILTERS: dict[str, Any] = {
    "semantic": {"switch": "on", "model": "clip", "negatives": ["a black image"]},
    "confidence": {"switch": "auto", "folds": 2, "steps": 3},
}


@pytest.fixture(scope="module", autouse=True)
def at_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The models that jobs name, and tasks of few edits."""
    folder = models(tmp_path_factory.mktemp("alia") / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDERS_VARIABLE, str(folder))
        patch.setattr(alia_plan, "EDITS_A_TASK", 8)
        patch.setattr(alia, "TOP_UPS_A_TASK", 4)
        yield folder


@pytest.fixture(scope="module")
def spec(alone: Service) -> dict[str, Any]:
    extra = zoo({"train": dict.fromkeys(CLASSES[:2], 4)}, seed=1)
    return TINY | {
        "dataset": pictures(alone, zoo()),
        "extra": pictures(alone, extra),
        "text_to_image": "sd",
        "filters": FILTERS,
        "plan": {"per_class": EACH},
        "attempts": 3,
        "augmentations": ["none", "color"],
    }


@pytest.fixture(scope="module")
def calm(alone: Service, spec: dict[str, Any]) -> tuple[str, Here]:
    """A job that nothing interrupted, and who worked on it."""
    job = alone.job(spec, evaluate=EVALUATE)
    here = worked(alone, "calm")
    assert alone.get(job).state in SUCCESSFUL, alone.get(job).error
    return job, here


def test_every_stage_is_resumed_and_no_byte_changes(
    alone: Service, spec: dict[str, Any], calm: tuple[str, Here]
) -> None:
    job, once = calm
    tasks = Counter(stage for stage, *_ in once.attempts)
    assert tasks.pop("top_up") >= 1, "the image-text model drops some"
    assert tasks == {
        "prepare": 1, "summarise": 1, "folds": 2, "plan": 1, "edit": 6, "search": 8, "choose": 1,
        "select": 1, "classify": 2 * len(ARMS), "evaluate": 1, "publish": 1,
    }  # fmt: skip
    stops = {
        "prepare": [5], "folds": [2], "plan": [0], "edit": [0, 3], "search": [3], "top_up": [2],
        "classify": [0, 3], "evaluate": [2], "publish": [4],
    }  # fmt: skip
    stormy = alone.job(spec, evaluate=EVALUATE)
    often = worked(alone, "stormy", {stage: list(looks) for stage, looks in stops.items()})
    runs = Counter(stage for stage, *_ in often.attempts)
    again = {stage: runs[stage] - tasks[stage] for stage in stops if stage in tasks}
    assert again == {stage: len(looks) for stage, looks in stops.items() if stage in tasks}
    assert [step for stage, shard, step in often.attempts if (stage, shard) == ("folds", 0)][1] > 0
    assert made(alone, stormy) == made(alone, job)
    assert manifest(alone, stormy) == manifest(alone, job)
    assert report(alone, stormy) == report(alone, job)


def test_quotas_are_spread_evenly_over_descriptions_and_sources(
    alone: Service, calm: tuple[str, Here]
) -> None:
    rows = lineage(alone, calm[0])
    first = [row for row in rows if row["item_id"].endswith("-0")]
    assert Counter(row["label"] for row in first) == dict.fromkeys(CLASSES, EACH)
    for label in CLASSES:
        mine = [row for row in first if row["label"] == label]
        of_each = Counter(row["subdomain"] for row in mine)
        assert set(of_each) == {RAIN, NIGHT, GRASS}
        assert max(of_each.values()) - min(of_each.values()) <= 1
        used = Counter(row["parent_ids"][0] for row in mine)
        images = PARTS["train"][label]
        # One more than evenly, because no image is edited into its own domain.
        assert max(used.values()) <= -(-EACH // images) + 1
        assert len(used) >= min(images, EACH) - 1
    job = alone.get(calm[0])
    kept = [row for row in rows if row["decision"] == "kept"]
    assert job.result is not None
    assert job.counts["requested"] == 3 * EACH == len(kept) + job.counts["failed"]
    assert job.result["rows"] == len(kept)
    assert job.counts["generated"] == len(rows) == len(kept) + job.counts["filtered"]
    slots = [row["item_id"].rpartition("-")[0] for row in kept]
    assert len(set(slots)) == len(kept), "one edit a slot"


def test_no_image_is_edited_into_the_domain_that_it_shows(
    alone: Service, calm: tuple[str, Here], at_hand: Path
) -> None:
    model = load_image_text(at_hand / "clip", "clip", "filters.semantic.model")
    descriptions = [RAIN, NIGHT, GRASS]
    rows = lineage(alone, calm[0])
    with zipfile.ZipFile(io.BytesIO(zoo())) as archive:
        sources = [np.asarray(Image.open(archive.open(row["parent_ids"][0]))) for row in rows]
    own = shown(model, sources, np.zeros(len(rows), int), CLASSES, descriptions, "pet")
    assert set(own.tolist()) == {0, 1, 2}
    assert all(row["subdomain"] != descriptions[n] for row, n in zip(rows, own, strict=True))


def test_edits_lie_in_class_folders_with_a_line_each_of_where_they_are_from(
    alone: Service, calm: tuple[str, Here]
) -> None:
    archive = archived(alone, calm[0])
    lines = lines_of(archive)
    assert {line["file_name"] for line in lines} | {"metadata.jsonl"} == set(archive.namelist())
    for line in lines:
        label, text, number, attempt = line["item_id"].split("-")
        assert line["file_name"] == f"{line['label']}/{line['item_id']}.png"
        data = archive.read(line["file_name"])
        assert hashlib.sha256(data).hexdigest() == line["sha256"]
        assert np.asarray(Image.open(io.BytesIO(data))).shape == (32, 32, 3)
        assert line["label"] == CLASSES[int(label)]
        assert line["source"].startswith(f"train/{line['label']}")
        assert line["domain"] == (RAIN, NIGHT, GRASS)[int(text)]
        assert line["prompt"] == line["domain"].format(line["label"])
        assert (line["editor"], line["method"]) == ("img2img", "alia")
        assert line["decision"] == "kept"
        assert set(line["scores"]) == {"semantic", "distance", "own_class", "other_class"}
        assert line["scores"]["semantic"] > 0
        assert int(number) % len(CLASSES) == int(label), "classes take turns"
        place = int(number)
        seed = item_seed(7, "edit", line["source_row"], line["domain"], place, int(attempt))
        assert line["seed"] == str(seed)


def test_pairs_show_each_edit_beside_the_very_image_it_was_made_of(
    alone: Service, calm: tuple[str, Here]
) -> None:
    edits, pairs = archived(alone, calm[0]), archived(alone, calm[0], "pairs.zip")
    lines = lines_of(pairs)
    assert {line["item_id"] for line in lines} == {line["item_id"] for line in lines_of(edits)}
    with zipfile.ZipFile(io.BytesIO(zoo())) as originals:
        for line in lines:
            edited = pairs.read(line["edited_file_name"])
            assert edited == edits.read(f"{line['label']}/{line['item_id']}.png")
            source = Image.open(pairs.open(line["source_file_name"]))
            original = Image.open(originals.open(line["source"]))
            np.testing.assert_array_equal(np.asarray(source), np.asarray(original))


def test_lineage_has_every_edit_with_the_scores_that_decided(
    alone: Service, calm: tuple[str, Here]
) -> None:
    rows = lineage(alone, calm[0])
    assert {"kept", "semantic"} <= {row["decision"] for row in rows}
    for row in rows:
        assert (row["decision"] == "semantic") == (row["scores"]["semantic"] <= 0)
        assert (row["file_name"] is not None) == (row["decision"] == "kept")
        assert 0 < row["scores"]["own_class"] + row["scores"]["other_class"] <= 1.000001
    tried = Counter(row["item_id"].rpartition("-")[0] for row in rows)
    assert max(tried.values()) <= 3
    lost = {row["item_id"].rpartition("-")[0] for row in rows if row["decision"] != "kept"}
    kept = {row["item_id"].rpartition("-")[0] for row in rows if row["decision"] == "kept"}
    assert all(tried[slot] == 3 for slot in lost - kept), "tries were left"
    by_id = {row["item_id"]: row for row in rows}
    for slot in lost & kept:
        first, second = by_id[f"{slot}-0"], by_id[f"{slot}-1"]
        assert first["seed"] != second["seed"]
        assert first["parent_ids"] != second["parent_ids"]


def test_manifest_and_card_name_models_licences_and_domains(
    alone: Service, calm: tuple[str, Here]
) -> None:
    found = manifest(alone, calm[0])
    artifacts = alone.artifacts(calm[0])
    listed = {name: file["sha256"] for name, file in found["files"].items()}
    beside = {"manifest.json", "descriptions.json", "report.json", "report.html"}
    assert listed == {name: sha for name, sha in artifacts.items() if name not in beside}
    models_of = {one["id"]: one for one in found["models"]}
    assert {name: one["role"] for name, one in models_of.items()} == {
        "sd": "editor", "clip": "image_text",
    }  # fmt: skip
    assert all(one["licence"] and len(one["revision"]) == 64 for one in models_of.values())
    assert found["descriptions"] == [RAIN, NIGHT, GRASS]
    assert (found["described_by"], found["batches_halved"]) == ("given", 0)
    assert found["editor"]["steps"] == 4
    assert found["software"]["diffusers"][0].isdigit()
    assert sum(found["rows"].values()) == 3 * EACH - found["unfilled"]
    card = alone.read(calm[0], "card.md").decode()
    for model in models_of.values():
        assert f"{model['id']} ({model['role']}): {model['licence']}" in card
    assert report(alone, calm[0])["verdict"]["sentence"] in card
    assert f"| {GRASS} |" in card
    told = json.loads(alone.read(calm[0], "descriptions.json"))
    assert told == {"descriptions": [RAIN, NIGHT, GRASS], "how": "given"}


def test_the_report_compares_the_arms_by_domain_and_shows_what_filters_dropped(
    alone: Service, calm: tuple[str, Here]
) -> None:
    found = report(alone, calm[0])
    assert [row["name"] for row in found["table"]["rows"]] == ARMS
    assert Counter(one["arm"] for one in found["choice"]["trials"]) == {
        "alia": 4, "text_to_image": 2, "extra_real": 2,
    }  # fmt: skip
    assert found["splits"]["rows"] == {"train": 22, "val": 12, "test": 18}
    domains = found["per_subdomain"]
    assert [(one["subdomain"], one["test_rows"]) for one in domains["subdomains"]] == [
        ("day", 9), ("night", 9),
    ]  # fmt: skip
    assert all(set(one["values"]) == set(ARMS) for one in domains["subdomains"])
    # Ants live by day, bees by night, cats in both: of their 6 test images each half, and all of the cats'.
    assert domains["in_domain"]["test_rows"] == 3 + 3 + 6
    filters = {one["name"]: one for one in found["facts"]["filters"]}
    dropped = Counter(row["decision"] for row in lineage(alone, calm[0]))
    assert filters["semantic"]["dropped"] == dropped["semantic"]
    assert filters["semantic"]["share"] > 0
    compute = found["facts"]["compute"]
    kept = dropped["kept"]
    assert compute["edits"] == {"made": sum(dropped.values()), "kept": kept}
    assert {arm: one["synthetic_images"] for arm, one in compute["classifiers"].items()} == {
        "real": 0,
        "alia": round(32 * kept / (kept + 22)),
        "randaugment": 0,
        "text_to_image": compute["classifiers"]["text_to_image"]["synthetic_images"],
        "extra_real": round(32 * 8 / 30),
    }
    page = alone.read(calm[0], "report.html").decode()
    for name in ("edits.png", "dropped.png"):
        with Image.open(io.BytesIO(alone.read(calm[0], name))) as picture:
            assert picture.width > picture.height > 40
    assert page.count("data:image/png;base64,") == 2
    assert "What was dropped, and why" in page


def test_the_classifier_that_is_handed_out_loads_and_predicts(
    alone: Service, calm: tuple[str, Here], tmp_path: Path
) -> None:
    with alone.store.read() as tx:
        classifier = tx.classifiers.by_job(alone.tenant, calm[0])
    assert classifier is not None
    for name, blob in classifier.files.items():
        (tmp_path / name).write_bytes(
            alone.blobs.local_path(alone.tenant, blob["sha256"]).read_bytes()
        )
    loaded, archive = ImageClassifier.load(tmp_path), archived(alone, calm[0])
    pixels = [np.asarray(Image.open(archive.open(x["file_name"]))) for x in lines_of(archive)]
    assert set(loaded.predict(np.stack(pixels))) <= {0, 1, 2}
    assert classifier.config["classes"] == list(CLASSES)
    assert classifier.config["trained_on"] == report(alone, calm[0])["classifier"]["trained_on"]
    assert report(alone, calm[0])["verdict"]["sentence"] in (tmp_path / "card.md").read_text()
