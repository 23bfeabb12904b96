"""docs/alia.md and docs/models.md: their code as far as it runs without weights, and every name in them."""

import re
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any, get_args
from unittest.mock import create_autospec

import pytest
from pydantic import BaseModel, TypeAdapter

from app.api.allowed_models import editing_models
from app.domain.jobs import PIPELINES
from app.domain.specs import AliaSpec, EvaluateSpec, JobSpec, ReleaseSpec
from app.settings import Settings
from cultivar import Job, specs
from cultivar._cli.parser import parser
from cultivar._cli.running import _fields
from cultivar._client import Datasets, Jobs
from cultivar._records import ReviewItem
from models.alia.allowed import ALLOWED
from models.alia.editing.prompts import TEMPLATES
from models.alia.editing.scheduling import DEFAULTS
from models.alia.filters import Decision
from models.alia.spec import EDITORS
from workers.pipelines.alia_archives import told_of
from workers.pipelines.image_outputs import IMAGE_LINEAGE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "alia.md").read_text(encoding="utf-8")
DATASET = f"ds_{1:032x}"

OTHERS = {
    # values of fields, and what a description was found by
    "on", "off", "auto", "llm", "phrases", "webdataset",
    # states and codes
    "partially_succeeded", "no_descriptions", "no_step_left", "no_edit_left", "image_too_narrow",
    "gpu_out_of_memory",
    # beside the spec
    "release_if",
    # counts, and entries of report, manifest, metadata and scores
    "requested", "skipped", "generated", "unfilled", "choice", "how", "described_by", "batches_halved",
    "editor", "domain", "source", "source_row", "own_class", "other_class",
    # decisions that no filter takes, an arm, and words of other houses
    "rejected", "unused", "extra_real", "datasets", "imagefolder",
    # splits, and a kind of job
    "train", "val", "test", "sample",
}  # fmt: skip
"""Names in the page that are no fields."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def rows(table_begins: str, text: str = PAGE) -> list[list[str]]:
    """Return the cells of the table whose head begins so."""
    table = text.split(f"\n{table_begins}", 1)[1].split("\n\n", 1)[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


def ticked(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


class Desk:
    """A client that keeps what it is asked for: every call has the signature of the real one's."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, dict[str, Any]]] = []
        self.datasets = create_autospec(Datasets, instance=True)
        self.datasets.upload.return_value = DATASET
        self.jobs = create_autospec(Jobs, instance=True)
        self.jobs.create.side_effect = self._create
        self.job = create_autospec(Job, instance=True)
        self.job.wait.return_value = self.job.resume.return_value = self.job
        doubtful = {"semantic": 0.01, "distance": 0.2}
        self.job.items.return_value = [
            ReviewItem.model_construct(id=name, scores=scores)
            for name, scores in (("0-1-2-0", doubtful), ("0-1-3-0", {"distance": 0.2}))
        ]
        self.job.result = {"descriptions": ["a photo of a {} in the snow"]}

    def _create(self, spec: Any, **beside: Any) -> Job:
        self.made.append((spec, beside))
        return self.job  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def desk() -> Desk:
    desk = Desk()
    code = "\n".join(blocks("python"))
    exec(code.replace("cv = Client()", ""), {"cv": desk})
    return desk


def test_each_spec_of_the_page_is_one_that_the_service_takes(desk: Desk) -> None:
    assert len(desk.made) == PAGE.count("cv.jobs.create(") == 3
    for spec, beside in desk.made:
        sent = spec.model_dump(mode="json")
        assert AliaSpec.model_validate(sent).subject == "bird"
        if beside.get("evaluate"):
            EvaluateSpec.model_validate(beside["evaluate"].model_dump(mode="json"))
        if "release_if" in beside:
            ReleaseSpec.model_validate(beside["release_if"])
    waits = [(spec.pause_after, spec.review) for spec, _ in desk.made]
    assert waits == [(None, None), ("summarise", "sample"), (None, None)]


