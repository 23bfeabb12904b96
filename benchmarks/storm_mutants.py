"""Six mutants: the code without one of its safeguards each. A harness that misses one proves nothing.

A mutant is a replacement of text in a copy of the tree. It must apply exactly once, so that it fails
loudly when the code has moved; the code that is shipped knows nothing of it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.storm_world import ROOT

PACKAGES = ("app", "models", "workers")


@dataclass(frozen=True)
class Mutant:
    """What is replaced, where, by what.

    Attributes:
        shown_by: pattern of the sentences that tell of it. A storm may find something else as well, which
            does not catch the mutant.
    """

    name: str
    file: str
    old: str
    new: str
    shown_by: str

    def apply(self, tree: Path) -> None:
        """Change a copy of the tree.

        Raises:
            ValueError: the text is not there exactly once.
        """
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        found = text.count(self.old)
        if found != 1:
            raise ValueError(
                f"the mutant {self.name!r} wants its text once in {self.file}, and it is there "
                f"{found} times: the code has moved, and the mutant must follow"
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


MUTANTS = {
    mutant.name: mutant
    for mutant in (
        Mutant(
            "no fence",
            "app/store/leases.py",
            "        tasks.c.attempt == lease.attempt,\n",
            "",
            "held by .* was (renewed|written|set)",
        ),
        Mutant(
            "no heartbeat",
            "workers/supervision.py",
            "        if now - self._renewed_at >= self._settings.heartbeat_seconds:\n",
            "        if False:\n",
            "renewed nothing for a lease",
        ),
        Mutant(
            "no state guard",
            "app/store/leases.py",
            "        tasks.c.attempt == lease.attempt,\n        tasks.c.state == TaskState.RUNNING,\n",
            "        tasks.c.attempt == lease.attempt,\n",
            "by .* after it was|went from",
        ),
        Mutant(
            "no reconciler",
            "app/reconcile.py",
            "                self.run_once()\n",
            "                pass\n",
            "and stays so|not claimed again",
        ),
        Mutant(
            "rename before write",
            "app/store/blobs.py",
            '            temporary.replace(path)\n            failpoint("blob.after_rename")\n',
            "            content = temporary.read_bytes()\n"
            '            temporary.write_bytes(b"")\n'
            "            temporary.replace(path)\n"
            '            failpoint("blob.after_rename")\n'
            "            path.write_bytes(content)\n",
            "was seen with|which is damaged",
        ),
        Mutant(
            "row before blob",
            "app/api/uploads.py",
            "        blob = caller.blobs.put_file(caller.tenant_id, whole, sha256=sha256)\n"
            "        with caller.store.write() as tx:\n"
            "            upload = tx.uploads.complete("
            "caller.tenant_id, upload_id, blob.sha256, blob.bytes)\n",
            "        size = whole.stat().st_size\n"
            "        with caller.store.write() as tx:\n"
            "            upload = tx.uploads.complete(caller.tenant_id, upload_id, sha256, size)\n"
            "        caller.blobs.put_file(caller.tenant_id, whole, sha256=sha256)\n",
            "which is not there",
        ),
    )
}


def mutated(name: str, folder: Path) -> Path:
    """Return a copy of the tree in `folder` with one mutant in it."""
    tree = folder / name.replace(" ", "-")
    for package in PACKAGES:
        # With its compiled files: their sources' times are copied too, so that they stay valid.
        shutil.copytree(ROOT / package, tree / package)
    MUTANTS[name].apply(tree)
    return tree
