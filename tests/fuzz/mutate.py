"""Damage to the bytes of a file: always the same for the same random generator."""

import random
import struct
from collections.abc import Callable

_INTERESTING = (0, 1, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, (1 << 31) - 1, 1 << 31)
_HUGE = (*_INTERESTING, (1 << 32) - 1, (1 << 62), (1 << 63) - 1, (1 << 64) - 1)
_NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"99999999999999999999",
    b"1e309",
    b"NaN",
    b"00",
    b"0x10",
    b"7" * 300,
)
_TOKENS = (
    b'"', b"'", b"\\", b"\n", b"\r\n", b"\0", b",", b"{", b"}", b"[", b"]", b"../", b"/", b"\xff\xfe",
    b"\xed\xa0\x80", b"\xc0\xaf", b"null", b"true", b"\xef\xbb\xbf", b"%s", b"[" * 2000, b" " * 500,
)  # fmt: skip
_NEAR = 400
_LONGEST = 2_000_000
"""Bytes beyond which a file is not made longer: the decoders are tried, not the disk."""

Damage = Callable[[bytearray, random.Random], None]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return a copy with one to eight faults, of which most files die in their first."""
    copy = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not copy:
            break
        rng.choice(_DAMAGES)(copy, rng)
    return bytes(copy)


def _place(data: bytearray, rng: random.Random) -> int:
    """Return a place: two times in three near an end, where headers and directories are."""
    near = rng.randrange(min(len(data), _NEAR))
    return rng.choice((near, len(data) - 1 - near, rng.randrange(len(data))))


def _span(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, 16, 64, 512, 4096)))


def _flip(data: bytearray, rng: random.Random) -> None:
    data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random) -> None:
    data[_place(data, rng)] = rng.choice((0, 1, 32, 34, 48, 127, 128, 255, rng.randrange(256)))


def _length(data: bytearray, rng: random.Random) -> None:
    """Write a number of 1, 2, 4 or 8 bytes, as a field of a length would hold it."""
    width, order = rng.choice("BHIQ"), rng.choice("<>")
    size = struct.calcsize(width)
    at = _place(data, rng)
    if rng.random() < 0.5:
        value = rng.choice(_HUGE)
    else:  # near what is there: one more or less often passes the first check
        value = int.from_bytes(data[at : at + size], "little" if order == "<" else "big")
        value += rng.choice((-8, -1, 1, 2, 8, 255))
    data[at : at + size] = struct.pack(order + width, value % (1 << 8 * size))


def _number(data: bytearray, rng: random.Random) -> None:
    """Write another number in place of digits, where there are some."""
    start = _place(data, rng)
    digits = b"0123456789"
    at = next((i for i in range(start, min(start + _NEAR, len(data))) if data[i] in digits), None)
    if at is None:
        return
    end = at
    while end < len(data) and data[end] in digits:
        end += 1
    data[at:end] = rng.choice(_NUMBERS)


def _token(data: bytearray, rng: random.Random) -> None:
    start, end = _span(data, rng)
    data[start : rng.choice((start, end))] = rng.choice(_TOKENS)


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _cut(data: bytearray, rng: random.Random) -> None:
    start, end = _span(data, rng)
    del data[start:end]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start, end = _span(data, rng)
    block = bytes(data[start:end])
    times = rng.choice((1, 1, 2, 16, 256))
    if len(data) + len(block) * times < _LONGEST:
        data[start:start] = block * times


def _splice(data: bytearray, rng: random.Random) -> None:
    """Copy a piece to another place, over what is there or between."""
    start, end = _span(data, rng)
    to = _place(data, rng)
    data[to : rng.choice((to, to + end - start))] = data[start:end]


def _fill(data: bytearray, rng: random.Random) -> None:
    start, end = _span(data, rng)
    data[start:end] = rng.choice((b"\0", b"\xff", b" ", b"0")) * (end - start)


def _noise(data: bytearray, rng: random.Random) -> None:
    start, end = _span(data, rng)
    data[start:end] = rng.randbytes(end - start)


_DAMAGES: tuple[Damage, ...] = (
    _flip, _flip, _set, _length, _length, _number, _token, _truncate, _cut, _repeat, _splice, _fill, _noise,
)  # fmt: skip
