"""One clip: what is decoded, and how; what is refused, and by which code."""

import struct

import numpy as np
import pytest

from models.raw.audio import SILENCE, decode_audio, inspect_audio
from models.raw.limits import RawLimits
from models.raw.problem import ItemProblem
from tests.models.raw.conftest import clip, sound

KINDS = [
    ("WAV", "PCM_16", "WAV"), ("WAV", "FLOAT", "WAV"), ("WAVEX", "PCM_24", "WAV"), ("FLAC", "PCM_16", "FLAC"),
    ("OGG", "VORBIS", "OGG"), ("OGG", "OPUS", "OGG"), ("MP3", "MPEG_LAYER_III", "MP3"),
]  # fmt: skip


def code(data, **limits):
    with pytest.raises(ItemProblem) as caught:
        inspect_audio(data, RawLimits(**limits))
    return caught.value.code


def patched(data, place, form, value):
    changed = bytearray(data)
    struct.pack_into(form, changed, place, value)
    return bytes(changed)


@pytest.mark.parametrize(("kind", "subtype", "word"), KINDS)
def test_the_formats_that_are_taken(kind, subtype, word):
    facts = inspect_audio(clip(seconds=1.5, kind=kind, subtype=subtype))
    assert facts == (word, pytest.approx(1.5), 8000)


@pytest.mark.parametrize(("kind", "subtype", "word"), KINDS)
def test_a_clip_cut_anywhere_is_truncated(kind, subtype, word):
    data = clip(seconds=1.5, kind=kind, subtype=subtype)
    for lost in (1, 2, 60, 300, len(data) // 2, len(data) - 60):
        assert code(data[:-lost]) == "audio_truncated", lost


def test_samples_come_back_as_they_were():
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 800).astype(np.float32)
    samples, rate = decode_audio(sound(noise, subtype="FLOAT"))
    assert rate == 8000
    assert samples.dtype == np.float32
    assert np.array_equal(samples, noise)


def test_channels_are_averaged():
    samples, _ = decode_audio(sound(np.array([[0.5, 0.25], [0.1, -0.3]]), subtype="FLOAT"))
    assert samples == pytest.approx([0.375, -0.1])


def test_a_clip_is_resampled_where_a_rate_is_asked_for():
    time = np.arange(8000) / 8000
    samples, rate = decode_audio(sound(0.5 * np.sin(2 * np.pi * 440 * time)), 16_000)
    assert (rate, samples.shape, samples.dtype) == (16_000, (16_000,), np.float32)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(samples - expected)[200:-200].max() < 1e-3


@pytest.mark.parametrize("rate", [0, 999, 384_001, 10_000_000])
def test_a_rate_that_no_recording_has(rate):
    assert code(patched(clip(), 24, "<L", rate)) == "audio_rate"


def test_a_rate_beyond_the_limit_is_refused_in_flac_too():
    assert code(clip(rate=48_000, kind="FLAC"), max_rate=44_100) == "audio_rate"


def test_an_hour_is_refused_before_it_is_decoded():
    assert code(sound(np.zeros(3600 * 8000, np.int16), subtype="PCM_U8")) == "audio_too_long"


def test_a_flac_that_claims_an_hour_is_refused_by_its_header():
    data = bytearray(clip(kind="FLAC"))
    data[22:26] = struct.pack(">L", 3600 * 8000)  # the low 32 bits of the number of samples
    assert code(bytes(data)) == "audio_too_long"


def test_a_flac_that_claims_more_than_it_holds_is_truncated():
    data = bytearray(clip(kind="FLAC"))
    data[22:26] = struct.pack(">L", 16_000)
    assert code(bytes(data)) == "audio_truncated"


def test_a_wav_whose_samples_reach_beyond_its_file_lies():
    assert code(patched(clip(), 40, "<L", 1 << 20)) == "audio_length"


def test_a_wav_of_unknown_length_lies_too():
    data = patched(patched(clip(), 40, "<L", 0xFFFFFFFF), 4, "<L", 0xFFFFFFFF)
    assert code(data) == "audio_length"


def test_a_wav_with_more_samples_than_it_claims_lies():
    assert code(patched(clip(), 40, "<L", 100)) == "audio_length"


def test_a_wav_with_a_chunk_of_notes_is_taken():
    data = clip() + b"LIST" + struct.pack("<L", 3) + b"abc\0"
    assert inspect_audio(patched(data, 4, "<L", len(data) - 8)).format == "WAV"


def test_a_wav_without_samples():
    data = clip()
    assert code(patched(data[:36], 4, "<L", 28)) == "audio_truncated"
    assert code(patched(patched(data[:44], 4, "<L", 36), 40, "<L", 0)) == "audio_empty"


@pytest.mark.parametrize("level", [0.0, 0.9 * SILENCE])
def test_silence_is_refused(level):
    noise = level * np.random.default_rng(0).choice([-1, 1], 800)
    assert code(sound(noise, subtype="FLOAT")) == "audio_silent"


def test_channels_that_cancel_are_silence():
    assert code(sound(np.array([[0.5, -0.5]] * 800), subtype="FLOAT")) == "audio_silent"


def test_a_whisper_is_not_silence():
    noise = 2e-4 * np.random.default_rng(0).choice([-1, 1], 800)
    assert inspect_audio(sound(noise, subtype="FLOAT")).seconds == 0.1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(value):
    noise = np.full(16_000, 0.1, np.float32)
    noise[9000] = value
    with pytest.raises(ItemProblem, match="in second 1") as caught:
        decode_audio(sound(noise, subtype="FLOAT"))
    assert caught.value.code == "audio_non_finite"


def test_too_many_channels():
    assert code(sound(np.full((800, 9), 0.1))) == "audio_channels"


@pytest.mark.parametrize(
    "data", [b"", b"hello, I am text", b"\xff\xd8\xff\xe0" + bytes(50), b"RIFF\0\0\0\0AVI "]
)
def test_what_is_no_clip(data):
    assert code(data) == "not_audio"


def test_other_formats_are_no_clip_here():
    assert code(clip(kind="AIFF")) == "not_audio"


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_damage_is_never_anything_but_an_item_problem(kind):
    generator = np.random.default_rng(0)
    whole = clip(kind=kind)
    refused = 0
    for round_ in range(150):
        data = bytearray(whole)
        for place in generator.integers(0, 200 if round_ % 2 else len(data), 1 + round_ % 4):
            data[place] = generator.integers(0, 256)
        try:
            samples, _ = decode_audio(bytes(data))
            assert np.isfinite(samples).all()
        except ItemProblem:
            refused += 1
    assert refused > 3
