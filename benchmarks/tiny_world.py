"""A small world with domains, as `benchmarks.alia` and its neighbours read it: a folder of images and of models."""

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

MODELS = ("captioner", "clip", "instruct", "llm", "sd")
SPLITS = ("train", "val", "test", "extra")


@dataclass(frozen=True)
class World:
    """A folder with models, and `world/` with a zip a split.

    Each zip has class folders and a `metadata.csv` with `file_name, class, domain`.
    """

    folder: Path

    def check(self) -> None:
        """End with a sentence where something is missing."""
        wanted = [self.folder / name for name in MODELS]
        wanted += [self.folder / "world" / f"{split}.zip" for split in SPLITS]
        missing = [path for path in wanted if not path.exists()]
        if missing:
            raise SystemExit(f"--world: there is no {missing[0]}")

    def dataset(self, path: Path, most: int | None = None) -> Path:
        """Write the training, validation and test images as one zip with labels, splits and domains.

        Args:
            path: of the zip.
            most: images of each split, about; None: all.
        """
        return self._write(path, SPLITS[:3], most)

    def extra(self, path: Path, most: int | None = None) -> Path:
        """Write the further real images as a zip."""
        return self._write(path, SPLITS[3:], most)

    def _write(self, path: Path, splits: tuple[str, ...], most: int | None) -> Path:
        rows = [("file_name", "label", "split", "domain")]
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
            for split in splits:
                part = split if split != "extra" else "train"
                with zipfile.ZipFile(self.folder / "world" / f"{split}.zip") as source:
                    lines = list(csv.DictReader(io.TextIOWrapper(source.open("metadata.csv"))))
                    for line in lines[:: max(1, len(lines) // most) if most else 1]:
                        name = f"{split}/{line['file_name']}"
                        target.writestr(_entry(name), source.read(line["file_name"]))
                        rows.append((name, line["class"], part, line["domain"]))
            text = io.StringIO()
            csv.writer(text).writerows(rows)
            target.writestr(_entry("metadata.csv"), text.getvalue())
        return path


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry of one fixed time: equal worlds are equal bytes, which are uploaded once."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
