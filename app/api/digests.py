"""SHA-256 in HTTP fields: `Content-Digest` and `Repr-Digest` (RFC 9530)."""

import base64
import binascii
import re

from app.domain.problems import BadRequest, Invalid

_FIELD = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]{1,88}):")
_SHA256_BYTES = 32


def digest_field(sha256: str) -> str:
    """Return ``sha-256=:…:`` for a hex digest."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def promised(header: str | None) -> str | None:
    """Return the hex sha-256 that a header names; None where it names none (other algorithms).

    Raises:
        BadRequest: the sha-256 in it is malformed.
    """
    if header is None:
        return None
    found = _FIELD.search(header)
    if found is None:
        if "sha-256" in header:
            raise BadRequest("Content-Digest is malformed.", param="Content-Digest")
        return None
    try:
        raw = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != _SHA256_BYTES:
        raise BadRequest("Content-Digest is malformed.", param="Content-Digest")
    return raw.hex()


def check(expected: str | None, found: str, param: str) -> None:
    """Raise Invalid where a digest was promised and is another."""
    if expected is not None and expected != found:
        raise Invalid(
            f"The bytes received have the sha-256 {found}, {expected} was promised.",
            code="digest_mismatch",
            param=param,
        )
