"""SHA-256 of files, and its form in `Content-Digest` and `Repr-Digest` (RFC 9530)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from cultivar._constants import CHUNK_BYTES

_SHA256 = re.compile(r"(?:^|[,\s])sha-256=:([A-Za-z0-9+/=]+):")


def read_slice(path: Path, start: int, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of a file from `start`, a chunk at a time."""
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(CHUNK_BYTES, length))):
            length -= len(chunk)
            yield chunk


def sha256_slice(
    path: Path, start: int, length: int, on_bytes: Callable[[int], None] | None = None
) -> str:
    """Return the hex sha-256 of part of a file; `on_bytes` hears of each chunk."""
    digest = hashlib.sha256()
    for chunk in read_slice(path, start, length):
        digest.update(chunk)
        if on_bytes:
            on_bytes(len(chunk))
    return digest.hexdigest()


def digest_field(sha256: str) -> str:
    """Return ``sha-256=:…:`` for a hex digest."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def parse_digest_field(value: str) -> str | None:
    """Return the hex sha-256 that a digest field names; None where it names none."""
    found = _SHA256.search(value)
    if found is None:
        return None
    try:
        raw = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        return None
    return raw.hex() if len(raw) == hashlib.sha256().digest_size else None
