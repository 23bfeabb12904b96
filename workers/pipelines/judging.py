"""What is made, held against held-out rows: told in the report, and judged where a job has conditions."""

from models.evaluation.data import LabelledRows
from models.evaluation.fidelity import Fidelity, measure_fidelity
from models.evaluation.release import Release, judge
from models.evaluation.result import Result
from models.evaluation.spec import ReleaseSpec
from workers.task import TaskRun


def judged(
    task: TaskRun, result: Result, synthetic: LabelledRows
) -> tuple[Fidelity, Release | None]:
    """Return fidelity on `test`, to be reported, and the judgement on `val`, if one is asked for."""
    seed = task.claim.seed
    fidelity = measure_fidelity(result.data, synthetic, part="test", seed=seed)
    if task.claim.release_if is None:
        return fidelity, None
    task.stop_here()
    on_val = measure_fidelity(result.data, synthetic, part="val", seed=seed)
    spec = ReleaseSpec.model_validate(task.claim.release_if)
    return fidelity, judge(spec, on_val, result.val_gain, result.data.val)
