"""Archives of edits with what is known of each, in the two forms that a spec may ask for."""

import json
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workers.pipelines.image_outputs import METADATA
from workers.pipelines.stored_zip import StoredZip

_TOLD = (
    "file_name", "label", "item_id", "prompt", "editor", "scores", "decision", "method", "sha256",
)  # fmt: skip


class Folders:
    """A zip of class folders with `metadata.jsonl`."""

    def __init__(self, path: Path, metadata: Path) -> None:
        self._zip, self._path = StoredZip(path), metadata
        self._metadata = metadata.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        self._zip.__enter__()
        return self

    def add(self, line: Mapping[str, Any], data: bytes) -> None:
        self._zip.add(line["file_name"], data)
        self._metadata.write(json.dumps(told_of(line), ensure_ascii=False) + "\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metadata.close()
        if kind is None:
            self._zip.add_file(METADATA, self._path)
        self._zip.__exit__(kind, error, trace)


class Shards:
    """A tar of PNG and JSON by key, as WebDataset reads it; equal contents are equal bytes."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def add(self, line: Mapping[str, Any], data: bytes) -> None:
        told = json.dumps(told_of(line), ensure_ascii=False)
        for ending, content in (("png", data), ("json", told.encode())):
            entry = tarfile.TarInfo(f"{line['item_id']}.{ending}")
            entry.size = len(content)
            self._tar.addfile(entry, BytesIO(content))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tar.close()


def told_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of `metadata.jsonl`."""
    return {name: line[name] for name in _TOLD} | {
        "domain": line["subdomain"],
        "source": line["parent_ids"][0],
        "source_row": line["parent_rows"][0],
        # As text: readers of JSON that know no integers above 2⁶³ would round it.
        "seed": str(line["seed"]),
    }
