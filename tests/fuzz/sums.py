"""Checksums put right in damaged files: a flipped bit under a sum shows no more than that sums work."""

import struct
import zlib
from collections.abc import Iterable


def png_sums(data: bytes) -> bytes:
    """Return a PNG whose chunks have the sums of their bytes, as far as chunks can be told."""
    copy, at = bytearray(data), 8
    while at + 12 <= len(copy):
        (length,) = struct.unpack_from(">L", copy, at)
        end = at + 8 + length
        if end + 4 > len(copy):
            break
        copy[end : end + 4] = struct.pack(">L", zlib.crc32(copy[at + 4 : end]))
        at = end + 4
    return bytes(copy)


def tar_sums(data: bytes) -> bytes:
    """Return a tar whose blocks that look like headers have the sums of their bytes."""
    copy = bytearray(data)
    for at in range(0, len(copy) - 511, 512):
        if copy[at + 257 : at + 262] == b"ustar":
            copy[at + 148 : at + 156] = b" " * 8
            copy[at + 148 : at + 156] = b"%06o\0 " % sum(copy[at : at + 512])
    return bytes(copy)


def ogg_sums(data: bytes) -> bytes:
    """Return an Ogg whose pages have the sums of their bytes, as far as pages can be told."""
    copy, at = bytearray(data), data.find(b"OggS")
    while at >= 0 and at + 27 <= len(copy):
        body = at + 27 + copy[at + 26]
        end = body + sum(copy[at + 27 : body])
        copy[at + 22 : at + 26] = bytes(4)
        copy[at + 22 : at + 26] = struct.pack("<L", _crc(copy[at:end], _OGG, 32))
        at = copy.find(b"OggS", end)
    return bytes(copy)


def flac_sums(data: bytes) -> bytes:
    """Return a FLAC of one frame whose head and whole have the sums of their bytes, as far as it can be told."""
    copy, at, last = bytearray(data), 4, False
    while not last and at + 4 <= len(copy):
        last, at = bool(copy[at] & 0x80), at + 4 + int.from_bytes(copy[at + 1 : at + 4], "big")
    if at + 12 > len(copy):
        return bytes(copy)
    block, rate = copy[at + 2] >> 4, copy[at + 2] & 15
    # Sync and codes, the frame's number, then what the codes did not say: samples and their rate.
    head = at + 5 + {6: 1, 7: 2}.get(block, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    copy[head] = _crc(copy[at:head], _FLAC_HEAD, 8)
    copy[-2:] = struct.pack(">H", _crc(copy[at:-2], _FLAC_FRAME, 16))
    return bytes(copy)


def _crc(data: Iterable[int], table: tuple[int, ...], bits: int) -> int:
    """Return a sum of so many bits; from 0, the highest bit first."""
    found, mask = 0, (1 << bits) - 1
    for byte in data:
        found = (found << 8 & mask) ^ table[found >> (bits - 8) ^ byte]
    return found


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    made = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (bits - 1) else 0)
            value &= (1 << bits) - 1
        made.append(value)
    return tuple(made)


_OGG = _table(0x04C11DB7, 32)
_FLAC_HEAD, _FLAC_FRAME = _table(0x07, 8), _table(0x8005, 16)
