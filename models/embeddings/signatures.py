"""What a file is, by its first bytes; its name and its claimed format are only claims."""

from collections.abc import Sequence
from pathlib import Path

from models.embeddings.wording import show
from models.errors import InputProblem

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz"),
    (b"PK\x05\x06", "npz"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"%PDF", "a PDF file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"MATLAB", "a MATLAB file"),
)
FORMAT_WORDS = {
    "npy": "a .npy file",
    "npz": "a zip archive, as .npz files are",
    "parquet": "a Parquet file",
    "arrow": "an Arrow IPC file or stream",
    "safetensors": "a safetensors file",
}


def found_format(head: bytes) -> str:
    """Return the format that 16 bytes are the first of, a kind of file in words, or ``unknown``."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if len(head) >= 9 and head[8:9] == b"{":
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "pickle"
    return "unknown"


def check_signature(path: Path, filename: str, expected: str) -> int:
    """Return the file's size in bytes once its first bytes agree with ``expected``.

    Raises:
        InputProblem: ``empty_file``, ``unsafe_pickle``, ``format_mismatch``.
    """
    length = path.stat().st_size
    if length == 0:
        raise InputProblem(
            "empty_file", f"{show(filename)} is empty (0 bytes); expected {FORMAT_WORDS[expected]}.",
            filename,
        )  # fmt: skip
    with path.open("rb") as file:
        head = file.read(16)
    found = found_format(head)
    # Any eight bytes may be a header's length: what is wrong with one, its own reader says.
    if found == expected or (expected == "safetensors" and head[8:9] == b"{"):
        return length
    check_pickle(found, filename, FORMAT_WORDS[expected])
    if expected == "safetensors" and found == "unknown":
        return length
    what = FORMAT_WORDS.get(found, found)
    raise mismatch(
        filename, expected, FORMAT_WORDS[expected], None if found == "unknown" else what, head
    )


def mismatch(
    filename: str, sent_as: str, expected: str, found: str | None, head: bytes
) -> InputProblem:
    """Return ``format_mismatch``; ``expected`` and ``found`` in words, None for what is not known."""
    what = found or "nothing that is known here" + (" (text?)" if head.isascii() else "")
    return InputProblem(
        "format_mismatch",
        f"{show(filename)} was sent as {sent_as}, but its first bytes are those of {what}; "
        f"expected {expected}.",
        filename,
    )


def check_pickle(found: str, filename: str, expected: str) -> None:
    """Refuse what was found to be a pickle; ``expected`` is in words.

    Raises:
        InputProblem: ``unsafe_pickle``.
    """
    if found == "pickle":
        raise InputProblem(
            "unsafe_pickle",
            f"{show(filename)} is a Python pickle, which can run code and is never opened; "
            f"expected {expected}.",
            filename,
        )


def one_of(path: Path, filename: str, formats: Sequence[str]) -> str:
    """Return which of ``formats`` a file is, where its owner did not say.

    Raises:
        InputProblem: ``empty_file``, ``unsafe_pickle``, ``format_mismatch``.
    """
    with path.open("rb") as file:
        found = found_format(file.read(16))
    if found in formats:
        return found
    if found == "pickle" or not path.stat().st_size:
        check_signature(path, filename, formats[0])
    what = "nothing that is known here" if found == "unknown" else FORMAT_WORDS.get(found, found)
    raise InputProblem(
        "format_mismatch",
        f"{show(filename)} begins like {what}; expected "
        f"{' or '.join(FORMAT_WORDS[name] for name in formats)}.",
        filename,
    )
