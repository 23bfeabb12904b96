"""The `Range` of a download (RFC 9110, section 14): one range, or the whole."""

import re

from app.domain.problems import RangeNotSatisfiable

_ONE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*")
_LONGEST = 64


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the half-open range asked for; None where it is the whole.

    A header that is not understood is ignored, as the RFC has it. Several ranges are refused:
    answering thousands of them is work that only an attacker asks for.

    Raises:
        RangeNotSatisfiable: no byte of the range exists, or there is more than one range.
    """
    if header is None or not header.startswith("bytes="):
        return None
    unsatisfiable = {"Content-Range": f"bytes */{size}"}
    if "," in header:
        raise RangeNotSatisfiable("One range a request is answered.", headers=unsatisfiable)
    found = _ONE.fullmatch(header) if len(header) <= _LONGEST else None
    if found is None or found[0].strip() == "bytes=-":
        return None
    first, last = found[1], found[2]
    if first:
        start, end = int(first), min(int(last), size - 1) + 1 if last else size
        if last and int(last) < start:
            return None
    else:
        start, end = max(0, size - int(last)), size
    if start >= size or start >= end:
        raise RangeNotSatisfiable(f"The file has {size} bytes.", headers=unsatisfiable)
    return start, end
