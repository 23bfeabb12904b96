"""The editors of an ALIA job, loaded: what makes the edits, and text to image where it is compared with."""

from models.alia.editing.batching import automatic
from models.alia.editing.engine import Editor
from models.alia.editing.loading import COMPILED_FROM, load_editor
from models.alia.spec import EditSpec
from workers.pipelines.alia_job import AliaJob


def load_maker(job: AliaJob, maker: str, edits: int) -> Editor:
    """Return an editor, its batches as large as memory allows; it stays loaded for the tasks that follow.

    Args:
        job: whose.
        maker: of `alia_job.MAKERS`.
        edits: how many the job wants.

    Raises:
        InputProblem: its model cannot be loaded, or its settings leave nothing to do.
    """
    field = "edit.model" if maker == "edit" else "text_to_image"
    found, device = job.found(field), job.task.device
    # Batches are the caller's: one editor in memory serves batches of every size.
    spec = settings_of(job, maker).model_copy(update={"batch_size": None})
    prefix = job.spec.summarise.prefix
    editor = job.task.shelf.get(
        (field, found.revision, spec.model_dump_json(), prefix, device, edits > COMPILED_FROM),
        lambda: load_editor(spec, found.path, found.id, field, prefix, device, edits=edits),
    )
    editor.batch_size = automatic(editor.facts["size"], device)
    return editor


def settings_of(job: AliaJob, maker: str) -> EditSpec:
    """Return an editor's settings; text to image has its own, but for size and batches."""
    spec = job.spec.edit
    if maker == "edit":
        return spec
    kept = {"size", "batch_size", "precision", "compiled", "negative"}
    return EditSpec(editor="txt2img", **spec.model_dump(include=kept))
