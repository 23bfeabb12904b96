"""Which function runs which stage. Named, not imported: a stage loads only what it needs."""

import importlib
from collections.abc import Callable
from typing import cast

from app.domain.tasks import Effects
from workers.task import TaskRun

Stage = Callable[[TaskRun], Effects]

ENTRY_POINTS: dict[tuple[str, str], str] = {
    ("ingest", "ingest"): "workers.pipelines.ingest:ingest",
    ("embed", "fetch"): "workers.pipelines.embedding:fetch",
    ("embed", "encode"): "workers.pipelines.embedding:encode",
    ("embed", "gather"): "workers.pipelines.embedding:gather",
    ("gelda", "fetch"): "workers.pipelines.embedding:fetch",
    ("gelda", "encode"): "workers.pipelines.embedding:encode",
    ("gelda", "gather"): "workers.pipelines.embedding:gather",
    ("gelda", "prepare"): "workers.pipelines.gelda_training:prepare_job",
    ("gelda", "train"): "workers.pipelines.gelda_training:train",
    ("gelda", "choose"): "workers.pipelines.gelda:choose",
    ("gelda", "sample"): "workers.pipelines.gelda:sample",
    ("gelda", "rivals"): "workers.pipelines.gelda_training:train_rival",
    ("gelda", "evaluate"): "workers.pipelines.gelda_evaluation:evaluate",
    ("gelda", "publish"): "workers.pipelines.gelda:publish",
    ("glico", "prepare"): "workers.pipelines.glico_training:prepare",
    ("glico", "train"): "workers.pipelines.glico_training:train",
    ("glico", "search"): "workers.pipelines.glico_classifiers:search",
    ("glico", "choose"): "workers.pipelines.glico:choose",
    ("glico", "classify"): "workers.pipelines.glico_classifiers:classify",
    ("glico", "sample"): "workers.pipelines.glico:sample",
    ("glico", "evaluate"): "workers.pipelines.glico_evaluation:evaluate",
    ("glico", "publish"): "workers.pipelines.glico:publish",
    ("alia", "prepare"): "workers.pipelines.alia_prepare:prepare",
    ("alia", "caption"): "workers.pipelines.alia_describe:caption",
    ("alia", "summarise"): "workers.pipelines.alia_describe:summarise",
    ("alia", "folds"): "workers.pipelines.alia_folds:folds",
    ("alia", "plan"): "workers.pipelines.alia_plan:plan",
    ("alia", "edit"): "workers.pipelines.alia_edit:edit",
    ("alia", "search"): "workers.pipelines.alia_classifiers:search",
    ("alia", "choose"): "workers.pipelines.alia:choose",
    ("alia", "top_up"): "workers.pipelines.alia_edit:top_up",
    ("alia", "select"): "workers.pipelines.alia_select:select",
    ("alia", "classify"): "workers.pipelines.alia_classifiers:classify",
    ("alia", "evaluate"): "workers.pipelines.alia_evaluation:evaluate",
    ("alia", "publish"): "workers.pipelines.alia:publish",
    ("sample", "plan"): "workers.pipelines.sample:plan",
    ("sample", "sample"): "workers.pipelines.sample:sample",
    ("sample", "publish"): "workers.pipelines.sample:publish",
    ("classifier", "fit"): "workers.pipelines.classifier:fit",
    ("classifier", "publish"): "workers.pipelines.classifier:publish",
}


def entry_point(kind: str, stage: str) -> Stage:
    """Return the function of a stage; KeyError if the pipeline has none of that name."""
    module, _, name = ENTRY_POINTS[kind, stage].partition(":")
    return cast("Stage", getattr(importlib.import_module(module), name))
