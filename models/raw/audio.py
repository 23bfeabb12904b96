"""One clip out of untrusted bytes: WAV, FLAC, OGG or MP3, whole, audible, not too long."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from models.embeddings.wording import show
from models.raw.audio_length import check_length, check_rate, kind_of
from models.raw.limits import RAW_LIMITS, RawLimits
from models.raw.problem import ItemProblem

FORMATS = {
    ".wav": "WAV", ".wave": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".opus": "OGG",
    ".mp3": "MP3",
}  # fmt: skip
"""What an extension says that a clip is."""

SILENCE = 1e-4
"""A clip that never leaves ± this (-80 dB of full scale, three steps of 16 bits) is silent."""

_KINDS = {"WAV": "WAV", "WAVEX": "WAV", "FLAC": "FLAC", "OGG": "OGG", "MP3": "MP3", "MPEG": "MP3"}
_MP3_SLACK = 2 * 1152
"""Frames by which an MP3's count may differ from what it decodes to: padding of its encoder."""

Samples = npt.NDArray[np.float32]


class AudioFacts(NamedTuple):
    """What a checked clip is; the rate in Hz, as stored."""

    format: str
    seconds: float
    rate: int


def decode_audio(
    data: bytes, rate: int | None = None, limits: RawLimits = RAW_LIMITS
) -> tuple[Samples, int]:
    """Return a clip's samples, one channel (the mean of all) between about ±1, and their rate in Hz.

    Args:
        data: the whole file.
        rate: what to resample to (soxr, high quality); None leaves the clip's own.
        limits: what the file may claim.

    Raises:
        ItemProblem: ``not_audio``, ``audio_rate``, ``audio_channels``, ``audio_too_long``,
            ``audio_truncated``, ``audio_length``, ``audio_empty``, ``audio_silent``,
            ``audio_non_finite``.
    """
    with _opened(data, limits) as (file, _):
        samples = np.concatenate(list(_checked(file)))
        own = int(file.samplerate)
    if rate is None or rate == own:
        return samples, own
    return soxr.resample(samples, own, rate).astype(np.float32, copy=False), rate


def inspect_audio(data: bytes, limits: RawLimits = RAW_LIMITS) -> AudioFacts:
    """Return what a clip is, once it has been decoded in full, a second at a time; raises as above."""
    with _opened(data, limits) as (file, kind):
        frames = sum(len(block) for block in _checked(file))
        return AudioFacts(kind, frames / file.samplerate, int(file.samplerate))


@contextmanager
def _opened(data: bytes, limits: RawLimits) -> Iterator[tuple[soundfile.SoundFile, str]]:
    """Open a clip whose header is within the limits; what libsndfile says becomes a problem."""
    kind = kind_of(data)
    check_length(data, kind, limits)
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            if _KINDS.get(file.format) != kind:
                raise ItemProblem("not_audio", f"begins like {kind}, but is {file.format}")
            _check_header(file, limits)
            yield file, kind
    except (soundfile.SoundFileError, ValueError, OverflowError) as error:
        raise ItemProblem(
            "audio_truncated", f"is {kind} that cannot be read: {show(error)}"
        ) from None


def _check_header(file: soundfile.SoundFile, limits: RawLimits) -> None:
    check_rate(file.samplerate, limits)
    if not 1 <= file.channels <= limits.max_channels:
        raise ItemProblem(
            "audio_channels", f"has {file.channels} channels; expected 1 to {limits.max_channels}"
        )
    seconds = file.frames / file.samplerate
    if seconds > limits.max_seconds:
        raise ItemProblem(
            "audio_too_long",
            f"is {seconds:,.1f} s long; at most {limits.max_seconds:g} s are taken: cut it into clips",
        )
    if file.frames <= 0:
        raise ItemProblem("audio_empty", "has no samples")


def _checked(file: soundfile.SoundFile) -> Iterator[Samples]:
    """Yield all of a clip, mixed to one channel, by the second; its faults come with the last one."""
    read, peak = 0, 0.0
    while True:
        block = file.read(file.samplerate, dtype="float32", always_2d=True)
        if not len(block):
            break
        read += len(block)
        if not np.isfinite(block).all():
            raise ItemProblem(
                "audio_non_finite", f"has NaN or Inf in second {(read - 1) // file.samplerate}"
            )
        mono = block.mean(axis=1, dtype=np.float32)
        peak = max(peak, float(np.abs(mono).max()))
        yield mono
        if read > file.frames + _MP3_SLACK:
            raise ItemProblem(
                "audio_length", f"has more than the {file.frames:,} samples it claims"
            )
    slack = _MP3_SLACK if _KINDS[file.format] == "MP3" else 0
    if read + slack < file.frames:
        raise ItemProblem(
            "audio_truncated", f"ends after {read:,} of the {file.frames:,} samples it claims"
        )
    if peak <= SILENCE:
        raise ItemProblem("audio_silent", f"is silent: its peak is {peak:.2g} of full scale")
