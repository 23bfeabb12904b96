"""How a job comes to be: its inputs are found, its row is written, the bell is rung."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.api.context import Caller
from app.api.fitting import OnDataset, check_modality
from app.api.makers import method_of
from app.api.schemas.dataset import LONGEST_NAME
from app.api.schemas.job import InputView, JobRequest
from app.domain.ids import new_id
from app.domain.jobs import SUCCESSFUL, TERMINAL, Job, NewJob
from app.domain.problems import Invalid
from app.domain.records import DatasetState, UploadState
from app.domain.specs import AliaSpec, EmbedSpec, GlicoSpec, RequestedSpec, SampleSpec
from app.store.database import Transaction
from models.classifiers.spec import ClassifierSpec, HeadSpec
from models.gelda.spec import GeldaSpec
from models.semantics.spec import UploadedVectors

RETRY_AFTER = "1"  # seconds; a job takes longer, but its first look is cheap
_MAKE_GENERATORS = frozenset({"gelda", "glico"})
_MAKE_ROWS = frozenset({"gelda", "glico", "sample"})
_JUDGE_THEMSELVES = frozenset({"alia", "gelda", "glico"})


@dataclass(frozen=True, slots=True)
class Inputs:
    """Looks up, in one transaction, what a spec names; another tenant's is not there."""

    tx: Transaction
    tenant_id: str

    def of(self, spec: RequestedSpec) -> Iterator[InputView]:
        """Yield each resource that the spec names.

        Raises:
            Invalid: ``input_not_found``, ``input_failed``, ``input_unsuitable`` or
                ``upload_incomplete``, with the field.
        """
        match spec:
            case EmbedSpec() | GlicoSpec():
                yield self._dataset(spec)
            case AliaSpec():
                yield self._dataset(spec)
                if spec.extra is not None:
                    yield self._extra(spec, spec.extra)
            case GeldaSpec():
                yield self._dataset(spec)
                for field, source in (("classes", spec.classes), ("subdomains", spec.subdomains)):
                    if isinstance(source, UploadedVectors):
                        yield self._upload(source.upload, f"spec.{field}.upload")
                yield from self._head(spec.classifier, "spec.classifier")
            case SampleSpec() if spec.generator.startswith("gen_"):
                yield self._generator(spec.generator, "spec.generator")
            case SampleSpec():
                yield self._job(spec.generator, "spec.generator", _MAKE_GENERATORS)
            case ClassifierSpec():
                yield self._dataset(spec)
                for job_id in spec.mix:
                    yield self._latents(job_id, "spec.mix")
                yield from self._head(spec.head, "spec.head")

    def _extra(self, spec: AliaSpec, extra: str) -> InputView:
        if extra == spec.dataset:
            raise Invalid(
                "It is the dataset itself; further real images are needed, which are not in it.",
                code="input_unsuitable",
                param="spec.extra",
            )
        return self._rows(spec, extra, "spec.extra")

    def _dataset(self, spec: OnDataset) -> InputView:
        return self._rows(spec, spec.dataset, "spec.dataset")

    def _rows(self, spec: OnDataset, named: str, param: str) -> InputView:
        dataset = self.tx.datasets.get(self.tenant_id, named)
        if dataset is None:
            raise _not_found("dataset", param)
        check_modality(spec, dataset.modality, param)
        if dataset.state is DatasetState.FAILED:
            raise _ended("dataset", dataset.state, dataset.error, param)
        maker = dataset.job_id if dataset.state is DatasetState.PROCESSING else None
        return InputView(id=named, param=param, state=dataset.state, job_id=maker)

    def _head(self, head: HeadSpec, param: str) -> Iterator[InputView]:
        if head.initial is not None:
            yield self._upload(head.initial.upload, f"{param}.initial.upload")

    def _upload(self, upload_id: str, param: str) -> InputView:
        upload = self.tx.uploads.get(self.tenant_id, upload_id)
        if upload is None:
            raise _not_found("upload", param)
        if upload.state is not UploadState.COMPLETE:
            raise Invalid("The upload is not complete.", code="upload_incomplete", param=param)
        return InputView(id=upload_id, param=param, state=upload.state, job_id=None)

    def _generator(self, generator_id: str, param: str) -> InputView:
        if self.tx.generators.get(self.tenant_id, generator_id) is None:
            raise _not_found("generator", param)
        return InputView(id=generator_id, param=param, state="ready", job_id=None)

    def _latents(self, job_id: str, param: str) -> InputView:
        found = self._job(job_id, param, _MAKE_ROWS)
        job = self.tx.jobs.get(self.tenant_id, job_id)
        assert job is not None
        maker = job.spec["generator"] if job.kind == "sample" else job_id
        if method_of(self.tx, self.tenant_id, maker) == "glico":
            raise Invalid(
                "The job makes images, and latents alone can be mixed in here; a glico job trains a "
                "classifier with its images itself.",
                code="input_unsuitable",
                param=param,
            )
        return found

    def _job(self, job_id: str, param: str, kinds: frozenset[str]) -> InputView:
        job = self.tx.jobs.get(self.tenant_id, job_id)
        if job is None:
            raise _not_found("job", param)
        if job.kind == "alia":
            raise Invalid(
                "An alia job edits images: it makes no generator to draw from, and no latents to mix in; "
                "it trains a classifier with its edits itself.",
                code="input_unsuitable",
                param=param,
            )
        if job.kind not in kinds:
            raise Invalid(
                f"A job of kind {job.kind} does not make what is needed here;"
                f" {' or '.join(sorted(kinds))} does.",
                code="input_unsuitable",
                param=param,
            )
        if job.state in TERMINAL and job.state not in SUCCESSFUL:
            raise _ended("job", job.state, job.error, param)
        maker = None if job.state in SUCCESSFUL else job.id
        return InputView(id=job_id, param=param, state=job.state, job_id=maker)


