"""What a sound file says of its own length, held against its bytes.

libsndfile shortens what it reads to what is there without a word, so that a clip which was cut off
would be taken for a shorter one.
Sources: Microsoft's "Multimedia Programming Interface and Data Specifications 1.0" (RIFF), RFC 3533
(Ogg), ISO 11172-3 and 13818-3 (MPEG audio headers), ID3v2.4.
"""

import struct

from models.raw.limits import RawLimits
from models.raw.problem import ItemProblem

_BITRATES = {  # kbit/s of layer III by index, MPEG 1 and MPEG 2 / 2.5
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_WHOLE = 0xFFFFFFFF


def kind_of(data: bytes) -> str:
    """Return WAV, FLAC, OGG or MP3 by the first bytes.

    Raises:
        ItemProblem: ``not_audio``.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "WAV"
    if data[:4] == b"fLaC":
        return "FLAC"
    if data[:4] == b"OggS":
        return "OGG"
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and len(data) > 4 and _frame(data, 0)):
        return "MP3"
    found = "empty" if not data else "text?" if data[:512].isascii() else "unknown bytes"
    raise ItemProblem("not_audio", f"is no WAV, FLAC, OGG or MP3 ({found})")


def check_rate(rate: int, limits: RawLimits) -> None:
    """Refuse sample rates that no recording has.

    Raises:
        ItemProblem: ``audio_rate``.
    """
    if not limits.min_rate <= rate <= limits.max_rate:
        raise ItemProblem(
            "audio_rate",
            f"has a sample rate of {rate:,} Hz; expected {limits.min_rate:,} to {limits.max_rate:,} Hz",
        )


def check_length(data: bytes, kind: str, limits: RawLimits) -> None:
    """Refuse a file that claims more, or less, than it holds. FLAC counts its samples itself.

    Raises:
        ItemProblem: ``audio_truncated``, ``audio_length``, ``audio_rate``.
    """
    if kind == "WAV":
        _check_wav(data, limits)
    elif kind == "OGG":
        _check_ogg(data)
    elif kind == "MP3":
        _check_mp3(data)


def _truncated(found: str) -> ItemProblem:
    return ItemProblem("audio_truncated", found)


def _check_wav(data: bytes, limits: RawLimits) -> None:
    (claimed,) = struct.unpack_from("<L", data, 4)
    if claimed + 8 > len(data) and claimed != _WHOLE:
        raise _truncated(f"is WAV of {claimed + 8:,} bytes by its header; {len(data):,} are there")
    at, samples = 12, False
    while at + 8 <= len(data):
        name, length = data[at : at + 4], struct.unpack_from("<L", data, at + 4)[0]
        if not (name.isascii() and name.decode().isprintable()):
            raise ItemProblem("audio_length", f"has bytes behind its chunks, from byte {at:,} on")
        if at + 8 + length > len(data):
            raise ItemProblem(
                "audio_length",
                f"claims {length:,} bytes of {name.decode()!r}; {len(data) - at - 8:,} follow",
            )
        if name == b"fmt " and length >= 16:
            check_rate(struct.unpack_from("<L", data, at + 12)[0], limits)
        samples = samples or name == b"data"
        at += 8 + length + length % 2
    if not samples:
        raise _truncated("is WAV without samples: it has no 'data'")


def _check_ogg(data: bytes) -> None:
    at, flags = 0, 0
    while at + 27 <= len(data) and data[at : at + 4] == b"OggS":
        flags = data[at + 5]
        table = data[at + 27 : at + 27 + data[at + 26]]
        at += 27 + data[at + 26] + sum(table)
    if at != len(data):
        raise _truncated(f"is OGG whose pages do not end with its {len(data):,} bytes")
    if not flags & 4:
        raise _truncated("is OGG without its last page")


def _check_mp3(data: bytes) -> None:
    at = _skip_id3(data)
    end = len(data)
    if data[-128:-125] == b"TAG":
        end -= 128
    found, claimed = 0, None
    while at + 4 <= end:
        length = _frame(data, at)
        if not length:
            break  # a tag of another kind, or a bit rate of the encoder's own: nothing to hold it against
        if at + length > end:
            raise _truncated(
                f"is MP3 whose frame {found} ends {at + length - end:,} bytes too late"
            )
        if found == 0:
            claimed = _frames_claimed(data[at : at + length])
        found, at = found + 1, at + length
    # The frame that makes the claim does not count itself.
    if claimed is not None and found - 1 < claimed:
        raise _truncated(
            f"is MP3 of {claimed:,} frames by its header; {max(found - 1, 0):,} are there"
        )


def _skip_id3(data: bytes) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:  # seven bits each
        size = size << 7 | byte & 127
    return 10 + size + (10 if data[5] & 16 else 0)


def _frame(data: bytes, at: int) -> int:
    """Return the bytes of the layer III frame that stands here, 0 where none does."""
    head = int.from_bytes(data[at : at + 4])
    version, layer = head >> 19 & 3, head >> 17 & 3
    bitrate, rate, padding = head >> 12 & 15, head >> 10 & 3, head >> 9 & 1
    if head >> 21 != 0x7FF or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return 0
    slots = 144 if version == 3 else 72
    return slots * 1000 * _BITRATES[version == 3][bitrate] // _RATES[version][rate] + padding


def _frames_claimed(frame: bytes) -> int | None:
    """Return how many frames a Xing or Info header says follow it, if there is one that does."""
    for tag in (b"Xing", b"Info"):
        at = frame.find(tag, 4, 64)
        if at >= 0 and len(frame) >= at + 12 and frame[at + 7] & 1:
            return int.from_bytes(frame[at + 8 : at + 12])
    return None
