"""A folder as one archive, the same bytes each time: what was sent of it need not be sent again."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cultivar._exceptions import ConfigurationError

_NO_DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a zip can tell: files touched since are still the same files."""

_COPIED_BYTES = 1 << 20


@contextmanager
def as_zip(folder: Path) -> Iterator[Path]:
    """Yield a temporary zip of a folder's files, stored as they are; hidden ones are left out.

    Raises:
        ConfigurationError: there is no file in the folder.
    """
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not _hidden(path, folder)
    )
    if not files:
        raise ConfigurationError(f"There is no file in {folder}")
    with tempfile.TemporaryDirectory(prefix="cultivar-") as scratch:
        packed = Path(scratch) / f"{folder.resolve().name}.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for path in files:
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _NO_DATE)
                entry.external_attr = 0o644 << 16
                entry.file_size = path.stat().st_size  # more than 4 GiB needs another header
                with path.open("rb") as source, archive.open(entry, "w") as target:
                    while block := source.read(_COPIED_BYTES):
                        target.write(block)
        yield packed


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