def new_job(caller: Caller, request: JobRequest, inputs: list[InputView]) -> NewJob:
    """Return what the store is to keep: defaults filled in, unfinished inputs named."""
    spec = request.spec
    return NewJob(
        makes_dataset=_made_by(spec.kind),
        tenant_id=caller.tenant_id,
        kind=spec.kind,
        spec=spec.model_dump(mode="json"),
        seed=request.seed,
        evaluate=evaluation(request),
        release_if=release_condition(request),
        metadata=dict(request.metadata),
        deadline_seconds=request.deadline_seconds,
        inputs=unfinished(inputs),
    )


def evaluation(request: JobRequest) -> dict[str, object] | None:
    """Return the resolved `evaluate` part; a `sample` or `embed` job has nothing to measure."""
    if isinstance(request.spec, SampleSpec | EmbedSpec):
        return None
    return request.evaluate.model_dump(mode="json")


def release_condition(request: JobRequest) -> dict[str, object] | None:
    """Return the conditions of release.

    Raises:
        Invalid: ``release_not_measurable``, where the job measures nothing that they could be held
            against.
    """
    if request.release_if is None:
        return None
    kind = request.spec.kind
    if kind not in _JUDGE_THEMSELVES:
        raise _unmeasured(f"A job of kind {kind} measures nothing of it; alia, gelda and glico do.")
    if not request.evaluate.enabled:
        raise _unmeasured("It is judged by what evaluate measures, which is switched off.")
    return dict(request.release_if.conditions)


def _unmeasured(detail: str) -> Invalid:
    return Invalid(detail, code="release_not_measurable", param="release_if")


def again(job: Job, inputs: list[InputView]) -> NewJob:
    """Return a job that repeats this one and names it."""
    return NewJob(
        makes_dataset=_made_by(job.kind),
        tenant_id=job.tenant_id,
        kind=job.kind,
        spec=job.spec,
        seed=job.seed,
        evaluate=job.evaluate,
        release_if=job.release_if,
        metadata=dict(job.metadata),
        deadline_seconds=job.deadline_seconds,
        inputs=unfinished(inputs),
        retry_of=job.id,
    )


def _made_by(kind: str) -> str | None:
    """Return the id of the dataset that a job of this kind is going to make."""
    return new_id("ds") if kind == "embed" else None


def accept(tx: Transaction, new: NewJob) -> Job:
    """Keep a job, and with it the dataset that it is going to make."""
    job = tx.jobs.create(new)
    if new.makes_dataset is None:
        return job
    source = tx.datasets.get(new.tenant_id, new.spec["dataset"])
    assert source is not None  # found by `Inputs`, in this transaction
    name = f"{source.name} · {new.spec['encoder']['model']}"[:LONGEST_NAME]
    made = (name, "embedding", "npy", job.id, new.makes_dataset)
    tx.datasets.create(new.tenant_id, *made)
    if job.error is not None:
        tx.datasets.mark_failed(job.id, job.error)
    return job


def unfinished(inputs: list[InputView]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.job_id for one in inputs if one.job_id is not None))


def ring(caller: Caller, tx: Transaction) -> None:
    """Wake workers for what a transaction made claimable. Call it after the commit.

    A lost ring costs seconds, not the job: workers and the reconciler look at the table.
    """
    for task_class, tasks in tx.queued.items():
        caller.services.bell.ring(task_class, tasks)


def _not_found(noun: str, param: str) -> Invalid:
    return Invalid(f"There is no such {noun}.", code="input_not_found", param=param)


def _ended(noun: str, state: str, error: Mapping[str, Any] | None, param: str) -> Invalid:
    """Return what is said of an input that came to nothing: its own error, to be mended first."""
    why = f": {error['detail']}" if error else "."
    return Invalid(f"The {noun} is {state}{why}", code="input_failed", param=param)
