"""A small disk that can be full: a tmpfs that only this process and those it starts can see.

It needs Linux and the right to mount. Where that is missing, failpoints stand in for a full disk.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_REMOUNT, _MS_REC, _MS_PRIVATE = 32, 1 << 14, 1 << 18
_MNT_DETACH = 2
_LEFT_BYTES = 64 << 10
_TRIES = 20


class SmallDisk:
    """A tmpfs on a folder; the last process that sees it takes it along.

    Raises:
        OSError: it cannot be mounted here.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        if sys.platform != "linux":
            raise OSError("tmpfs is Linux'")
        self._libc = ctypes.CDLL(None, use_errno=True)
        # A mount table of our own: however this process ends, nothing stays mounted.
        self._checked(self._libc.unshare(_CLONE_NEWNS))
        self._mount(b"none", Path("/"), None, _MS_REC | _MS_PRIVATE, None)
        self._mount(b"storm", folder, b"tmpfs", 0, self._options(size))

    def fill(self) -> bool:
        """Leave next to nothing free, by making the disk as small as what it holds; return whether it is."""
        for _ in range(_TRIES):
            found = os.statvfs(self._folder)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            try:
                self._resize(used + _LEFT_BYTES)
            except OSError:  # more was written meanwhile, and the size is what it was
                continue
            return True
        return False

    def free(self) -> None:
        """Give the room back."""
        self._resize(self._size)

    def close(self) -> None:
        """Take the disk away, and all that is on it."""
        self._checked(self._libc.umount2(os.fsencode(self._folder), _MNT_DETACH))

    def _resize(self, size: int) -> None:
        self._mount(b"storm", self._folder, b"tmpfs", _MS_REMOUNT, self._options(size))

    def _options(self, size: int) -> bytes:
        return f"size={size},mode=0755".encode()

    def _mount(
        self, source: bytes, target: Path, kind: bytes | None, flags: int, options: bytes | None
    ) -> None:
        wanted = (source, os.fsencode(target), kind, ctypes.c_ulong(flags), options)
        self._checked(self._libc.mount(*wanted))

    def _checked(self, status: int) -> None:
        if status != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
