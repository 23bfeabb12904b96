"""A model that an ALIA job names, on this machine: fetched where that is allowed."""

from huggingface_hub import constants

from models.alia.allowed import ALLOWED, Role
from models.alia.catalogue import Found, find
from models.alia.pull import pull
from models.alia.spec import EditorName
from models.errors import InputProblem
from workers.task import TaskRun


def alia_model(
    task: TaskRun, name: str, role: Role, param: str, editor: EditorName | None = None
) -> Found:
    """Return a model, downloaded if need be.

    Raises:
        InputProblem: it is not at hand or of another kind; `param` is the field that names it.
    """
    if task.settings.model_downloads and not constants.HF_HUB_OFFLINE and name in ALLOWED:
        try:
            pull(name, on_progress=task.progress)
        except InputProblem as problem:  # of a model, not of a field
            raise InputProblem(problem.code, problem.detail, param) from problem
    return find(name, role, param, editor)
