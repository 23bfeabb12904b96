"""What a disk refused, in whatever words the library in between passed it on."""

import errno
import re

from app.store.blob_files import FULL

_RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors' errors end, which are no OSError."""

_SHORT = re.compile(r"\d+ requested and \d+ written")
"""What numpy says of a write that was cut short; it keeps no errno."""


def refusal(error: BaseException) -> int | None:
    """Return ENOSPC where an error means that the disk is full, EIO where it failed; None for any other."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (told := _RUST.search(str(error))):
        number = int(told[1])
    if number is None and isinstance(error, OSError) and _SHORT.search(str(error)):
        number = errno.ENOSPC  # by far the most common cause; either way the task is tried again
    if number in FULL:
        return errno.ENOSPC
    return errno.EIO if number == errno.EIO else None