@pytest.mark.parametrize("page", ["README.md", "client/README.md"])
def test_the_read_mes_have_specs_of_it_too(page: str) -> None:
    text = (DOCS.parent / page).read_text(encoding="utf-8")
    (code,) = (one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Alia" in one)
    desk = Desk()
    exec(code, {"cv": desk, "ds": DATASET})
    ((spec, _),) = desk.made
    assert AliaSpec.model_validate(spec.model_dump(mode="json")).subject == "bird"


def test_a_person_says_what_the_page_has_them_say(desk: Desk) -> None:
    described, judged = desk.job.review.call_args_list
    assert all(text.count("{}") == 1 for text in described.kwargs["descriptions"])
    assert judged.kwargs == {"reject": ["0-1-2-0"]}
    assert desk.job.resume.call_count == 2


def commands() -> list[list[str]]:
    lines = "".join(blocks("sh")).splitlines()
    plain = (re.sub(r"\s+(?:#|>).*", "", line) for line in lines if not line.startswith("#"))
    found = (re.search(r"\bcultivar (.*?)\)?$", line) for line in plain)
    inline = [one.removeprefix("cultivar ") for one in ticked(PAGE) if one.startswith("cultivar ")]
    return [shlex.split(text) for text in [*(one[1] for one in found if one), *inline]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_of_the_page_is_one(words: list[str]) -> None:
    if words[0] == "models":
        assert words[1] in {"list", "pull"}
        return
    arguments = parser().parse_args(words)
    if words[0] != "run" or len(words) == 2:
        return
    fields = _fields(arguments) | {"dataset": DATASET}
    spec = specs.parse(fields).model_dump(mode="json")
    TypeAdapter(JobSpec).validate_python(spec)


def field(path: str, model: type[BaseModel]) -> bool:
    """Say whether a spec has a field at this path."""
    name, _, rest = path.partition(".")
    if name not in model.model_fields:
        return False
    kinds = [model.model_fields[name].annotation]
    kinds += [inner for one in kinds for inner in get_args(one)]
    parts = [one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)]
    return not rest or any(field(rest, part) for part in parts)


def test_each_dotted_name_is_a_field_of_the_spec() -> None:
    class Ordered(AliaSpec):
        evaluate: EvaluateSpec

    dotted = [one for one in ticked(PAGE) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", one)]
    files = (".json", ".jsonl", ".py")
    paths = [
        one
        for one in dotted
        if one.partition(".")[0] in Ordered.model_fields and not one.endswith(files)
    ]
    assert len(paths) > 15
    assert not [one for one in paths if not field(one, Ordered)]
    assert not field("edit.strenght", Ordered)


def names(model: type[BaseModel]) -> set[str]:
    """Return the fields of a spec and of its parts."""
    kinds = [one.annotation for one in model.model_fields.values()]
    kinds += [inner for one in kinds for inner in get_args(one)]
    parts = [one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)]
    return set(model.model_fields).union(*map(names, parts))


def test_each_plain_name_is_known() -> None:
    fields = names(AliaSpec) | names(EvaluateSpec)
    stages = {stage.code for stage in PIPELINES["alia"]}
    lineage = set(IMAGE_LINEAGE.names)
    found = {one for one in ticked(PAGE) if re.fullmatch(r"[a-z_0-9]+", one)}
    unknown = found - fields - stages - lineage - {*EDITORS, *get_args(Decision)} - OTHERS
    assert not unknown
    assert found >= OTHERS


def test_stages_are_those_of_the_job() -> None:
    told = [row[0].strip("`") for row in rows("| stage |")]
    assert told == [stage.code for stage in PIPELINES["alia"]]


def test_editors_have_the_models_templates_steps_and_guidance_that_are_told() -> None:
    told = {
        row[0].strip("`"): [cell.strip("`") for cell in row[1:5]]
        for row in rows("| `edit.editor` |")
    }
    assert told == {
        name: [
            EDITORS[name],
            TEMPLATES[name],
            str(DEFAULTS[name].steps),
            # A distilled model takes none.
            "" if name == "flux2_klein" else f"{DEFAULTS[name].guidance:g}",
        ]
        for name in EDITORS
    }


def test_defaults_in_brackets_are_the_spec_s() -> None:
    spec = AliaSpec(dataset=DATASET)
    told = re.findall(r"`(captions|draws|turns|most|retries)`[^`(]*\((\d+)\)", PAGE)
    assert {name: int(value) for name, value in told} == {
        name: getattr(spec.summarise, name)
        for name in ("captions", "draws", "turns", "most", "retries")
    }
    assert f"`strength` ({spec.edit.strength:g};" in PAGE
    assert f"`folds` ({spec.filters.confidence.folds})" in PAGE
    assert f"`attempts` ({spec.attempts})" in PAGE
    assert f"default of {EvaluateSpec().budget} ALIA's are four sets of filters times three" in PAGE
    assert len(spec.augmentations) == 3


def test_every_decision_and_every_column_of_the_lineage_is_told() -> None:
    named = set(ticked(PAGE))
    assert {*get_args(Decision), "rejected", "unused"} <= named
    line = next(row[1] for row in rows("| file |") if row[0] == "`lineage.parquet`")
    assert set(IMAGE_LINEAGE.names) == set(ticked(line))


def test_every_entry_of_a_line_of_metadata_is_told() -> None:
    archive = next(row[1] for row in rows("| file |") if row[0] == "`edits.zip`")
    named = set(ticked(archive)) - {"metadata.jsonl", "imagefolder"}
    assert set(told_of(defaultdict(lambda: ["anything"]))) == {
        one for one in named if re.fullmatch(r"[a-z_0-9]+", one) and one != "webdataset"
    }


def test_models_are_told_as_the_api_tells_them(tmp_path: Path) -> None:
    table = rows("| id | for |", (DOCS / "models.md").read_text(encoding="utf-8"))
    listed = {one.id: one for one in editing_models(Settings(home=tmp_path, models=""))}
    assert [row[0].strip("`") for row in table] == list(ALLOWED)
    for name, what, licence, fetched, memory in table:
        one = listed[name.strip("`")]
        assert licence.strip("*") == one.licence
        assert float(fetched) == round(ALLOWED[one.id].megabytes / 1000, 1)
        assert one.memory_megabytes is not None
        assert float(memory) == round(one.memory_megabytes / 1000, 1)
        assert ("default" in what) == bool(one.default_of)
