"""A task as its pipeline sees it: what was claimed, where its files are, whom to tell."""

import importlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.domain.tasks import Checkpoint, Claim
from app.settings import Settings
from app.store.blobs import Blob, BlobStore
from models.errors import Interrupted
from workers.messages import Checkpointed, FromChild, Progress
from workers.shelf import Shelf

_TELL_SECONDS = 0.1
_LOOK_SECONDS = 0.02


@dataclass
class TaskRun:
    """One attempt at one task, inside the child.

    Attributes:
        scratch: an empty folder in the blob store's staging, removed afterwards.
        shelf: models that stay loaded between tasks.
        send: tells the parent.
        asked_to_stop: whether the parent wants an early end (cancel, drain, deadline).
    """

    claim: Claim
    blobs: BlobStore
    scratch: Path
    settings: Settings
    shelf: Shelf
    send: Callable[[FromChild], None]
    asked_to_stop: Callable[[], bool]
    _told_at: float = field(default=0.0, init=False)
    _looked_at: float = field(default=0.0, init=False)
    _stop: bool = field(default=False, init=False)

    @property
    def tenant(self) -> str:
        return self.claim.tenant_id

    @property
    def device(self) -> str:
        """Return the torch device for this task: an accelerator for class `gpu` where there is one."""
        torch = importlib.import_module("torch")
        return "cuda" if self.claim.task_class == "gpu" and torch.cuda.is_available() else "cpu"

    def batch(self, rows: int) -> int:
        """Return how many rows to compute at once: half after memory did not suffice."""
        halvings: int = self.claim.payload.get("halvings", 0)
        return max(1, rows >> halvings)

    def progress(self, value: float, max: float) -> None:  # noqa: A002 - the API's own word
        """Tell how far this attempt is; cheap enough for every step."""
        now = time.monotonic()
        if now - self._told_at >= _TELL_SECONDS or value >= max:
            self._told_at = now
            self.send(Progress(float(value), float(max)))

    def should_stop(self) -> bool:
        """Return whether to save and stop; cheap enough for every step."""
        now = time.monotonic()
        if not self._stop and now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._stop = self.asked_to_stop()
        return self._stop

    def stop_here(self) -> None:
        """Raise Interrupted if it is time to stop and nothing needs saving."""
        if self.should_stop():
            raise Interrupted

    def checkpoint(self, path: Path, step: int) -> None:
        """Store what a second attempt starts from: first the blob, whole, then word of it."""
        self.send(Checkpointed(Checkpoint(self.keep(path).sha256, step)))

    def resume_file(self) -> Path | None:
        """Return the checkpoint of an earlier attempt, if there was one and it is still whole."""
        checkpoint = self.claim.checkpoint
        if checkpoint is None or not self.blobs.verify(self.tenant, checkpoint.sha256):
            return None
        return self.blobs.local_path(self.tenant, checkpoint.sha256)

    def keep(self, path: Path) -> Blob:
        """Make a file a blob; one in `scratch` is moved, where the store is on its filesystem."""
        return self.blobs.put_file(self.tenant, path)

    def keep_folder(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Put each file of `folder` into the blob store; return name → ``{"sha256", "bytes"}``."""
        return {path.name: self.keep(path).named for path in sorted(folder.iterdir())}

    def fetch(self, sha256: str) -> Path:
        """Return a blob as a local file, to be read only."""
        return self.blobs.local_path(self.tenant, sha256)

    def fetch_folder(self, files: Mapping[str, Mapping[str, Any]], name: str) -> Path:
        """Lay blobs out in a folder of `scratch` under their own names; to be read only."""
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for filename, blob in files.items():
            (folder / filename).symlink_to(self.fetch(blob["sha256"]))
        return folder
