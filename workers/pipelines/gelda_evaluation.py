"""GeLDA's `evaluate` stage: heads on what was drawn and on every rival, and the report."""

from app.domain.tasks import Effects
from workers.pipelines.datasets import evaluation_of
from workers.task import TaskRun


def evaluate(task: TaskRun) -> Effects:
    """Measure the drawn latents on held-out rows, beside every control."""
    if not evaluation_of(task).enabled:
        return Effects()
    raise NotImplementedError
