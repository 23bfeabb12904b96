"""One item at fault is named, and the rest of the set goes on; too many refuse it."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.models.raw.conftest import clip, encoded, picture, png, sound

WHOLE = encoded(picture(99, size=(32, 32)))
MOVING = encoded(picture(), "WEBP", save_all=True, append_images=[picture(1)])
GREY16 = encoded(Image.fromarray(np.arange(120, dtype=np.uint16).reshape(10, 12)))
HUGE = encoded(Image.new("1", (8001, 8000)))

BAD_IMAGES = {
    "cut.png": (WHOLE[:-100], "image_truncated"),
    "bomb.png": (HUGE, "image_too_large"),
    "text.jpg": (b"hello, I am text", "not_an_image"),
    "press.jpg": (encoded(picture().convert("CMYK"), "JPEG"), "image_mode"),
    "moving.webp": (MOVING, "image_animated"),
    "deep.png": (GREY16, "image_mode"),
    "other.jpg": (png(99), "extension_mismatch"),
    "empty.png": (b"", "not_an_image"),
    "notes.txt": (b"cats are in the other folder", "not_an_image"),
}
FLOATS = np.full(800, 0.1, np.float32)
BAD_CLIPS = {
    "cut.flac": (clip(kind="FLAC")[:-50], "audio_truncated"),
    "silent.wav": (sound(np.zeros(800)), "audio_silent"),
    "hour.wav": (sound(np.zeros(3600 * 1000, np.int16), 1000, subtype="PCM_U8"), "audio_too_long"),
    "text.wav": (b"hello, I am text", "not_audio"),
    "flac.wav": (clip(kind="FLAC"), "extension_mismatch"),
    "nan.wav": (sound(FLOATS * np.nan, subtype="FLOAT"), "audio_non_finite"),
    "0hz.wav": (clip()[:24] + bytes(4) + clip()[28:], "audio_rate"),
    "10mhz.wav": (clip()[:24] + (10**7).to_bytes(4, "little") + clip()[28:], "audio_rate"),
    "lie.wav": (clip()[:40] + b"\0\0\x10\0" + clip()[44:], "audio_length"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_named_and_the_rest_goes_on(name, images, zipped, ingest, opened):
    data, code = BAD_IMAGES[name]
    manifest = ingest(zipped({**images, f"ant/{name}": data}))
    stats = manifest["stats"]
    assert manifest["rows"] == 20
    assert (stats["rejected"], stats["rejected_by_code"]) == (1, {code: 1})
    (entry,) = stats["rejected_items"]
    assert (entry["name"], entry["code"]) == (f"ant/{name}", code)
    assert entry["detail"]
    dataset = opened(manifest)
    assert {dataset.item(row) for row in range(20)} == set(images.values())


@pytest.mark.parametrize("name", BAD_CLIPS)
def test_a_bad_clip_is_named_and_the_rest_goes_on(name, clips, zipped, ingest, opened):
    data, code = BAD_CLIPS[name]
    manifest = ingest(zipped({**clips, f"ant/{name}": data}), modality="audio")
    assert [(item["name"], item["code"]) for item in manifest["stats"]["rejected_items"]] == [
        (f"ant/{name}", code)
    ]
    dataset = opened(manifest)
    assert {dataset.item(row) for row in range(20)} == set(clips.values())


def test_an_entry_whose_checksum_is_wrong_is_one_bad_item(images, zipped, ingest):
    path = zipped(images)
    data = bytearray(path.read_bytes())
    data[data.find(images["bee/7.png"]) + 50] ^= 1
    path.write_bytes(data)
    manifest = ingest(path)
    assert manifest["rows"] == 19
    assert manifest["stats"]["rejected_by_code"] == {"item_damaged": 1}


def test_an_item_too_large_is_not_read(images, zipped, ingest):
    from models.raw.limits import RawLimits

    images["ant/large.png"] = png(99, size=(100, 100))
    manifest = ingest(zipped(images), limits=RawLimits(max_item_bytes=20_000))
    assert manifest["stats"]["rejected_by_code"] == {"item_too_large": 1}


def test_too_many_at_fault_refuse_the_set_by_the_commonest_fault(images, zipped, refusal):
    images |= {f"ant/cut{i}.png": WHOLE[:-100] for i in range(3)} | {"bee/text.jpg": b"text"}
    problem = refusal(zipped(images))
    assert problem.code == "image_truncated"
    assert "4 of 24 items" in problem.detail
    assert "'ant/cut0.png'" in problem.detail
    assert "and 1 more" in problem.detail


def test_how_many_may_be_at_fault_is_the_callers_to_say(images, zipped, ingest, refusal):
    bad = zipped({**images, "ant/text.jpg": b"text"})
    assert refusal(bad, max_bad_share=0).code == "not_an_image"
    worse = zipped({**images, **{f"ant/{i}.jpg": b"text" for i in range(60)}}, "worse.zip")
    assert ingest(worse, max_bad_share=0.75)["rows"] == 20


def test_nothing_but_bad_items_is_refused_whatever_the_share(zipped, refusal):
    files = {f"{name}/{i}.jpg": b"text" for name in ("ant", "bee") for i in range(3)}
    assert refusal(zipped(files), max_bad_share=1).code == "not_an_image"


def test_no_more_than_a_thousand_are_named_and_all_are_counted(images, zipped, ingest):
    files = {**images, **{f"ant/{i}.jpg": b"text" for i in range(1100)}}
    stats = ingest(zipped(files), max_bad_share=1)["stats"]
    assert (stats["rejected"], len(stats["rejected_items"])) == (1100, 1000)


def test_a_class_that_its_bad_items_leave_with_one_is_told_so(images, zipped, refusal):
    files = {**images, "cat/1.png": png(50), "cat/2.png": WHOLE[:-100]}
    problem = refusal(zipped(files))
    assert problem.code == "class_too_small"
    assert "without those at fault, 1 in all" in problem.detail


def test_labels_of_what_follows_a_bad_item_stay_with_their_items(tarred, ingest, opened):
    files = {f"{'ant' if i < 15 else 'bee'}/{i}.png": png(i) for i in range(30)}
    files["ant/4.png"] = b"text"
    dataset = opened(ingest(tarred(files)))
    kept = [i for i in range(30) if i != 4]
    for row, number in enumerate(kept):
        assert dataset.item(row) == files[f"{'ant' if number < 15 else 'bee'}/{number}.png"]
        assert dataset.y[row] == (number >= 15)


def test_an_image_kept_is_byte_for_byte_what_was_sent(images, zipped, ingest, opened):
    dataset = opened(ingest(zipped(images)))
    assert Image.open(io.BytesIO(dataset.item(3))).size == (12, 10)
    assert dataset.item(3) == images["bee/3.png"]
