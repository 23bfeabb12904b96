"""Named places where a test can make this process die, or its disk be full or fail.

``CULTIVAR_FAILPOINT=name`` kills the process at the first passage, ``name:3`` at the third,
``name:3:enospc`` reports a full disk there instead, ``name:3:eio`` one that fails. Unset, a passage
costs one dictionary look-up.
"""

import errno
import os
import threading
from collections import Counter

VARIABLE = "CULTIVAR_FAILPOINT"
_ERRORS = {"enospc": errno.ENOSPC, "eio": errno.EIO}

_passages: Counter[str] = Counter()
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Do what ``CULTIVAR_FAILPOINT`` says for this place.

    Raises:
        OSError: with ENOSPC or EIO, where that is asked for.
    """
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    where, _, rest = wanted.partition(":")
    if where != name:
        return
    count, _, action = rest.partition(":")
    with _lock:
        _passages[name] += 1
        passage = _passages[name]
    if passage != int(count or 1):
        return
    if action in _ERRORS:
        raise OSError(_ERRORS[action], os.strerror(_ERRORS[action]))
    os._exit(137)  # what a SIGKILL leaves as exit status
