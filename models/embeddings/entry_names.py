"""Names within archives: which are refused before anything of the archive is opened."""

from models.embeddings.wording import show
from models.errors import InputProblem

_ARCHIVES = (".zip", ".npz", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


def check_entry_name(name: str, filename: str) -> None:
    """Refuse names that point outside, and names of what is never opened.

    Raises:
        InputProblem: ``archive_unsafe_entry``, ``unsafe_pickle``, ``archive_too_large`` for an
            archive within the archive.
    """
    if (
        not name or "\0" in name or "\\" in name or ".." in name.split("/")
        or name.startswith("/") or name[1:2] == ":"
    ):  # fmt: skip
        code = "archive_unsafe_entry"
        found = f"the entry {show(name)} points outside the archive; expected names such as 'a/b.c'"
    elif name.lower().endswith((".pkl", ".pickle")):
        code = "unsafe_pickle"
        found = f"the entry {show(name)} is a pickle, as in a .pt checkpoint, and is never opened"
    elif name.lower().endswith(_ARCHIVES):
        code, found = "archive_too_large", f"{show(name)} is an archive within the archive"
    else:
        return
    raise InputProblem(code, f"{show(filename)}: {found}.", filename)
