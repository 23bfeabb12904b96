"""The Hugging Face cache on this machine: where a pulled model lies."""

import os
from pathlib import Path

PULLED = "cultivar"
"""Name of the ref in the cache that says which commit was pulled; `main` may move on."""


def store_of(model: str) -> Path:
    """Return the folder of the cache that holds ``model``, whether it is there or not."""
    from huggingface_hub import constants  # noqa: PLC0415 - not needed for folders

    return Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"


def cached(model: str, revision: str | None = None, marker: str = "config.json") -> Path | None:
    """Return the snapshot of ``model`` in the cache, or None.

    Args:
        model: id of the hub, ``owner/name``.
        revision: the commit; None: the one that was pulled, else what `main` was when some other
            program fetched it.
        marker: the file without which it is none.
    """
    store = store_of(model)
    commit = revision or recorded(model) or _ref(store, "main")
    if commit is None:
        return None
    snapshot = store / "snapshots" / commit
    return snapshot if (snapshot / marker).is_file() else None


def _ref(store: Path, name: str) -> str | None:
    path = store / "refs" / name
    return path.read_text("ascii").strip() if path.is_file() else None


def recorded(model: str) -> str | None:
    """Return the commit of ``model`` that was pulled, or None."""
    return _ref(store_of(model), PULLED)


def record(model: str, commit: str) -> None:
    """Write down that ``commit`` of ``model`` is the one that was pulled, whole."""
    path = store_of(model) / "refs" / PULLED
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{PULLED}.{os.getpid()}")
    partial.write_text(commit, "ascii")
    partial.replace(path)
