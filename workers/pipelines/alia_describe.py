"""ALIA's captions, and the descriptions of domains that come of them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.domain.tasks import Effects
from models.alia.captioning import Captioner, load_captioner
from models.alia.language import LanguageModel, load_language_model
from models.alia.summarising import Message
from models.alia.summarising import summarise as summarised
from workers.pipelines.alia_job import AliaJob, Originals
from workers.pipelines.image_parts import ids_of
from workers.pipelines.manifest import artifact
from workers.task import TaskRun


def caption(task: TaskRun) -> Effects:
    """Caption one shard of the training images."""
    job, payload = AliaJob(task), task.claim.payload
    originals, rows = Originals(task), job.train.rows[payload["start"] : payload["stop"]]
    captioner = _captioner(job)
    images = [originals[row] for row in rows.tolist()]
    captions = captioner.caption(images, task.progress, task.should_stop)
    path = task.scratch / "captions.json"
    path.write_text(json.dumps(captions, ensure_ascii=False), encoding="utf-8")
    return Effects(
        result={**task.keep(path).named, "captions": len(captions)},
        counts={"captioned": len(captions)},
    )


def captions_of(task: TaskRun) -> list[str]:
    """Return the captions of the training images, in their order; none where nothing was captioned."""
    return [
        text
        for result in task.claim.earlier.get("caption", [])
        for text in json.loads(task.fetch(result["sha256"]).read_text("utf-8"))
    ]


def summarise(task: TaskRun) -> Effects:
    """Find the descriptions, keep all that was asked and answered; wait for a person if that is wanted."""
    job = AliaJob(task)
    captions, spec = captions_of(task), job.spec
    if spec.descriptions is not None:
        told: dict[str, Any] = {"descriptions": list(spec.descriptions), "how": "given"}
    else:
        found = summarised(
            captions,
            job.classes,
            spec.summarise,
            task.claim.seed,
            _ask(job),
            task.progress,
            task.should_stop,
        )
        told = asdict(found) | {"descriptions": list(found.descriptions)}
    kept = [artifact(task, path) for path in _written(job, captions, told)]
    result = {"descriptions": told["descriptions"], "how": told["how"]}
    return Effects(
        result=result,
        artifacts=tuple(kept),
        summary={"descriptions": result["descriptions"], "described_by": result["how"]},
        pause="descriptions" if spec.pause_after == "summarise" else None,
    )


def _written(job: AliaJob, captions: Sequence[str], told: Mapping[str, Any]) -> list[Path]:
    """Write what a person may want to look at: each caption with its image, and the way to descriptions."""
    task = job.task
    proposed = task.scratch / "descriptions.json"
    text = json.dumps(told, indent=2, ensure_ascii=False)
    proposed.write_text(text + "\n", encoding="utf-8")
    if not captions:
        return [proposed]
    ids = ids_of(
        task.fetch(task.claim.inputs["dataset"]["columns"]["id"]["sha256"]), job.train.rows
    )
    lines = (
        json.dumps(
            {"item_id": name, "label": job.classes[label], "caption": caption}, ensure_ascii=False
        )
        for name, label, caption in zip(ids, job.train.y.tolist(), captions, strict=True)
    )
    path = task.scratch / "captions.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [path, proposed]


def _captioner(job: AliaJob) -> Captioner:
    field = "captions.model"
    found, spec, device = job.found(field), job.spec.captions, job.task.device
    batch = job.task.batch(spec.batch_size)
    return job.task.shelf.get(
        (field, found.revision, spec.model_dump_json(), batch, device),
        lambda: load_captioner(
            found.path,
            found.id,
            field,
            spec.model_copy(update={"batch_size": batch}),
            device,
        ),
    )


def _ask(job: AliaJob) -> Callable[[Sequence[Message], int | None], str] | None:
    """Return what answers messages; None where no language model is to be asked."""
    field = "summarise.model"
    if job.spec.summarise.model is None:
        return None
    found, device = job.found(field), job.task.device
    model: LanguageModel = job.task.shelf.get(
        (field, found.revision, device),
        lambda: load_language_model(found.path, found.id, field, device),
    )

    def ask(messages: Sequence[Message], seed: int | None) -> str:
        plain = [{"role": one["role"], "content": one["content"]} for one in messages]
        return model.answer(plain, job.spec.summarise.max_tokens, seed, job.task.should_stop)

    return ask
