"""What an uploaded file is, by its first bytes, against the format that it was sent as."""

from models.embeddings.array_files import Upload
from models.embeddings.signatures import FORMAT_WORDS, check_pickle, found_format, mismatch
from models.embeddings.wording import show
from models.errors import InputProblem

_TAR_MAGIC = slice(257, 262)
_WORDS = {
    "zip": "a zip archive",
    "tar": "a tar archive, plain or as .tar.gz",
    "webdataset": "a tar archive, plain or as .tar.gz",
    "parquet": "a Parquet file",
    "jsonl": "a JSON object on each line",
    "csv": "lines of text with commas",
}


def check_raw_signature(upload: Upload, expected: str) -> None:
    """Refuse a file whose first bytes are not of the format that it was sent as.

    Raises:
        InputProblem: ``empty_file``, ``unsafe_pickle``, ``format_mismatch``.
    """
    path, filename = upload
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise InputProblem(
            "empty_file",
            f"{show(filename)} is empty (0 bytes); expected {_WORDS[expected]}.",
            filename,
        )
    found = _found(head)
    tar = expected in ("tar", "webdataset")
    if found == expected or (tar and found in ("tar", "a gzip file")):
        return
    if found == "unknown" and expected in ("csv", "jsonl"):
        return  # text has no magic: what is wrong with it, its reader says
    check_pickle(found, filename, _WORDS[expected])
    what = _WORDS.get(found) or FORMAT_WORDS.get(found, found)
    known = None if found == "unknown" else what
    raise mismatch(filename, expected, _WORDS[expected], known, head)


def _found(head: bytes) -> str:
    if head[_TAR_MAGIC] == b"ustar":
        return "tar"
    found = found_format(head[:16])
    # Any text whose ninth character is a brace would be safetensors to the other reader.
    return {"npz": "zip", "safetensors": "unknown"}.get(found, found)
